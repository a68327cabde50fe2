"""Simulated compute-in-memory chips: Mythic M1076 (analog flash) and Axelera Metis (digital SRAM). Neither is here."""

from __future__ import annotations

import zlib
from functools import cache

import numpy as np

from backends.base import BackendInfo, BadWeights, ModelConfig, State
from backends.cim import metis, mythic, placing
from backends.cim.analog_tile import AnalogMatrix
from backends.cim.chip import SimulatedChip, key_of
from backends.cim.cost import ChipCost
from backends.cim.digital_tile import DigitalTile
from backends.cim.mapping import Mapping
from backends.cim.noise import FRESH, NoiseSettings
from backends.deployment import Deployment
from backends.profiles import Profile, profile

POOL = 1 << 21  # normal deviates that read noise is taken from
CALIBRATION_STEPS, CALIBRATION_BATCH = 24, 8


class MythicM1076(SimulatedChip):
    """Weights in differential flash cells, read through 8-bit converters; noise is on unless turned off.

    Read noise depends on what is read: the same input vector on the same matrix gives the same noise, a different one
    an independent draw. So a copied state resumes identically and a batch equals its singles, as with real numbers.
    """

    info = BackendInfo(
        name="mythic-m1076",
        description="simulated Mythic M1076: analog flash tiles with programming error and read noise",
        simulated=True,
        precisions=("int8",),
        energy_model="simulated: profiles/hardware/mythic-m1076.toml, middle of its bands",
        options={"noise": "SONOS cells, freshly programmed"},
    )

    def __init__(self, threads: int | None = None, noise: NoiseSettings = FRESH, chip: Profile | None = None,
                 chips: int | None = None, host: tuple[str, ...] = ()):  # fmt: skip
        """`threads` is accepted for symmetry. `chips`: how many there are; `host`: matrices that stay on the host, as
        does what does not fit."""
        super().__init__()
        self.noise, self.profile, self.chips, self.host = noise, chip or profile("mythic-m1076"), chips, host
        self.input_bits = int(self.profile.value("converters.dac_bits"))
        self.mapping = cache(self._lay_out)
        self._pool: np.ndarray | None = None

    def _lay_out(self, config: ModelConfig) -> Mapping:
        return mythic.lay_out(config, self.profile, chips=self.chips, host=self.host)

    @classmethod
    def deployments(cls, config: ModelConfig, precision: str) -> list[Deployment]:
        """For a solver: chips and host as sites of weight groups. See backends/cim/placing.py."""
        return placing.deployments(config, profile("mythic-m1076"))

    def _make_tiles(self, name: str, codes: np.ndarray) -> _Read:
        return _Read(AnalogMatrix(codes, self.profile, self.noise, key_of(name)), self, key_of(name))

    def draws(self, codes: np.ndarray, key: int, slices: int, outputs: int) -> np.ndarray:
        """z f32[n, slices, outputs]: for each vector of codes a stretch of the pool that its content chooses."""
        if self._pool is None:
            self._pool = np.random.default_rng((self.noise.seed, 1)).standard_normal(POOL, np.float32)
        need = slices * outputs
        if need >= POOL:
            raise BadWeights(f"a matrix with {outputs} outputs is too large to be simulated")
        starts = (zlib.crc32(row.tobytes(), key) % (POOL - need) for row in codes.astype(np.int16))
        return np.stack([self._pool[s : s + need].reshape(slices, outputs) for s in starts])

    def _calibrate(self) -> None:
        """ADC ranges from text that the model writes itself: sampled from its own logits, so no data is needed."""
        config, rng = self._weights.config, np.random.default_rng((self.noise.seed, 2))
        states = [State(config) for _ in range(CALIBRATION_BATCH)]
        tokens = rng.integers(0, config.vocab, CALIBRATION_BATCH)
        tokens[: CALIBRATION_BATCH // 2] = 0
        for _ in range(CALIBRATION_STEPS):
            logits = self._run(tokens[:, None], states)
            tokens = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
        for tiles, _ in self._tiles.values():
            tiles.matrix.calibrate()

    def chip_cost(self, config: ModelConfig, tokens: int = 1, batch: int = 1) -> ChipCost:
        return mythic.cost(config, self.profile, self.mapping(config), tokens, batch)


class _Read:
    """An analog matrix with the draws of its chip."""

    def __init__(self, matrix: AnalogMatrix, chip: MythicM1076, key: int):
        self.matrix, self._chip, self._key = matrix, chip, key

    def product(self, codes: np.ndarray) -> np.ndarray:
        z = None
        if self._chip.noise.level:
            z = self._chip.draws(codes, self._key, self.matrix.slices, self.matrix.outputs)
        return self.matrix.product(codes, z)


class AxeleraMetis(SimulatedChip):
    """int8 x int8 in SRAM, exact; what does not fit on the chip streams from the card's DRAM."""

    info = BackendInfo(
        name="axelera-metis",
        description="simulated Axelera Metis: digital in-memory tiles, exact int8 products",
        simulated=True,
        precisions=("int8",),
        energy_model="simulated: profiles/hardware/axelera-metis.toml, middle of its bands",
    )

    def __init__(self, threads: int | None = None, chip: Profile | None = None):
        """`threads` is accepted for symmetry."""
        super().__init__()
        self.profile = chip or profile("axelera-metis")

    def _make_tiles(self, name: str, codes: np.ndarray) -> DigitalTile:
        return DigitalTile(codes)

    def chip_cost(self, config: ModelConfig, tokens: int = 1, batch: int = 1) -> ChipCost:
        return metis.cost(config, self.profile, tokens, batch)
