"""How far predictions are off, learnt from what the engine measures, and what corrects the next prediction."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import msgspec

from assistant import paths
from assistant.models.atomic import replacing

log = logging.getLogger(__name__)

SHARE = 0.2  # of a new reply in the running mean: some five replies decide
ENOUGH_TOKENS = 8  # a reply shorter than that says little


class Track(msgspec.Struct, kw_only=True):
    """Of one model, backend, precision and number of threads. ratio: measured / predicted without any correction;
    error: mean relative error of the corrected prediction at the time it was made."""

    ratio: float = 1.0
    error: float = 0.0
    replies: int = 0


class Feedback:
    """Tracks by key, kept in a file that may be lost at any time."""

    def __init__(self, file: Path | None = None):
        self._file = file or paths.data_dir() / "predictions.json"
        try:
            self._tracks = msgspec.json.decode(self._file.read_bytes(), type=dict[str, Track])
        except (OSError, msgspec.MsgspecError):
            self._tracks = {}
        self._newest = 1.0

    @staticmethod
    def key(model: str, backend: str, precision: str, threads: int) -> str:
        return f"{model[:16]}/{backend}/{precision}/{threads}"

    def track(self, key: str) -> Track:
        return self._tracks.get(key, Track())

    def ratio(self, key: str) -> float:
        """What to multiply the prediction with; 1 before anything was measured.

        Where this very key was not measured, the newest ratio of another one counts: a machine that has become slow has
        so for all of them, and only one of them corrected would look worse than it is.
        """
        return self._tracks[key].ratio if key in self._tracks else self._newest

    def add(self, key: str, predicted_s: float, measured_s: float, tokens: int) -> Track:
        """predicted_s: per pass, without correction; measured_s: the mean pass of a reply of `tokens`."""
        track = self.track(key)
        if tokens < ENOUGH_TOKENS or not predicted_s > 0 or not measured_s > 0:
            return track
        share = SHARE if track.replies else 1.0
        error = abs(predicted_s * track.ratio / measured_s - 1)
        log_ratio = math.log(track.ratio) * (1 - share) + math.log(measured_s / predicted_s) * share
        track = Track(ratio=math.exp(log_ratio), error=track.error * (1 - share) + error * share,
                      replies=track.replies + 1)  # fmt: skip
        self._tracks[key], self._newest = track, track.ratio
        return track

    def save(self) -> None:
        try:
            paths.ensure_private_dir(self._file.parent)
            with replacing(self._file) as out:
                out.write(msgspec.json.encode(self._tracks))
        except OSError as error:
            log.warning("what was learnt about predictions is not kept: %s", error)
