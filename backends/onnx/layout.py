"""Stored matrices as ONNX Runtime's operators want them: views where the bytes allow it."""

from __future__ import annotations

import numpy as np

from backends.base import Weights
from backends.precisions import is_matrix
from backends.tensors import GROUP, Int4Matrix, QuantizedMatrix, TensorLike

SCALE = ".scale"
"""Suffix of the tensor that holds a quantized matrix's scales."""


def external_tensors(weights: Weights) -> dict[str, np.ndarray]:
    """Every matrix by the name that the graph gives it, in the graph's order."""
    tensors: dict[str, np.ndarray] = {}
    for name, shape in weights.config.tensor_shapes().items():
        if is_matrix(name, shape):
            tensors |= _embedding(weights.raw(name)) if name == "emb.weight" else _matrix(name, weights.raw(name))
    return tensors


def _embedding(table: TensorLike) -> dict[str, np.ndarray]:
    """Rows are gathered: int8[V, D] with f32[V, 1], or f32[V, D]."""
    if isinstance(table, QuantizedMatrix):
        return {"emb.weight": table.q, "emb.weight" + SCALE: table.scale[:, None]}
    return {"emb.weight": table.astype(np.float32, copy=False)}


def _matrix(name: str, tensor: TensorLike) -> dict[str, np.ndarray]:
    """For MatMulNBits u8[out, blocks, bytes] and f32[out, blocks]; for MatMul the transposed f32[in, out].

    Source: the operator's schema (ContribOperators.md, com.microsoft.MatMulNBits); without zero points 8 or 128 is
    meant. Int4 bytes are used as they are. An int8 row has one scale, which is repeated for each block, and columns
    that do not fill the last block are padded with zeros.
    """
    rows, columns = tensor.shape
    if isinstance(tensor, Int4Matrix):
        packed, scale = tensor.q.reshape(rows, columns // GROUP, -1), tensor.scale.astype(np.float32)
    elif isinstance(tensor, QuantizedMatrix):
        blocks = -(-columns // GROUP)
        packed = np.full((rows, blocks * GROUP), 128, np.uint8)
        np.bitwise_xor(tensor.q.view(np.uint8), 128, out=packed[:, :columns])  # two's complement + 128
        packed = packed.reshape(rows, blocks, GROUP)
        scale = np.repeat(tensor.scale[:, None], blocks, axis=1)
    else:
        return {name: np.ascontiguousarray(tensor.astype(np.float32, copy=False).T)}
    return {name: packed, name + SCALE: scale}
