"""What this machine can bear: the published RWKV-7 models, whether they fit in memory and how fast they would answer.

Each token carries every weight once from memory, so the rate is about bandwidth / bytes: the memory wall. Bytes and
sums are counted from the model's shape; the bandwidth is measured here in a second, so the rates are modelled and say
so.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backends.base import ModelConfig
from backends.census import pass_bytes

HEAD_SIZE, WORLD_VOCABULARY = 64, 65536
SHARE_OF_MEMORY = 0.7  # of what is free now; the rest stays with the person's other programs
EFFICIENCY = 0.7  # of the measured bandwidth that a decode pass reaches
COMFORTABLE_TOKENS_S, BEARABLE_TOKENS_S = 8.0, 3.0  # faster than one reads; slower than one likes to wait
PROBE_BYTES = 256 << 20


@dataclass(frozen=True)
class Published:
    """One size of the RWKV-7 World / G1 series. LoRA ranks as RWKV-LM's formula gives them for the width."""

    name: str
    layers: int
    width: int
    ranks: tuple[int, int, int, int]  # decay, iclr, value, gate

    @property
    def config(self) -> ModelConfig:
        decay, iclr, value, gate = self.ranks
        heads, ffn = self.width // HEAD_SIZE, 4 * self.width
        return ModelConfig(self.layers, self.width, heads, HEAD_SIZE, WORLD_VOCABULARY, ffn, decay, iclr, value, gate)

    @property
    def file_names(self) -> str:
        return f"rwkv7-g1*-{self.name.lower()}-*.pth or RWKV-x070-World-{self.name}-*.pth"


SERIES = (
    Published("0.1B", 12, 768, (64, 64, 32, 128)),
    Published("0.4B", 24, 1024, (64, 64, 32, 128)),
    Published("1.5B", 24, 2048, (96, 96, 64, 256)),
    Published("2.9B", 32, 2560, (96, 96, 64, 320)),
)


@dataclass(frozen=True)
class Advice:
    """One model in one precision on this machine; `tokens_s` is modelled."""

    name: str
    precision: str
    parameters: int
    memory_bytes: int
    fits: bool
    tokens_s: float
    verdict: str


def free_memory_bytes(meminfo: Path = Path("/proc/meminfo")) -> int:
    """What programs can get without others being pushed out (MemAvailable)."""
    for line in meminfo.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{meminfo} has no MemAvailable")


def read_bandwidth_bytes_s(size: int = PROBE_BYTES, passes: int = 6) -> float:
    """How fast one thread reads an array larger than the caches, the best of a few passes."""
    array = np.ones(size // 4, np.float32)
    best = 0.0
    for _ in range(passes):
        began = time.perf_counter()
        np.dot(array[: len(array) // 2], array[len(array) // 2 :])  # every value is read once
        best = max(best, array.nbytes / (time.perf_counter() - began))
    return best


def advise(
    memory_bytes: int, bandwidth_bytes_s: float, precisions: tuple[str, ...] = ("int4", "int8", "bf16")
) -> list[Advice]:
    """Every model of the series in every precision, smallest first."""
    found = []
    for model in SERIES:
        config = model.config
        parameters = sum(int(np.prod(shape)) for shape in config.tensor_shapes().values())
        for precision in precisions:
            moved = pass_bytes(config, 1, 1, precision)
            # The embedding is stored but only a row of it is moved.
            stored = moved + pass_bytes(config, WORLD_VOCABULARY, 1, precision) - pass_bytes(config, 0, 1, precision)
            fits = stored <= SHARE_OF_MEMORY * memory_bytes
            rate = EFFICIENCY * bandwidth_bytes_s / moved
            verdict = "too large" if not fits else _by_speed(rate)
            found.append(Advice(model.name, precision, parameters, stored, fits, rate, verdict))
    return found


def best(found: list[Advice]) -> Advice | None:
    """The largest model that answers comfortably, in its widest such precision; else the fastest that fits."""
    comfortable = [advice for advice in found if advice.verdict == "comfortable"]
    if comfortable:
        return max(comfortable, key=lambda advice: (advice.parameters, advice.memory_bytes))
    return max((advice for advice in found if advice.fits), key=lambda advice: advice.tokens_s, default=None)


def _by_speed(tokens_s: float) -> str:
    return (
        "comfortable" if tokens_s >= COMFORTABLE_TOKENS_S else "slow" if tokens_s >= BEARABLE_TOKENS_S else "too slow"
    )
