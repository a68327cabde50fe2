"""How far a backend's logits may be from the float32 reference, as RMS error over the reference's deviation."""

from __future__ import annotations

import numpy as np

BUDGET = {"fp32": 1e-4, "fp16": 5e-3, "bf16": 3e-2, "int8": 5e-2}
"""Rounding of the stored weights (2^-24, 2^-11, 2^-8, 1/254 of a row's range), grown by the depth of the network.

Random weights are the worst case: on a trained model the int8 error is several times smaller.
"""


def relative_error(logits: np.ndarray, reference: np.ndarray) -> float:
    return float(np.sqrt(np.mean((logits - reference) ** 2)) / reference.std())
