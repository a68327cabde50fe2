"""Speaks pieces of text in their order, and can be silenced at once.

Two threads, so that the next sentence is made while this one is heard: text -> synthesizer -> sound -> loudspeaker.
Whoever hushes raises the turn's number; what belongs to an earlier turn is thrown away wherever it is.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Protocol

import numpy as np

from assistant.errors import AssistantError
from assistant.voice import events
from assistant.voice.level import level_dbfs
from assistant.voice.synthesis import Synthesizer

PIECE_S = 0.02  # handed to the loudspeaker at once: a hush waits for no more
AHEAD = 64  # blocks of sound made in advance


class Player(Protocol):
    """A loudspeaker; see `devices.Loudspeaker`."""

    def write(self, samples: np.ndarray, rate_hz: int) -> None: ...
    def drain(self) -> None: ...
    def cut(self) -> None: ...
    def close(self) -> None: ...


class Mouth:
    """`say` any number of times, then `end`; `hush` at any time. Tells Sounding, Spoken and Failed."""

    def __init__(self, synthesizer: Synthesizer, player: Callable[[], Player], tell: Callable[[events.Told], None]):
        self._synthesizer, self._open, self._tell = synthesizer, player, tell
        self._texts: queue.Queue[tuple[int, str | None] | None] = queue.Queue()
        self._sounds: queue.Queue[tuple[int, np.ndarray | None, int] | None] = queue.Queue(AHEAD)
        self._turn, self._open_turn = 0, False
        self._lock = threading.Lock()
        self.level_dbfs: float | None = None  # of what is being played; None: nothing
        self._threads = [threading.Thread(target=work, name=work.__name__, daemon=True)
                         for work in (self._synthesize, self._play)]  # fmt: skip
        for thread in self._threads:
            thread.start()

    @property
    def speaking(self) -> bool:
        """From the first `say` until all of it has been heard or hushed."""
        return self._open_turn

    def say(self, text: str) -> None:
        with self._lock:
            self._open_turn = True
            self._texts.put((self._turn, text))

    def end(self) -> None:
        with self._lock:
            self._texts.put((self._turn, None))

    def hush(self) -> bool:
        """True if there was something to silence. `Spoken` will not come for it."""
        with self._lock:
            was, self._open_turn = self._open_turn, False
            self._turn += 1
        return was

    def close(self) -> None:
        """Silence; the threads end."""
        self.hush()
        self._texts.put(None)
        for thread in self._threads:
            thread.join(2.0)

    def _synthesize(self) -> None:
        while (item := self._texts.get()) is not None:
            turn, text = item
            try:
                if text is None:
                    self._sounds.put((turn, None, 0))
                elif turn == self._turn:
                    sound = self._synthesizer.speak(text)
                    for samples in sound:
                        if turn != self._turn:
                            break
                        self._sounds.put((turn, samples, self._synthesizer.rate_hz))
                    sound.close()
            except AssistantError as error:
                self.hush()
                self._tell(events.Failed(str(error), fatal=False))
        self._sounds.put(None)

    def _play(self) -> None:
        player, sounding = None, None
        while True:
            try:
                item = self._sounds.get(timeout=PIECE_S)
            except queue.Empty:
                self.level_dbfs = None
                if player is not None and sounding not in (None, self._turn):
                    player.cut()
                    sounding = None
                continue
            if item is None:
                break
            turn, samples, rate_hz = item
            if turn != self._turn:
                if player is not None and sounding is not None:
                    player.cut()
                self.level_dbfs = sounding = None
                continue
            try:
                player = player or self._open()
                if samples is None:
                    player.drain()
                    self._finished(turn)
                    sounding = None
                    continue
                if sounding != turn:
                    sounding = turn
                    self._tell(events.Sounding())
                self._write(player, turn, samples, rate_hz)
            except AssistantError as error:
                self.hush()
                sounding = None
                self._tell(events.Failed(str(error)))
        if player is not None:
            player.close()

    def _write(self, player: Player, turn: int, samples: np.ndarray, rate_hz: int) -> None:
        step = max(1, round(rate_hz * PIECE_S))
        for start in range(0, len(samples), step):
            if turn != self._turn:
                return
            piece = samples[start : start + step]
            self.level_dbfs = level_dbfs(piece)
            player.write(piece, rate_hz)

    def _finished(self, turn: int) -> None:
        self.level_dbfs = None
        with self._lock:
            whole, self._open_turn = turn == self._turn, self._open_turn and turn != self._turn
        if whole:
            self._tell(events.Spoken())
