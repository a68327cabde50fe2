"""Speech: words that are got wrong, real-time factors, and how long a person waits for the first sound of a reply.

    make bench ARGS=tests/bench/test_voice.py

Needs the extra [voice]; piper is measured too where it is installed. The sentences are spoken by machines (36 by each
voice), so the figures compare engines on one machine; a person in a room is another matter.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median

import numpy as np
import pytest

from assistant.client import Client, call
from assistant.errors import AssistantError
from assistant.voice import bench, inventory
from assistant.voice.segmenter import FRAME_S, Framer, Timing
from assistant.voice.talk import Talk, Turn
from assistant.voice.vad import FRAME, RATE_HZ

pytestmark = pytest.mark.bench
missing = [p.name for p in inventory.parts() if not p.present and not p.optional and not p.needs_device]
if missing:
    pytest.skip(f"not installed: {', '.join(missing)}", allow_module_level=True)

QUESTIONS = ("Hello, who are you?", "What can you do for me today?", "I feel a little sad because it is raining.",
             "How do I boil an egg?", "Thank you, that was very helpful.")  # fmt: skip


def test_word_errors_and_real_time_factors() -> None:
    results = bench.run()
    print(f"\n{bench.table(results)}")
    for result in results:
        for said, heard in result.wrong:
            print(f"  {result.engine} {result.voice}: {said!r} heard as {heard!r}")
    for result in results:
        assert result.sentences >= 30
        assert result.word_error_rate < 0.3
        assert result.transcribe_rtf < 1  # or nobody could talk with it


@pytest.fixture
def daemon() -> Iterator[None]:
    child = subprocess.Popen([sys.executable, "-P", "-m", "assistant", "serve"], stderr=subprocess.DEVNULL)
    for _ in range(600):
        try:
            if call(lambda client: client.ready()).ready:
                break
        except AssistantError:
            pass
        time.sleep(0.1)
    yield
    child.send_signal(signal.SIGTERM)
    child.wait(30)


class Room:
    """A microphone in real time: the questions, and between them silence until the reply has been heard."""

    def __init__(self, clips: list[np.ndarray]):
        self._clips = [frame for clip in clips for frame in [*Framer().push(clip), None]]
        self.speak = True
        self._next_s = 0.0

    def start(self) -> None:
        self._next_s = time.monotonic()

    def stop(self) -> None: ...
    def close(self) -> None: ...

    def read(self) -> np.ndarray:
        self._next_s += FRAME_S
        time.sleep(max(0.0, self._next_s - time.monotonic()))
        if not self.speak or not self._clips:
            return np.zeros(FRAME, np.float32)
        frame = self._clips.pop(0)
        self.speak = frame is not None
        return np.zeros(FRAME, np.float32) if frame is None else frame


class Silent:
    """A loudspeaker that takes sound at once."""

    def write(self, samples: np.ndarray, rate_hz: int) -> None: ...
    def drain(self) -> None: ...
    def cut(self) -> None: ...
    def close(self) -> None: ...


class Show:
    def __init__(self, room: Room):
        self.turns: list[Turn] = []
        self._room = room

    def turn(self, turn: Turn) -> None:
        self.turns.append(turn)
        self._room.speak = True

    def problem(self, message: str) -> None:
        raise AssertionError(message)

    def __getattr__(self, _name: str):
        return lambda *_: None


@pytest.mark.parametrize("engine", ["espeak", "piper"])
def test_from_the_end_of_speech_to_the_first_sound(daemon: None, engine: str) -> None:
    from assistant.voice import synthesis
    from assistant.voice.engine import Engine, Options
    from assistant.voice.resample import resample

    try:
        synthesis.open_synthesizer(engine).close()
    except AssistantError as error:
        pytest.skip(str(error))
    speaker = synthesis.Espeak()
    clips = [resample(np.concatenate(list(speaker.speak(text))), speaker.rate_hz, RATE_HZ) for text in QUESTIONS]
    room = Room([np.concatenate([np.zeros(FRAME * 20, np.float32), clip]) for clip in clips])
    show = Show(room)

    async def talk() -> None:
        told: asyncio.Queue = asyncio.Queue()
        loop = asyncio.get_running_loop()
        async with Client() as client:
            started = Engine(Options(engine=engine), lambda event: loop.call_soon_threadsafe(told.put_nowait, event),
                             source=lambda: room, player=Silent)  # fmt: skip
            try:
                await Talk(client, started, told, show, turns=len(QUESTIONS)).run()
            finally:
                await asyncio.to_thread(started.close)

    asyncio.run(asyncio.wait_for(talk(), 300))
    waits = {name: median(getattr(turn, name) for turn in show.turns)
             for name in ("transcribed_s", "first_text_s", "first_sound_s")}  # fmt: skip
    listed = ", ".join(f"{name} {seconds:.2f}" for name, seconds in waits.items())
    print(f"\n{engine}: s after the end of speech, medians of {len(show.turns)}, {os.cpu_count()} cores: {listed};"
          f" {Timing().end_s} s of it is the silence at the end")  # fmt: skip
    assert all(turn.reply and turn.first_sound_s for turn in show.turns)
