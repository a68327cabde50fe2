"""The memory wall of this host: its read bandwidth, measured once for a size and kept with date and machine."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from assistant import paths
from assistant.errors import AssistantError
from backends import installed
from backends.processor import processor_name

FILE = "read_bandwidth.json"
FRESH_S, BUSY_FRESH_S = 30 * 86400.0, 3600.0
BUSY_LOAD = 0.5  # per processor, of the last minute: others were reading memory too
LIKE = 1.25  # a reading stands for sizes within this factor: part of a small model stays in the last-level cache
MOST_BYTES, LEAST_BYTES = 256 << 20, 1 << 20
SHARE_OF_FREE_MEMORY = 0.25

Probe = Callable[[int, int], float]
"""(bytes, threads) -> bytes per second; raises OSError."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The best measurement of about a size. `source`: what read, in words. busy: the machine had other work whenever
    it was measured, so it may read faster than this.
    """

    bytes_s: float
    size_bytes: int
    threads: int
    measured_at: float
    source: str
    busy: bool = False
    checked_at: float = 0.0


class _Kept(msgspec.Struct, kw_only=True):
    machine: str
    readings: list[Reading] = []


def read_bandwidth(size_bytes: int, threads: int | None = None, *, measure: bool = True, fresh: bool = False,
                   folder: Path | None = None, probe: tuple[Probe, str] | None = None) -> Reading | None:  # fmt: skip
    """What this host reads per second when it reads `size_bytes` in order with `threads` threads (None: all that we
    may use: what the host can, not what one backend takes).

    A kept reading of about that size answers at once, for a month, or for an hour if the machine was busy. Otherwise,
    if `measure`, it is measured (some 0.1 s, 0.3 s for the largest size, which is cut to MOST_BYTES and to a quarter of
    the free memory); else None. What was once read within that month can be read: the best is kept. `fresh` measures
    anyway. `folder` and `probe` are for tests.
    """
    folder, threads = folder or paths.cache_dir(), threads or len(os.sched_getaffinity(0))
    size = _sensible(size_bytes)
    kept = _load(folder)
    if not fresh and (found := _nearest(kept.readings, size, threads)):
        return found
    if not measure:
        return None
    read, source = probe or best_probe()
    now = time.time()
    made = Reading(bytes_s=read(size, threads), size_bytes=size, threads=threads, measured_at=now, source=source)
    before = [r for r in kept.readings if _like(r, size, threads)]
    best = max([made, *(r for r in before if 0 <= now - r.measured_at < FRESH_S)], key=lambda r: r.bytes_s)
    best = msgspec.structs.replace(best, busy=_is_busy(), checked_at=now)
    kept.readings = [r for r in kept.readings if r not in before] + [best]
    _save(folder, kept)
    return best


def _is_busy() -> bool:
    return os.getloadavg()[0] > BUSY_LOAD * (os.cpu_count() or 1)


def machine() -> str:
    """What a measurement belongs to: the processor's name and count, and the memory; nothing that names a person."""
    memory = "?"
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal:"):
            memory = f"{round(int(line.split()[1]) / 2**20)} GiB"
    return f"{processor_name()}, {os.cpu_count()} processors, {memory}"


def best_probe() -> tuple[Probe, str]:
    """A backend's own reader where one has it, else one thread of NumPy."""
    for kind in installed.kinds().values():
        if not kind.info.simulated and hasattr(kind, "host_read_bandwidth"):
            try:
                kind.host_read_bandwidth(LEAST_BYTES, 1)
            except OSError:
                continue
            return kind.host_read_bandwidth, f"the backend '{kind.info.name}' summing up memory"
    return _numpy_probe, "NumPy on one thread: a lower bound"


def _numpy_probe(size: int, _threads: int) -> float:
    import numpy as np

    half = np.ones(size // 8, np.float32)
    other, best_s = np.ones_like(half), float("inf")
    for _ in range(6):
        started = time.perf_counter()
        np.dot(half, other)  # every value is read once
        best_s = min(best_s, time.perf_counter() - started)
    return 2 * half.nbytes / best_s


def _sensible(size_bytes: int) -> int:
    free = next((int(x.split()[1]) << 10 for x in _lines("/proc/meminfo") if x.startswith("MemAvailable:")), MOST_BYTES)
    return max(LEAST_BYTES, min(size_bytes, MOST_BYTES, int(free * SHARE_OF_FREE_MEMORY)))


def _like(reading: Reading, size: int, threads: int) -> bool:
    return reading.threads == threads and size / LIKE <= reading.size_bytes <= size * LIKE


def _nearest(readings: list[Reading], size: int, threads: int) -> Reading | None:
    now = time.time()
    usable = [r for r in readings if _like(r, size, threads) and 0 <= now - r.measured_at < FRESH_S
              and (not r.busy or 0 <= now - r.checked_at < BUSY_FRESH_S)]  # fmt: skip
    return min(usable, key=lambda r: abs(r.size_bytes - size), default=None)


def _load(folder: Path) -> _Kept:
    try:
        kept = msgspec.json.decode((folder / FILE).read_bytes(), type=_Kept)
    except (OSError, msgspec.DecodeError):  # it can be made again at any time
        return _Kept(machine=machine())
    return kept if kept.machine == machine() else _Kept(machine=machine())


def _save(folder: Path, kept: _Kept) -> None:
    temporary = folder / f"{FILE}.{os.getpid()}"
    with contextlib.suppress(OSError, AssistantError):  # a full or closed disk costs a measurement next time
        paths.ensure_private_dir(folder)
        try:
            temporary.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")
            temporary.replace(folder / FILE)
        finally:
            temporary.unlink(missing_ok=True)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
