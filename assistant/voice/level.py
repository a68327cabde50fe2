"""How loud a sound is, for people and for the echo gate (pure)."""

from __future__ import annotations

from collections import deque
from statistics import median

import numpy as np

FLOOR_DBFS = -90.0
QUIET_DBFS, LOUD_DBFS = -60.0, -6.0  # the ends of a meter


def level_dbfs(samples: np.ndarray) -> float:
    """Root mean square of f32[n] in dB, 0 being full scale; -90 for silence."""
    if not len(samples):
        return FLOOR_DBFS
    return max(FLOOR_DBFS, 20.0 * float(np.log10(np.sqrt(np.mean(np.square(samples), dtype=np.float64)) + 1e-12)))


def meter(dbfs: float) -> float:
    """The level as 0..1 of a meter's length."""
    return min(1.0, max(0.0, (dbfs - QUIET_DBFS) / (LOUD_DBFS - QUIET_DBFS)))


class EchoGate:
    """Whether what the microphone hears while we speak can be somebody else: it is louder than our echo should be.

    Learns how much quieter our own speech arrives than it left (the median over the last seconds, so that a short
    interruption hardly moves it) and lets through what is `margin_db` above. This is no echo cancellation: a quiet
    voice beside loud loudspeakers is not heard, and until half a second has been played nothing is.
    """

    LEARNED_FRAMES = 16
    MEMORY_FRAMES = 96
    AUDIBLE_DBFS = -45.0

    def __init__(self, margin_db: float = 8.0, tail_frames: int = 10):
        self.margin_db = margin_db
        self._played: deque[float] = deque(maxlen=tail_frames)  # sound travels, rooms ring, buffers delay
        self._losses_db: deque[float] = deque(maxlen=self.MEMORY_FRAMES)

    def admits(self, heard_dbfs: float, played_dbfs: float | None) -> bool:
        """One frame: its level, and that of what was played during it (None: nothing)."""
        self._played.append(FLOOR_DBFS if played_dbfs is None else played_dbfs)
        loudest = max(self._played)
        if loudest < self.AUDIBLE_DBFS:
            return True
        self._losses_db.append(heard_dbfs - loudest)
        if len(self._losses_db) < self.LEARNED_FRAMES:
            return False
        return heard_dbfs > loudest + median(self._losses_db) + self.margin_db
