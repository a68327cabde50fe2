"""What flash cells do to the weights they hold: programming error, drift and read noise, as currents in nA.

Model and constants: CrossSim's SONOS device, after V. Agrawal et al., "Subthreshold operation of SONOS analog memory",
IEDM 2022, 21.7, measured on 128 K cells at 40 nm. Mythic's own cells are unpublished; SONOS is the nearest open model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backends.profiles import Profile

GRID = np.float32(16)
"""Cell currents are kept to 1/16 of a weight step. The sums of a tile are then whole numbers below 2^24 and exact in
float32, so that a batch gives bit for bit what its singles give; the rounding adds 0.02 steps of noise to about 1."""


@dataclass(frozen=True, slots=True)
class NoiseSettings:
    """How noisy the cells are. `level` scales programming error and read noise; 0 turns both off."""

    level: float = 1.0
    days: float = 0.0  # since programming
    ir_drop: float | None = None  # None: the profile's
    seed: int = 0

    @property
    def silent(self) -> bool:
        return self.level == 0 and self.days == 0


FRESH = NoiseSettings()


@dataclass(frozen=True, slots=True)
class CellModel:
    """Lookups over the code magnitude 0..top: mean current and spread after `days`, and read noise, in weight steps."""

    mean: np.ndarray  # f32[top + 1]
    spread: np.ndarray  # f32[top + 1], one standard deviation
    read: np.ndarray  # f32[top + 1], one standard deviation per read


def cell_model(chip: Profile, settings: NoiseSettings, top: int = 127) -> CellModel:
    """sigma(I) = a (1 - exp(-I / b)) for spread and read noise; mean(I) = I + polynomial(I); I = 1600 nA at `top`."""
    step_na = chip.value("cell.full_scale_na") / top
    target = np.arange(top + 1) * step_na
    a, b, shift = _drift(chip, settings.days)
    mean = target + np.polynomial.polynomial.polyval(target, shift)
    spread = np.maximum(a * (1 - np.exp(-mean / b)), 0) * settings.level
    read_a, read_b = chip.value("cell.read_a_na"), chip.value("cell.read_b_na")
    read = np.maximum(read_a * (1 - np.exp(-target / read_b)), 0) * settings.level
    return CellModel(*((v / step_na).astype(np.float32) for v in (mean, spread, read)))


def programmed(codes: np.ndarray, cells: CellModel, settings: NoiseSettings, chip: Profile, key: int) -> np.ndarray:
    """codes i8[out, in] -> weights f32[out, in] that the differential pairs hold, in weight steps.

    The cell of the pair that is not used keeps code 0; its spread (below 0.01 steps) is left out, its mean is not.
    Currents are never negative. The same settings and key program the same errors.
    """
    magnitude, sign = np.abs(codes.astype(np.int16)), np.sign(codes).astype(np.float32)
    current = cells.mean[magnitude]
    if settings.level:
        rng = np.random.default_rng((settings.seed, key))
        current = current + cells.spread[magnitude] * rng.standard_normal(codes.shape, np.float32)
    held = sign * (np.maximum(current, 0) - cells.mean[0])
    ir_drop = chip.value("cell.ir_drop") if settings.ir_drop is None else settings.ir_drop
    if ir_drop:
        held *= _ir_loss(magnitude, ir_drop, len(cells.mean) - 1)
    return np.rint(held * GRID) / GRID


def read_variance(codes: np.ndarray, cells: CellModel) -> tuple[np.ndarray, np.ndarray]:
    """Variance of one read, factored as row f32[out] x column f64[in] (in squared weight steps).

    Independent cells add variances, so a product's is sum_j x_j^2 v_ij. v is replaced by the product of its row and
    column means over its mean: a vector instead of a second matrix, and exact if the two directions do not interact.
    """
    v = (cells.read**2)[np.abs(codes.astype(np.int16))]
    mean = float(v.mean())
    column = v.mean(axis=0, dtype=np.float64) / (mean or 1.0)
    return v.mean(axis=1, dtype=np.float64).astype(np.float32), column


def _ir_loss(magnitude: np.ndarray, ir_drop: float, top: int) -> np.ndarray:
    """First order and static: a cell loses with its distance along the line and the line's mean current."""
    distance = np.arange(1, magnitude.shape[1] + 1, dtype=np.float32) / magnitude.shape[1]
    load = magnitude.mean(axis=1, keepdims=True, dtype=np.float32) / np.float32(top)
    return 1 - np.float32(ir_drop) * distance * load


def _drift(chip: Profile, days: float) -> tuple[float, float, np.ndarray]:
    """(a, b, polynomial) of the spread and the mean shift: linear between the measured days, logarithmic past day 5."""
    table = chip.table("drift")
    measured = np.array(table["days"], float)
    rows = np.column_stack([table["spread_a_na"], table["spread_b_na"], table["shift_na"]])
    if days <= measured[-1]:
        row = np.array([np.interp(days, measured, column) for column in rows.T])
    else:
        trend = np.log(days / measured[1]) / np.log(measured[-1] / measured[1])
        row = rows[1] + (rows[-1] - rows[1]) * trend
    return float(row[0]), float(row[1]), row[2:]
