"""Where an utterance begins and ends: speech probabilities, frame by frame, in; whole utterances out (pure)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from assistant.voice.vad import FRAME, RATE_HZ

FRAME_S = FRAME / RATE_HZ


@dataclass(frozen=True, slots=True)
class Timing:
    """When speech is believed to begin and to end."""

    start_at: float = 0.5  # probability that counts as speech
    go_on_at: float = 0.35  # lower once somebody speaks: a quiet syllable does not end a sentence
    start_s: float = 0.1  # so much of it begins an utterance: a click does not
    interrupt_s: float = 0.25  # so much of it interrupts us: a cough does not
    end_s: float = 0.6  # so much silence ends it
    pre_roll_s: float = 0.3  # kept from before the beginning: a first consonant is quieter than the threshold
    tail_s: float = 0.4  # kept of the silence at the end
    longest_s: float = 25.0  # the model was trained on 30 s and less: what is longer comes in parts


@dataclass(frozen=True, slots=True)
class Began:
    """Somebody speaks."""


@dataclass(frozen=True, slots=True)
class Ended:
    """They have finished, or spoken for the longest time."""

    samples: np.ndarray = field(repr=False)  # f32[n], 16 kHz, with pre-roll and tail
    silence_s: float = 0.0  # between the end of the speech and this moment
    whole: bool = True  # False: cut at the longest time, more follows


class Segmenter:
    """A frame and its probability at a time."""

    def __init__(self, timing: Timing | None = None):
        self.timing = timing or Timing()
        self.reset()

    def reset(self) -> None:
        """Forget everything: what was heard before is not part of what comes."""
        longest_start_s = max(self.timing.start_s, self.timing.interrupt_s)
        self._ring = deque(maxlen=round((longest_start_s + self.timing.pre_roll_s) / FRAME_S))
        self._frames: list[np.ndarray] = []
        self._voiced = self._silent = 0

    @property
    def speaking(self) -> bool:
        return bool(self._frames)

    def push(self, frame: np.ndarray, probability: float, interrupting: bool = False) -> Began | Ended | None:
        """`frame`: f32[512] at 16 kHz. `interrupting`: a beginning would cut somebody short, so it has to be longer."""
        if not self._frames:
            self._ring.append(frame)
            self._voiced = self._voiced + 1 if probability >= self.timing.start_at else 0
            if self._voiced * FRAME_S < (self.timing.interrupt_s if interrupting else self.timing.start_s):
                return None
            self._frames, self._silent = list(self._ring), 0
            self._ring.clear()
            return Began()
        self._frames.append(frame)
        self._silent = self._silent + 1 if probability < self.timing.go_on_at else 0
        if self._silent * FRAME_S >= self.timing.end_s:
            return self._end()
        if len(self._frames) * FRAME_S >= self.timing.longest_s:
            return self._end(whole=False)
        return None

    def flush(self) -> Ended | None:
        """The sound ends here: the utterance that is under way, if any."""
        return self._end() if self._frames else None

    def _end(self, whole: bool = True) -> Ended:
        surplus = max(0, self._silent - round(self.timing.tail_s / FRAME_S))
        samples = np.concatenate(self._frames[: len(self._frames) - surplus])
        ended = Ended(samples, self._silent * FRAME_S, whole)
        self.reset()
        return ended


class Framer:
    """Pieces of any size in, frames of 512 samples out; the rest waits for the next piece."""

    def __init__(self, size: int = FRAME):
        self._size, self._rest = size, np.zeros(0, np.float32)

    def push(self, samples: np.ndarray) -> list[np.ndarray]:
        joined = np.concatenate([self._rest, samples])
        whole = len(joined) - len(joined) % self._size
        self._rest = joined[whole:]
        return list(joined[:whole].reshape(-1, self._size))

    def flush(self) -> list[np.ndarray]:
        """The rest, filled up with silence."""
        rest, self._rest = self._rest, np.zeros(0, np.float32)
        return [np.pad(rest, (0, self._size - len(rest)))] if len(rest) else []
