"""What was measured on this machine, where it is kept, and the law that carries it to other models.

The law of one pass: a + b x layers + c x bytes (decode) or c x MACs (prefill), with a, b, c >= 0, fitted to the
measured shapes of one backend, precision and number of threads so that relative errors are least. The first two are
what a pass costs before any weight is read, the third is the wall (or the multiply rate).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import msgspec
import numpy as np

from assistant import paths
from assistant.models.atomic import replacing
from backends.base import ModelConfig
from backends.census import pass_bytes, pass_macs
from backends.processor import processor_name

PREFILL_CHUNK = 64
BUSY = 8  # conversations of the measured batch
VERSION = 1


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One measured pass: `tokens` of each of `batch` sequences. seconds: median; p95_s: 95th percentile; watts: mean
    power meanwhile, above that of an idle machine, where a sensor can be read."""

    backend: str
    precision: str
    threads: int
    tokens: int
    batch: int
    layers: int
    bytes_moved: int
    macs: int
    seconds: float
    p95_s: float
    watts: float | None = None
    model: str = ""  # sha256 of a model of the store; empty: random weights of some shape


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """read_bytes_s: threads -> [(bytes read in order, bytes per second)]. sensor: whose power was read, in words."""

    version: int = VERSION
    machine: str
    measured_at: str
    read_bytes_s: dict[int, list[tuple[int, float]]] = {}
    points: list[Point] = []
    sensor: str = ""

    def watts(self, backend: str, precision: str, threads: int) -> float | None:
        """Measured power of decoding, the median over shapes."""
        found = [p.watts for p in self.points if p.tokens == p.batch == 1 and p.watts is not None
                 and (p.backend, p.precision, p.threads) == (backend, precision, threads)]  # fmt: skip
        return float(np.median(found)) if found else None

    def threads(self, backend: str, precision: str) -> list[int]:
        return sorted({p.threads for p in self.points if (p.backend, p.precision) == (backend, precision)})

    def bandwidth_bytes_s(self, size: int, threads: int | None = None) -> float | None:
        """Measured reading of about as many bytes; the best over all thread counts if none is named."""
        rows = [r for t, rs in self.read_bytes_s.items() if threads in (None, t) for r in rs]
        if not rows:
            return None
        nearest = min((abs(np.log(n / max(1, size))) for n, _ in rows))
        return max(rate for n, rate in rows if abs(np.log(n / max(1, size))) <= nearest + 1e-9)


def calibration_file() -> Path:
    return paths.data_dir() / "calibration.json"


def fingerprint() -> str:
    """What a measurement is valid for: the processor and how many of it this process may use."""
    return f"{processor_name()}, {len(os.sched_getaffinity(0))} cores"


def load(file: Path | None = None) -> Calibration | None:
    """None if there is none, or if it is of another machine or an older form."""
    try:
        found = msgspec.json.decode((file or calibration_file()).read_bytes(), type=Calibration)
    except (OSError, msgspec.MsgspecError):
        return None
    return found if found.version == VERSION and found.machine == fingerprint() else None


def save(calibration: Calibration, file: Path | None = None) -> Path:
    file = file or calibration_file()
    paths.ensure_private_dir(file.parent)
    with replacing(file) as out:
        out.write(msgspec.json.format(msgspec.json.encode(calibration), indent=1))
    return file


class Law:
    """Seconds of a pass for any model: see the module's docstring."""

    def __init__(self, points: Sequence[Point]):
        """points: one backend, precision, number of threads, and one (tokens, batch)."""
        self._decode = points[0].tokens == 1
        rows = np.array([[1.0, p.layers, self._load(p.bytes_moved, p.macs)] for p in points])
        seconds = np.array([p.seconds for p in points])
        self._terms = _non_negative(rows / seconds[:, None], np.ones(len(points)))
        self.p95_ratio = float(np.median([p.p95_s / p.seconds for p in points]))

    def _load(self, bytes_moved: float, macs: float) -> float:
        return bytes_moved if self._decode else macs

    def seconds(self, config: ModelConfig, precision: str, tokens: int, batch: int) -> float:
        moved, macs = pass_bytes(config, tokens, batch, precision), pass_macs(config, tokens, batch)
        return float(self._terms @ (1.0, config.layers, self._load(moved, macs)))


def _non_negative(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Least squares x >= 0 of a x = b, exactly, for a handful of columns: the best over all sets of non-zero ones."""
    best, best_error = np.zeros(a.shape[1]), float(b @ b)
    for size in range(1, a.shape[1] + 1):
        for columns in combinations(range(a.shape[1]), size):
            part = a[:, columns]
            x, *_ = np.linalg.lstsq(part, b, rcond=None)
            error = float(np.sum((part @ x - b) ** 2))
            if (x >= 0).all() and error < best_error - 1e-12:
                best, best_error = np.zeros(a.shape[1]), error
                best[list(columns)] = x
    return best


class Predictor:
    """Laws and direct measurements of one calibration."""

    def __init__(self, calibration: Calibration):
        self.calibration = calibration
        self._law = lru_cache(maxsize=None)(self._fit)

    def _fit(self, backend: str, precision: str, threads: int, tokens: int, batch: int) -> Law | None:
        wanted = (backend, precision, threads, tokens, batch)
        found = [p for p in self.calibration.points
                 if (p.backend, p.precision, p.threads, p.tokens, p.batch) == wanted and not p.model]  # fmt: skip
        return Law(found) if found else None

    def pass_s(self, backend: str, precision: str, threads: int, config: ModelConfig, tokens: int = 1, batch: int = 1,
               model: str = "") -> tuple[float, float, bool] | None:  # fmt: skip
        """(median, 95th percentile, whether this very model was measured) in seconds, or None.

        A pass of more tokens than a chunk is several chunks; between one conversation and BUSY of them the law is a
        straight line.
        """
        if tokens > 1:
            one = self._direct(backend, precision, threads, PREFILL_CHUNK, 1, config, model)
            chunks = tokens / PREFILL_CHUNK
            return one and (one[0] * chunks, one[1] * chunks, one[2])
        alone = self._direct(backend, precision, threads, 1, 1, config, model)
        if batch == 1 or alone is None:
            return alone
        busy = self._direct(backend, precision, threads, 1, BUSY, config, model)
        if busy is None:
            return alone[0] * batch, alone[1] * batch, False
        share = (batch - 1) / (BUSY - 1)
        return (*tuple(max(a, a + (b - a) * share) for a, b in zip(alone[:2], busy[:2], strict=True)), alone[2])

    def _direct(self, backend: str, precision: str, threads: int, tokens: int, batch: int, config: ModelConfig,
                model: str) -> tuple[float, float, bool] | None:  # fmt: skip
        for p in self.calibration.points if model else ():
            if (p.model, p.backend, p.precision, p.threads, p.tokens, p.batch) == (
                model, backend, precision, threads, tokens, batch):  # fmt: skip
                return p.seconds, p.p95_s, True
        law = self._law(backend, precision, threads, tokens, batch)
        if law is None:
            return None
        seconds = law.seconds(config, precision, tokens, batch)
        return seconds, seconds * law.p95_ratio, False
