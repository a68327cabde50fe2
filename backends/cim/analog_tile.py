"""An analog matrix: the slices of one weight matrix on flash tiles, read through DAC and ADC.

For each tile of at most 1024 inputs, in units of weight step x input step:

    y = W x + z sqrt(u sum_j c_j x_j^2)      W: programmed and drifted currents; u, c: read variance; z ~ N(0, 1)
    y' = step * clip(round(y / step))        ADC; its step comes from calibration
    result = sum over tiles of y'            digital
"""

from __future__ import annotations

import numpy as np

from backends.cim.converters import adc, adc_step
from backends.cim.noise import NoiseSettings, cell_model, programmed, read_variance
from backends.profiles import Profile


class AnalogMatrix:
    """codes i8[out, in] on as many tiles as it takes. Calibrate before use, or the ADC does not round at all."""

    def __init__(self, codes: np.ndarray, chip: Profile, settings: NoiseSettings, key: int):
        self.outputs = len(codes)
        self._adc_bits, self._headroom = int(chip.value("converters.adc_bits")), chip.value("converters.adc_headroom")
        self._rows, self._columns = int(chip.value("chip.tile_rows")), int(chip.value("chip.tile_columns"))
        cells = cell_model(chip, settings)
        self._slices = []
        self.largest = []  # per slice: f32[out], the largest |y| seen in calibration
        for i in range(0, codes.shape[1], self._rows):
            part = codes[:, i : i + self._rows]
            held = part.astype(np.float32) if settings.silent and not settings.ir_drop else None
            if held is None:
                held = programmed(part, cells, settings, chip, key + i)
            noise = read_variance(part, cells) if settings.level else None
            self._slices.append((held, noise))
            self.largest.append(np.zeros(self.outputs, np.float32))
        self._steps: list[np.ndarray] | None = None

    def product(self, codes: np.ndarray, z: np.ndarray | None = None) -> np.ndarray:
        """codes f32[n, in] -> f32[n, out]. z f32[n, slices, out]: normal draws of this read; None: no noise."""
        total = 0.0
        for s, (held, noise) in enumerate(self._slices):
            x = codes[:, s * self._rows : (s + 1) * self._rows]
            y = x @ held.T
            if noise is not None and z is not None:
                u, c = noise
                power = (x.astype(np.float64) ** 2 * c).sum(axis=1, keepdims=True)
                y += z[:, s] * np.sqrt(u * power.astype(np.float32))
            if self._steps is None:
                np.maximum(self.largest[s], np.abs(y).max(axis=0), out=self.largest[s])
            else:
                y = adc(y, self._steps[s], self._adc_bits)
            total = total + y
        return total

    @property
    def slices(self) -> int:
        return len(self._slices)

    def calibrate(self) -> None:
        """Fix the ADC's range from what has been seen since construction: one range per tile (assumed)."""
        self._steps = []
        for largest in self.largest:
            starts = range(0, self.outputs, self._columns)
            per_tile = [
                np.full(min(self._columns, self.outputs - o), largest[o : o + self._columns].max()) for o in starts
            ]
            self._steps.append(adc_step(np.concatenate(per_tile), self._adc_bits, self._headroom))
