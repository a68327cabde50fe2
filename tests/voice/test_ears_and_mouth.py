"""The two ends of a conversation with fake devices: what is told, when the microphone is on, what a hush leaves."""

from __future__ import annotations

import queue
from collections.abc import Iterator

import numpy as np
import pytest

from assistant.errors import VoiceUnavailable
from assistant.voice import events
from assistant.voice.ears import Ears
from assistant.voice.mouth import Mouth
from assistant.voice.vad import Vad

from .fakes import Loudspeaker, Microphone, Model, Synthesizer, until

SPEECH, SILENCE = 0.5, 0.0


class Head:
    """Ears and mouth that know of each other, as in `engine.Engine`."""

    def __init__(self, half_duplex: bool = False, waits: bool = False):
        self.told: queue.Queue[events.Told] = queue.Queue()
        self.microphone, self.loudspeaker, self.synthesizer = Microphone(), Loudspeaker(waits), Synthesizer()
        self.transcribed: list[np.ndarray] = []
        self.mouth = Mouth(self.synthesizer, lambda: self.loudspeaker, self.told.put)
        self.ears = Ears(lambda: self.microphone, Vad(Model()), self.transcribe, self.told.put,
                         playing=lambda: self.mouth.level_dbfs, speaking=lambda: self.mouth.speaking,
                         hush=self.mouth.hush, half_duplex=half_duplex)  # fmt: skip
        self.ears.start()

    def transcribe(self, samples: np.ndarray) -> str:
        self.transcribed.append(samples)
        return "words"

    def until(self, *kinds: type[events.Event]) -> events.Event:
        return until(self.told, *kinds)

    def close(self) -> None:
        self.loudspeaker.go_on.set()
        self.microphone.end()
        self.ears.close()
        self.mouth.close()


@pytest.fixture
def head() -> Iterator[Head]:
    made = Head()
    yield made
    made.close()
    assert made.microphone.closed


def test_hands_free(head: Head) -> None:
    assert not head.microphone.on
    head.ears.listen("hands-free")
    head.microphone.hear(SILENCE, 10)
    head.microphone.hear(SPEECH, 20)
    head.microphone.hear(SILENCE, 25)
    assert head.until(events.Level).dbfs < -80
    assert head.until(events.Began) == events.Began(interrupted=False)
    assert head.until(events.Understanding).silence_s == pytest.approx(0.6, abs=0.04)
    heard = head.until(events.Heard)
    assert (heard.text, heard.whole) == ("words", True)
    assert heard.audio_s == pytest.approx(len(head.transcribed[0]) / 16_000)
    assert head.microphone.on


def test_while_the_button_is_held(head: Head) -> None:
    head.ears.listen("button")
    head.until(events.Began)
    head.microphone.hear(SILENCE, 5)
    head.microphone.hear(SPEECH, 5)
    head.microphone.hear(SILENCE, 50)  # a long thought ends nothing
    head.microphone.hear(SPEECH, 5)
    for _ in range(21):
        head.until(events.Level)
    head.ears.listen("off")
    assert head.until(events.Heard).text == "words"
    assert len(head.transcribed[0]) >= 63 * 512


def test_silence_is_not_transcribed(head: Head) -> None:
    """The model would invent words for it."""
    head.ears.listen("button")
    head.microphone.hear(SILENCE, 30)
    for _ in range(10):
        head.until(events.Level)
    head.ears.listen("off")
    assert head.until(events.Heard).text == ""
    assert head.transcribed == []


def test_what_is_spoken_is_heard_in_order(head: Head) -> None:
    for text in ("one", "two words", "three more words"):
        head.mouth.say(text)
    assert head.mouth.speaking
    head.mouth.end()
    head.until(events.Sounding)
    head.until(events.Spoken)
    assert head.synthesizer.said == ["one", "two words", "three more words"]
    assert sum(map(len, head.loudspeaker.heard)) == 6 * 1600
    assert (head.loudspeaker.drains, head.mouth.speaking) == (1, False)


def test_a_loud_voice_interrupts_and_our_own_echo_does_not() -> None:
    head = Head(waits=True)
    try:
        head.ears.listen("hands-free")
        head.mouth.say("a long reply that goes on for quite some time and would go on for longer")
        head.until(events.Sounding)
        assert head.loudspeaker.taking.wait(10)
        head.microphone.hear(0.1, 60)  # 14 dB below what is played: ourselves, though the model says speech
        for _ in range(20):
            assert isinstance(head.until(events.Level, events.Began), events.Level)
        head.microphone.hear(SPEECH, 12)
        assert head.until(events.Began).interrupted
        head.loudspeaker.go_on.set()
        head.mouth.end()
        head.mouth.say("new")
        head.mouth.end()
        head.until(events.Spoken)
        heard_s = sum(map(len, head.loudspeaker.heard)) / 16_000
        assert heard_s < 0.1 + 2 * 0.02  # a piece that was under way, and the new word
        assert head.loudspeaker.cuts == 1
    finally:
        head.close()


def test_half_duplex_hears_nothing_while_it_speaks_but_the_button() -> None:
    head = Head(half_duplex=True, waits=True)
    try:
        head.ears.listen("hands-free")
        head.mouth.say("a reply")
        head.until(events.Sounding)
        head.microphone.hear(SPEECH, 60)
        for _ in range(20):
            assert isinstance(head.until(events.Level, events.Began), events.Level)
        head.ears.listen("button")
        assert head.until(events.Began).interrupted
    finally:
        head.close()


def test_what_fails_is_told(head: Head) -> None:
    head.synthesizer.error = VoiceUnavailable("espeak-ng failed")
    head.mouth.say("one")
    assert head.until(events.Failed) == events.Failed("espeak-ng failed", fatal=False)
    assert not head.mouth.speaking
    head.synthesizer.error = None
    head.mouth.say("two")
    head.mouth.end()
    head.until(events.Spoken)

    def gone() -> np.ndarray:
        raise VoiceUnavailable("the microphone is gone")

    head.microphone.read = gone
    head.ears.listen("hands-free")
    assert head.until(events.Failed).fatal
