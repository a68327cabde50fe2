"""The read bandwidth of this host over so many bytes: from its calibration, or from a short measurement of its own."""

from __future__ import annotations

from datetime import datetime

from assistant.meter.bandwidth import LIKE, Reading, read_bandwidth
from assistant.planning import calibration


def host_bandwidth(size_bytes: int, *, measure: bool = True, fresh: bool = False) -> Reading | None:
    """The best that is known to have been read over about as many bytes: a wall is what cannot be passed.

    `measure` and `fresh` as in assistant.meter.bandwidth.read_bandwidth. Raises OSError where that fails.
    """
    known = None if fresh else calibrated(size_bytes)
    found = read_bandwidth(size_bytes, measure=measure and known is None, fresh=fresh)
    return max((r for r in (known, found) if r), key=lambda r: r.bytes_s, default=None)


def calibrated(size_bytes: int, kept: calibration.Calibration | None = None) -> Reading | None:
    """The best of the calibration's readings of about that size, if there is one."""
    kept = kept or calibration.load()
    rows = [(rate, size, threads) for threads, reads in (kept.read_bytes_s.items() if kept else ())
            for size, rate in reads if size_bytes / LIKE <= size <= size_bytes * LIKE]  # fmt: skip
    if not rows:
        return None
    rate, size, threads = max(rows)
    when = datetime.fromisoformat(kept.measured_at).timestamp()
    return Reading(bytes_s=rate, size_bytes=size, threads=threads, measured_at=when,
                   source="`assistant bench --calibrate`")  # fmt: skip
