"""The format of each tensor under a model's precision: one rule for those who convert, count and estimate."""

from __future__ import annotations

from math import prod

from backends.tensors import GROUP

PRECISIONS = ("fp32", "bf16", "fp16", "int8", "int4")
BITS = {"fp32": 32.0, "bf16": 16.0, "fp16": 16.0, "int8": 8.0, "int4": 4.0 + 16 / GROUP}


def is_matrix(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a canonical tensor is multiplied with; r_k is two-dimensional and yet a vector per head."""
    return len(shape) == 2 and not name.endswith(".r_k")


def format_of(name: str, shape: tuple[int, ...], precision: str) -> str:
    """fp32 | bf16 | fp16 | int8 | int4 for one canonical tensor.

    Vectors are float32: they are under 1 % of the bytes. In int4 the embedding (whose rows are read on demand, so
    that narrowing it saves no time), the LoRA pairs (3 % of the bytes, and they steer decay and gates) and matrices
    whose rows do not divide into groups stay at int8.
    """
    if not is_matrix(name, shape):
        return "fp32"
    if precision == "int4" and (name == "emb.weight" or not name.endswith(".weight") or shape[1] % GROUP):
        return "int8"
    return precision


def stored_bytes(name: str, shape: tuple[int, ...], precision: str) -> float:
    """Bytes of one tensor as it is stored, scales included."""
    form = format_of(name, shape, precision)
    return prod(shape) * BITS[form] / 8 + (4 * shape[0] if form == "int8" else 0)
