"""How a weight is stored: a float array of any width, or an int8 matrix with one scale per output row."""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np

FLOAT_DTYPES = {"fp32": np.dtype(np.float32), "fp16": np.dtype(np.float16), "bf16": np.dtype(ml_dtypes.bfloat16)}


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


TensorLike = np.ndarray | QuantizedMatrix


def dequantize(tensor: TensorLike) -> np.ndarray:
    """float32 values of any stored tensor; a float32 array is returned as it is, without a copy."""
    if isinstance(tensor, QuantizedMatrix):
        return tensor.q.astype(np.float32) * tensor.scale[:, None]
    return tensor.astype(np.float32, copy=False)


def rows(tensor: TensorLike, index: np.ndarray) -> np.ndarray:
    """float32 rows of a matrix without touching the others (embedding look-up)."""
    if isinstance(tensor, QuantizedMatrix):
        return tensor.q[index].astype(np.float32) * tensor.scale[index][..., None]
    return tensor[index].astype(np.float32)


def quantize_int8(matrix: np.ndarray) -> QuantizedMatrix:
    """Per-row symmetric int8 of a float matrix [out, in]; rows of zeros get scale 0."""
    m = matrix.astype(np.float32, copy=False)
    scale = np.abs(m).max(axis=1) / np.float32(127)
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    return QuantizedMatrix(np.rint(m * inverse[:, None]).astype(np.int8), scale)
