"""A microphone, a loudspeaker and models that a test plays."""

from __future__ import annotations

import queue
import threading

import numpy as np

from assistant.voice import events
from assistant.voice.vad import FRAME


class Microphone:
    """Frames that the test gives; a frame's level is its meaning: `SPEECH` is speech to the model below."""

    def __init__(self) -> None:
        self.frames: queue.Queue[np.ndarray] = queue.Queue()
        self.on = self.closed = False

    def start(self) -> None:
        self.on = True

    def stop(self) -> None:
        self.on = False

    def read(self) -> np.ndarray:
        return self.frames.get(timeout=10)

    def close(self) -> None:
        self.closed = True

    def hear(self, level: float, count: int) -> None:
        for _ in range(count):
            self.frames.put(np.full(FRAME, level, np.float32))

    def end(self) -> None:
        self.frames.put(np.zeros(0, np.float32))


class Loudspeaker:
    """Takes sound at once, or waits for the test before each piece."""

    def __init__(self, waits: bool = False):
        self.heard: list[np.ndarray] = []
        self.cuts = self.drains = 0
        self.closed = False
        self.go_on = threading.Event()
        self.taking = threading.Event()
        if not waits:
            self.go_on.set()

    def write(self, samples: np.ndarray, rate_hz: int) -> None:
        self.taking.set()
        assert self.go_on.wait(10)
        self.heard.append(samples)

    def drain(self) -> None:
        self.drains += 1

    def cut(self) -> None:
        self.cuts += 1

    def close(self) -> None:
        self.closed = True


class Synthesizer:
    """A tenth of a second for each word, as loud as the number of words."""

    name, rate_hz = "fake", 16_000

    def __init__(self, error: Exception | None = None):
        self.said: list[str] = []
        self.error = error

    def speak(self, text: str):
        self.said.append(text)
        if self.error:
            raise self.error
        for _ in text.split():
            yield np.full(1600, 0.5, np.float32)

    def close(self) -> None:
        pass


class Model:
    """For `Vad`: whatever is loud is speech."""

    inputs: dict = {}  # noqa: RUF012

    def run(self, inputs):
        loud = float(np.abs(inputs["input"][0, -FRAME:]).max() > 0.05)
        return {"output": np.array([[loud]], np.float32), "stateN": inputs["state"]}


def until(told: queue.Queue, kind: type[events.Event], *others: type[events.Event]) -> events.Event:
    """The next event of one of the kinds; what comes before is left out."""
    while not isinstance(event := told.get(timeout=10), (kind, *others)):
        pass
    return event
