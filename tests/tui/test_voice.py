"""Talking in the chat: a voice that a test plays stands in for microphone, models and loudspeaker."""

from __future__ import annotations

import asyncio

import pytest

from assistant.tui.widgets.voice_bar import VoiceBar
from assistant.voice import events
from tests.fake_daemon import FakeDaemon, Reply

from .conftest import Sit


class FakeVoice:
    """What the child process would tell, when the test says so; and what it was asked."""

    made: list[FakeVoice] = []  # noqa: RUF012 - one test at a time

    def __init__(self) -> None:
        self.told: asyncio.Queue[events.Told | None] = asyncio.Queue()
        self.asked: list[events.Asked] = []
        self.closed = False
        FakeVoice.made = [self]

    async def events(self):
        while (event := await self.told.get()) is not None:
            yield event

    def send(self, *commands: events.Asked) -> None:
        self.asked += commands

    async def close(self) -> None:
        self.closed = True

    def tell(self, *heard: events.Told) -> None:
        for event in heard:
            self.told.put_nowait(event)

    @property
    def said(self) -> str:
        return " ".join(command.text for command in self.asked if isinstance(command, events.Say))


@pytest.fixture(autouse=True)
def installed(voice: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.tui.voice.is_installed", lambda: True)
    monkeypatch.setattr("assistant.tui.voice.VoiceProcess", FakeVoice)


def heard(text: str) -> events.Heard:
    return events.Heard(text, audio_s=1.0, took_s=0.1, silence_s=0.0)


async def test_a_spoken_question_is_sent_and_its_reply_read_aloud(daemon: FakeDaemon, sit: Sit) -> None:
    daemon.replies.append(Reply(["It is noon. ", "**Quite** late", " already."]))
    async with sit() as person:
        await person.sees("F12 talks")
        (fake,) = FakeVoice.made
        assert fake.asked == []  # nothing is loaded, and no microphone is on, before the key
        await person.press("f12")
        await person.sees("loading the voice")
        fake.tell(events.Ready(0.5))
        await person.sees("hearing you")
        assert fake.asked[-1] == events.Listen("button")
        fake.tell(events.Level(-20.0, 0.9))
        await person.sees("▮▮▮▮")
        await person.press("f12")
        await person.sees("understanding")
        assert fake.asked[-1] == events.Listen("off")
        fake.tell(events.Understanding(0.0), heard("What time is it?"))
        await person.sees("What time is it?", "late already.")
        await person.until(lambda: fake.asked[-1] == events.End(), "the end of the reply")
        assert fake.said == "It is noon. Quite late already."
        fake.tell(events.Sounding())
        await person.sees("speaking")
        fake.tell(events.Spoken())
        await person.sees("F12 talks")
    assert fake.closed


async def test_the_key_interrupts_a_reply(daemon: FakeDaemon, sit: Sit) -> None:
    daemon.replies.append(Reply(["A long story. ", "It goes on. ", "And on."], hold=2))
    async with sit() as person:
        await person.sees("F12 talks")
        (fake,) = FakeVoice.made
        await person.press("f12")
        fake.tell(events.Ready(0.5))
        await person.sees("hearing you")
        await person.press("f12")
        fake.tell(heard("Tell me a story."), events.Sounding())
        await person.sees("It goes on.", "speaking")
        await person.press("f12")
        await person.sees("hearing you", "stopped")
        assert fake.asked[-2:] == [events.Hush(), events.Listen("button")]
        assert "And on." not in person.screen


async def test_what_was_typed_is_not_read_aloud(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit() as person:
        await person.sees("F12 talks")
        await person.send("Hi")
        await person.sees("Hello from the fake.")
        assert FakeVoice.made[0].asked == []


async def test_escape_forgets_what_was_being_said(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit() as person:
        await person.sees("F12 talks")
        (fake,) = FakeVoice.made
        await person.press("f12")
        fake.tell(events.Ready(0.5))
        await person.sees("hearing you")
        await person.press("escape")
        await person.sees("F12 talks")
        fake.tell(heard("never mind"))
        await person.idle()
        assert daemon.chats == {}


async def test_what_is_missing_is_told_and_the_key_tries_again(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit(size=(140, 30)) as person:
        await person.sees("F12 talks")
        (fake,) = FakeVoice.made
        await person.press("f12")
        fake.tell(events.Failed("espeak-ng is not installed. Apt install espeak-ng"), None)
        await person.sees("✘ espeak-ng is not installed")
        await person.press("f12")
        await person.sees("loading the voice")
        fake.tell(events.Ready(0.1))
        await person.sees("hearing you")
        await person.press("f12")
        fake.tell(heard(""))
        await person.sees("no word was understood")


async def test_without_the_extra_there_is_no_such_line(
    daemon: FakeDaemon, sit: Sit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assistant.tui.voice.is_installed", lambda: False)
    async with sit() as person:
        await person.sees("● ready")
        await person.press("f12")
        assert not person.app.screen.query(VoiceBar)
