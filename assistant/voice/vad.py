"""How likely a frame of sound is speech: Silero's model, in ONNX Runtime.

Silero VAD v5 (https://github.com/snakers4/silero-vad, MIT): 32 ms of 16 kHz with the last 4 ms before them and a
recurrent state in, a probability and the next state out.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

RATE_HZ = 16_000
FRAME = 512  # samples
CONTEXT = 64  # samples


class Session(Protocol):
    """A loaded ONNX model."""

    inputs: dict[str, tuple]

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]: ...


class Vad:
    """Has a memory: one per sound, frames in their order."""

    def __init__(self, session: Session):
        self._session, self._rate = session, np.array(RATE_HZ, np.int64)
        self.reset()

    def reset(self) -> None:
        self._state = np.zeros((2, 1, 128), np.float32)
        self._context = np.zeros(CONTEXT, np.float32)

    def __call__(self, frame: np.ndarray) -> float:
        """`frame`: f32[512] at 16 kHz. A probability, 0..1."""
        heard = np.concatenate([self._context, frame])[None]
        out = self._session.run({"input": heard, "state": self._state, "sr": self._rate})
        self._state, self._context = out["stateN"], frame[-CONTEXT:]
        return float(out["output"][0, 0])
