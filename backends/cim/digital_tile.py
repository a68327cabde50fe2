"""A digital tile: int8 x int8 with exact accumulation, one input bit at a time."""

from __future__ import annotations

import numpy as np

BLOCK = 1024
"""Inputs whose products with 127 x 127 still sum to less than 2^24, where float32 counts exactly."""


class DigitalTile:
    """One matrix of codes i8[out, in]. A whole number in is a whole number out, whatever the order of the sums."""

    def __init__(self, codes: np.ndarray):
        self._blocks = [
            np.ascontiguousarray(codes[:, i : i + BLOCK], np.float32) for i in range(0, codes.shape[1], BLOCK)
        ]

    def product(self, codes: np.ndarray) -> np.ndarray:
        """codes f32[n, in] of at most 127 in size -> exact sums, f32[n, out] (f64 if one block cannot hold them)."""
        if len(self._blocks) == 1:
            return codes @ self._blocks[0].T
        parts = (codes[:, i * BLOCK : (i + 1) * BLOCK] @ b.T for i, b in enumerate(self._blocks))
        return sum(part.astype(np.float64) for part in parts)


def bit_serial_product(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What the array does in its 8 cycles: weights i8[out, in], x i8[in] -> i64[out].

    Two's complement: bit b of the input adds 2^b times its column sums, the sign bit subtracts. Slow; it defines.
    """
    bits = x.astype(np.int8).view(np.uint8)
    total = np.zeros(len(weights), np.int64)
    for b in range(8):
        column_sums = weights.astype(np.int64) @ ((bits >> b) & 1).astype(np.int64)
        total += column_sums * (-(1 << b) if b == 7 else 1 << b)
    return total
