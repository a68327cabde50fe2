"""How a weight is stored: a float array, an int8 matrix with a scale per row, or int4 with a scale per group."""

from __future__ import annotations

import mmap
from dataclasses import dataclass

import ml_dtypes
import numpy as np

FLOAT_DTYPES = {"fp32": np.dtype(np.float32), "fp16": np.dtype(np.float16), "bf16": np.dtype(ml_dtypes.bfloat16)}

GROUP = 32
"""Columns that share one int4 scale: 4 + 16/32 = 4.5 bits per weight, as in llama.cpp's Q4_0 (block_q4_0)."""

SCALE_STEPS = np.linspace(0.70, 1.10, 9, dtype=np.float32)
"""Fractions of the largest value that are tried as an int4 group's range. Clipping a lone outlier buys finer steps for
the other 31; trying more fractions than these lowers the error by less than 1 % (measured on normal weights)."""


@dataclass(frozen=True, slots=True)
class QuantizedMatrix:
    """int8[out, in] with scale f32[out]: W ~ q * scale[:, None] (symmetric, round to nearest, |q| <= 127)."""

    q: np.ndarray
    scale: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.q.shape

    @property
    def nbytes(self) -> int:
        return self.q.nbytes + self.scale.nbytes


@dataclass(frozen=True, slots=True)
class Int4Matrix:
    """u8[out, in/2] with scale f16[out, in/32]: W ~ (nibble - 8) * scale of its group of 32 columns.

    Byte j holds column 2j in its low nibble and 2j + 1 in its high one: the layout of ONNX Runtime's MatMulNBits
    (block size 32, zero point 8), which can use these bytes as they are.
    """

    q: np.ndarray
    scale: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.q.shape[0], 2 * self.q.shape[1])

    @property
    def nbytes(self) -> int:
        return self.q.nbytes + self.scale.nbytes


TensorLike = np.ndarray | QuantizedMatrix | Int4Matrix


def dequantize(tensor: TensorLike) -> np.ndarray:
    """float32 values of any stored tensor; a float32 array is returned as it is, without a copy."""
    if isinstance(tensor, QuantizedMatrix):
        return tensor.q.astype(np.float32) * tensor.scale[:, None]
    if isinstance(tensor, Int4Matrix):
        return rows(tensor, np.arange(tensor.shape[0]))
    return tensor.astype(np.float32, copy=False)


def rows(tensor: TensorLike, index: np.ndarray) -> np.ndarray:
    """float32 rows of a matrix without touching the others (embedding look-up)."""
    if isinstance(tensor, QuantizedMatrix):
        return tensor.q[index].astype(np.float32) * tensor.scale[index][..., None]
    if isinstance(tensor, Int4Matrix):
        packed = tensor.q[index]
        nibbles = np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:-1], -1, GROUP)
        values = (nibbles.astype(np.float32) - 8) * tensor.scale[index][..., None].astype(np.float32)
        return values.reshape(*packed.shape[:-1], -1)
    return tensor[index].astype(np.float32)


def quantize_int8(matrix: np.ndarray) -> QuantizedMatrix:
    """Per-row symmetric int8 of a float matrix [out, in]; rows of zeros get scale 0."""
    m = matrix.astype(np.float32, copy=False)
    scale = np.abs(m).max(axis=1) / np.float32(127)
    return QuantizedMatrix(np.rint(m * _inverse(scale)[:, None]).astype(np.int8), scale)


def quantize_int4(matrix: np.ndarray, importance: np.ndarray | None = None) -> Int4Matrix:
    """Int4 of a float matrix [out, in], in a multiple of 32; each group's scale minimises its weighted squared error.

    importance f32[in]: the mean square of each input, so that the error of the *product* is what is kept small
    (llama.cpp's "imatrix" idea); None weighs all columns alike. The scale carries the sign that lets the group's
    largest value use -8, the one step that has no positive counterpart.
    """
    m = matrix.astype(np.float32, copy=False).reshape(matrix.shape[0], -1, GROUP)
    weight = np.ones_like(m[0]) if importance is None else importance.astype(np.float32).reshape(-1, GROUP)
    largest = np.take_along_axis(m, np.abs(m).argmax(axis=-1, keepdims=True), axis=-1)
    best_q, best_scale, best_error = None, None, None
    for step in SCALE_STEPS:
        scale = (largest * (-step / 8)).astype(np.float16)
        q = np.clip(np.rint(m * _inverse(scale.astype(np.float32))), -8, 7)
        error = ((m - q * scale.astype(np.float32)) ** 2 * weight).sum(axis=-1, keepdims=True)
        if best_q is None:
            best_q, best_scale, best_error = q, scale, error
        else:
            better = error < best_error
            best_q, best_scale = np.where(better, q, best_q), np.where(better, scale, best_scale)
            best_error = np.minimum(error, best_error)
    nibbles = (best_q + 8).astype(np.uint8).reshape(matrix.shape[0], -1)
    return Int4Matrix(nibbles[:, 0::2] | nibbles[:, 1::2] << 4, best_scale[..., 0])


def _inverse(scale: np.ndarray) -> np.ndarray:
    """1 / scale, and 0 where scale is 0."""
    return np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)


def let_go(tensor: TensorLike) -> None:
    """Give mapped pages back, after their content was packed or when nobody needs it for a while.

    Only of file mappings: they come back from the file if anybody asks again.
    """
    parts = (tensor.q, tensor.scale) if isinstance(tensor, QuantizedMatrix | Int4Matrix) else (tensor,)
    for part in parts:
        base = part
        while isinstance(base, np.ndarray) and base.base is not None:
            base = base.base
        base = base.obj if isinstance(base, memoryview) else base
        if not isinstance(base, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED"):
            continue
        start = part.ctypes.data - np.frombuffer(base, np.uint8).ctypes.data
        first, last = -(-start // mmap.PAGESIZE), (start + part.nbytes) // mmap.PAGESIZE
        if last > first:
            base.madvise(mmap.MADV_DONTNEED, first * mmap.PAGESIZE, (last - first) * mmap.PAGESIZE)
