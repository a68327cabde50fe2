"""Hears utterances in the sound of a microphone: hands-free, or while a button is held.

One thread reads, another transcribes, so that nothing is missed while a sentence is being understood.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

from assistant.errors import AssistantError
from assistant.voice import events
from assistant.voice.level import EchoGate, level_dbfs
from assistant.voice.segmenter import FRAME_S, Began, Ended, Framer, Segmenter, Timing
from assistant.voice.vad import RATE_HZ, Vad

LEVEL_FRAMES = 3  # one Level for so many frames


class Source(Protocol):
    """A microphone; see `devices.Microphone`."""

    def start(self) -> None: ...
    def stop(self) -> None: ...

    def read(self) -> np.ndarray:
        """f32[n] at 16 kHz; empty at the end of a recording."""
        ...

    def close(self) -> None: ...


class Ears:
    """Tells Level, Began, Understanding, Heard and Failed. `playing`: the level of what we are saying, or None."""

    def __init__(
        self,
        source: Callable[[], Source],
        vad: Vad,
        transcribe: Callable[[np.ndarray], str],
        tell: Callable[[events.Told], None],
        *,
        timing: Timing | None = None,
        playing: Callable[[], float | None] = lambda: None,
        speaking: Callable[[], bool] = lambda: False,
        hush: Callable[[], bool] = lambda: False,
        half_duplex: bool = False,
    ):
        """`speaking`: whether we are; `hush`: silences us, True if there was something to silence. `half_duplex`: while
        we speak only the button is heard."""
        self._open, self._vad, self._transcribe, self._tell = source, vad, transcribe, tell
        self._playing, self._speaking, self._hush, self._half_duplex = playing, speaking, hush, half_duplex
        self._segmenter, self._gate = Segmenter(timing), EchoGate()
        self._button: list[np.ndarray] | None = None  # what was heard since it was pressed
        self._likeliest = 0.0  # probability of speech since then
        self._hands_free = self._closing = self._on = False
        self._lock = threading.Lock()
        self._wanted = threading.Event()  # somebody wants to be heard: only then the microphone is on
        self._levels: list[float] = []
        self._utterances: queue.Queue[Ended | None] = queue.Queue()
        self._threads = [threading.Thread(target=work, name=work.__name__, daemon=True)
                         for work in (self._hear, self._understand)]  # fmt: skip

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def listen(self, how: str) -> None:
        """`hands-free`, `button` (from now until `off`) or `off`. A button interrupts us without being loud."""
        with self._lock:
            held, self._button = self._button, None
            self._hands_free = how == "hands-free"
            self._segmenter.reset()
            if how == "button":
                self._button, self._likeliest = [], 0.0
            (self._wanted.clear if how == "off" else self._wanted.set)()
        if how == "button":
            self._tell(events.Began(self._hush()))
        elif held is not None:
            # A model that has to write something invents words for silence, so it is not asked.
            spoken = held and self._likeliest >= self._segmenter.timing.start_at
            self._ended(Ended(np.concatenate(held) if spoken else np.zeros(0, np.float32)))

    def close(self) -> None:
        self._closing = True
        self._wanted.set()
        self._utterances.put(None)
        for thread in self._threads:
            if thread.is_alive():
                thread.join(2.0)

    def _ended(self, ended: Ended) -> None:
        self._tell(events.Understanding(ended.silence_s))
        self._utterances.put(ended)

    def _hear(self) -> None:
        source = None
        try:
            source, framer = self._open(), Framer()
            while self._is_wanted(source):
                samples = source.read()
                for frame in framer.push(samples) if len(samples) else framer.flush():
                    self._frame(frame)
                if not len(samples):
                    break
            if last := self._segmenter.flush():
                self._ended(last)
        except AssistantError as error:
            self._tell(events.Failed(str(error)))
        except Exception as error:
            # A thread's error would end in a traceback that nobody sees, and the conversation would just hang.
            self._tell(events.Failed(f"listening failed: {error!r}"))
        finally:
            if source is not None:
                source.close()
            self._utterances.put(None)

    def _is_wanted(self, source: Source) -> bool:
        """Waits, with the microphone off, while nobody wants to be heard; False at the end."""
        if not self._wanted.is_set() and self._on:
            source.stop()
            self._on = False
        self._wanted.wait()
        if not self._on and not self._closing:
            self._vad.reset()
            source.start()
            self._on = True
        return not self._closing

    def _frame(self, frame: np.ndarray) -> None:
        """`frame`: f32[512]."""
        dbfs, speaking = level_dbfs(frame), self._speaking()
        probability = self._vad(frame)
        admitted = self._gate.admits(dbfs, self._playing()) and not (speaking and self._half_duplex)
        self._levels.append(dbfs)
        if len(self._levels) == LEVEL_FRAMES:
            self._tell(events.Level(max(self._levels), probability))
            self._levels.clear()
        with self._lock:
            if self._button is not None:
                self._button.append(frame)
                self._likeliest = max(self._likeliest, probability)
                full = len(self._button) * FRAME_S >= self._segmenter.timing.longest_s
                happened = None
            elif self._hands_free:
                full = False
                happened = self._segmenter.push(frame, probability if admitted else 0.0, interrupting=speaking)
            else:
                return
        if full:
            self.listen("off")
        elif isinstance(happened, Began):
            self._tell(events.Began(self._hush()))
        elif isinstance(happened, Ended):
            self._ended(happened)

    def _understand(self) -> None:
        while (ended := self._utterances.get()) is not None:
            began = time.perf_counter()
            try:
                text = self._transcribe(ended.samples) if len(ended.samples) else ""
            except Exception as error:  # as above; the next utterance may fare better
                self._tell(events.Failed(f"an utterance was not understood: {error!r}", fatal=False))
                text = ""
            took_s = time.perf_counter() - began
            self._tell(events.Heard(text, len(ended.samples) / RATE_HZ, took_s, ended.silence_s, ended.whole))
