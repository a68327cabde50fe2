"""Between numbers and signals: the input DAC, the output ADC, and the calibration of the ADC's range."""

from __future__ import annotations

import numpy as np


def levels(bits: int) -> int:
    """Largest code of a symmetric converter: 127 for 8 bits. Raises ValueError outside of 2..16 bits."""
    if not 2 <= bits <= 16:
        raise ValueError(f"a converter has 2 to 16 bits, not {bits}")
    return 2 ** (bits - 1) - 1


def dac(x: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """x f32[n, in] -> codes f32[n, in] (whole numbers) and scale f32[n, 1] with x ~ codes * scale.

    One scale per vector, from its largest element (assumed: the digital side scales each vector to the DAC's range).
    """
    top = np.float32(levels(bits))
    scale = np.abs(x).max(axis=1, keepdims=True) / top
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    return np.rint(x * inverse), scale


def adc(y: np.ndarray, lsb: np.ndarray | float, bits: int) -> np.ndarray:
    """y [n, out] in units of its range's step -> what the ADC reports, in the same units: rounded and clipped."""
    top = levels(bits)
    return np.clip(np.rint(y / lsb), -top, top) * lsb


def adc_step(largest: np.ndarray | float, bits: int, headroom: float = 1.0) -> np.ndarray:
    """Step of an ADC whose range is `headroom` times the largest calibration output; never zero."""
    return np.maximum(np.asarray(largest, np.float32) * np.float32(headroom) / np.float32(levels(bits)), np.float32(1))
