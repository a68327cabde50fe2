"""Weights in another precision: which tensors become narrow, and which stay float32."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from assistant.errors import ModelFileError, UsageError
from backends.base import Weights
from backends.precisions import PRECISIONS, format_of
from backends.tensors import (
    FLOAT_DTYPES,
    Int4Matrix,
    QuantizedMatrix,
    TensorLike,
    dequantize,
    quantize_int4,
    quantize_int8,
)

SLICE_ROWS = 4096
Progress = Callable[[int], None]
"""Called with the number of source bytes done since the last call; an exception from it ends the work."""


def pack(weights: Weights, precision: str, source_sha256: str = "", progress: Progress | None = None) -> Weights:
    """The same model in a precision: contiguous tensors, ready to be written and mapped.

    Which tensor gets which format is `backends.precisions.format_of`'s rule. The LoRA pairs are no exception in
    int8: on a trained model of 4.6 M parameters the error of the logits is 0.79 % of their deviation with or
    without them.
    Raises ModelFileError if a value is not finite, or is too large for fp16.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision '{precision}'", hint=f"Choose from {', '.join(PRECISIONS)}")
    tensors: dict[str, TensorLike] = {}
    for name in weights:
        tensors[name] = _narrow(name, weights.raw(name), precision)
        if progress:
            progress(weights.raw(name).nbytes)
    return Weights(tensors, precision, source_sha256 or weights.source_hash)


@np.errstate(invalid="ignore", over="ignore")  # what overflows or is NaN becomes an error of ours
def _narrow(name: str, tensor: TensorLike, precision: str) -> TensorLike:
    wanted = format_of(name, tensor.shape, precision)
    if isinstance(tensor, QuantizedMatrix | Int4Matrix):
        if wanted == ("int4" if isinstance(tensor, Int4Matrix) else "int8") and np.isfinite(tensor.scale).all():
            return tensor
        tensor = dequantize(tensor)
    if not np.isfinite(tensor).all():
        raise ModelFileError(
            "cannot use the weights",
            why=f"tensor {name!a} holds infinite values or NaN",
            hint="The file is damaged, or its training diverged: get another one",
        )
    if wanted in ("int8", "int4"):
        return _in_slices(tensor, quantize_int8 if wanted == "int8" else quantize_int4)
    narrow = np.ascontiguousarray(tensor.astype(FLOAT_DTYPES[wanted], copy=False))
    if wanted == "fp16" and not np.isfinite(narrow).all():
        why = f"tensor {name!a} holds values above 65504"
        raise ModelFileError("the weights do not fit fp16", why=why, hint="Use bf16")
    return narrow


def _in_slices(matrix: np.ndarray, quantize: Callable[[np.ndarray], TensorLike]) -> TensorLike:
    """Quantize a few rows at a time: a tall embedding would otherwise take many times its size."""
    parts = [quantize(matrix[start : start + SLICE_ROWS]) for start in range(0, len(matrix), SLICE_ROWS)]
    return type(parts[0])(np.concatenate([p.q for p in parts]), np.concatenate([p.scale for p in parts]))
