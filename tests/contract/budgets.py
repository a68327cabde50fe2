"""How far a backend's logits may be from the reference, as RMS error over the deviation of the reference's logits."""

from __future__ import annotations

import numpy as np

BUDGET = {"fp32": 1e-4, "fp16": 5e-3, "bf16": 3e-2, "int8": 5e-2, "int4": 0.35}
"""Against the reference with the float32 weights: the rounding of the stored weights (2^-24, 2^-11, 2^-8, 1/254 of a
row's range, 1/16 of a group's), grown by the depth of the network.

Random weights are the worst case: on a trained model the int8 error is several times smaller.
"""

ARITHMETIC = {"fp32": 1e-4, "fp16": 5e-3, "bf16": 3e-2, "int8": 3e-2, "int4": 5e-2}
"""Against the reference with the very same stored weights: what the device itself may add, which is the rounding of
activations (to bf16, or to int8 in groups)."""

NOISY = {"mythic-m1076": 0.15}
"""Chips whose cells are noisy by nature: both errors at once. Without noise they meet BUDGET against the int8 reference
(tests/unit/cim), so what is beyond it here is the noise that was asked for."""


def relative_error(logits: np.ndarray, reference: np.ndarray) -> float:
    return float(np.sqrt(np.mean((logits - reference) ** 2)) / reference.std())
