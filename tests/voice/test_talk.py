"""The conversation: what is sent, what is spoken, what an interruption cancels, what a wake word lets through."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from assistant import paths, wire
from assistant.client import Client
from assistant.errors import VoiceUnavailable
from assistant.voice import events
from assistant.voice.talk import Talk, Turn
from tests.fake_daemon import NOW, FakeDaemon, Reply


class Voice:
    def __init__(self) -> None:
        self.asked: list[events.Asked] = []

    def do(self, command: events.Asked) -> None:
        self.asked.append(command)

    @property
    def said(self) -> list[str]:
        return [command.text for command in self.asked if isinstance(command, events.Say)]


class Show:
    def __init__(self) -> None:
        self.states, self.turns, self.problems, self.text = [], [], [], ""
        self.reminders: list[str] = []

    def state(self, state: str) -> None:
        self.states.append(state)

    def level(self, level: events.Level) -> None: ...
    def heard(self, text: str) -> None: ...

    def reply(self, text: str) -> None:
        self.text += text

    def reminder(self, words: str) -> None:
        self.reminders.append(words)

    def turn(self, turn: Turn) -> None:
        self.turns.append(turn)

    def problem(self, message: str) -> None:
        self.problems.append(message)


class Conversation:
    """What happens is told here; what comes of it is waited for."""

    def __init__(self, client: Client, **options):
        self.voice, self.show, self.now = Voice(), Show(), 100.0
        self.told: asyncio.Queue[events.Told] = asyncio.Queue()
        self.talk = Talk(client, self.voice, self.told, self.show, clock=lambda: self.now, **options)

    def tell(self, *happened: events.Told) -> None:
        for event in happened:
            self.told.put_nowait(event)

    def hear(self, text: str) -> None:
        self.tell(events.Began(False), events.Understanding(0.6), events.Heard(text, 1.0, 0.1, 0.6))

    async def until(self, condition) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)


@pytest.fixture
async def daemon() -> AsyncIterator[FakeDaemon]:
    fake = FakeDaemon(paths.socket_path())
    await fake.start()
    yield fake
    await fake.kill()


@asynccontextmanager
async def talking(**options) -> AsyncIterator[Conversation]:
    async with Client() as client:
        conversation = Conversation(client, **options)
        running = asyncio.create_task(conversation.talk.run())
        yield conversation
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_question_and_its_answer(daemon: FakeDaemon) -> None:
    daemon.replies.extend([Reply(["It is noon. ", "Really."]), Reply(["Yes."])])
    async with talking() as it:
        it.hear("What time is it?")
        await it.until(lambda: it.voice.asked[-1:] == [events.End()])
        assert it.voice.said == ["It is noon.", "Really."]
        it.tell(events.Sounding(), events.Spoken())
        await it.until(lambda: it.show.turns)
        (turn,) = it.show.turns
        assert (turn.heard, turn.reply, turn.interrupted) == ("What time is it?", "It is noon. Really.", False)
        assert turn.first_sound_s == pytest.approx(0.6)  # the silence that it took to be sure; the clock stands still
        assert it.show.states == ["listening", "hearing", "thinking", "speaking", "listening"]
        it.hear("Is it?")
        await it.until(lambda: it.voice.said[-1:] == ["Yes."])
    (chat_id,) = daemon.chats
    assert daemon.texts(chat_id) == ["What time is it?", "It is noon. Really.", "Is it?", "Yes."]


async def test_a_reminder_is_spoken_when_nobody_else_speaks(daemon: FakeDaemon) -> None:
    def due(text: str) -> wire.Reminder:
        daemon.told.append(wire.Reminder(id=1, text=text, kind="timer", words=f"Timer: {text}", due_at=NOW, when="now",
                                         fired_at=time.time(), done=True))  # fmt: skip

    async with talking() as it:
        await asyncio.sleep(0.05)
        due("tea")
        await it.until(lambda: it.voice.said == ["Timer: tea."])
        it.tell(events.Spoken())
        it.tell(events.Began(False))
        await it.until(lambda: "hearing" in it.show.states)
        due("eggs")
        await asyncio.sleep(0.1)
        assert it.show.reminders == ["Timer: tea"]
        it.tell(events.Understanding(0.6), events.Heard("Are you there?", 1.0, 0.1, 0.6))
        await it.until(lambda: it.voice.asked[-1:] == [events.End()] and len(it.voice.said) > 1)
        assert it.voice.said[1:] == ["Hello from the fake."]
        it.tell(events.Sounding(), events.Spoken())
        await it.until(lambda: it.voice.said[-1] == "Timer: eggs.")
        assert len(it.show.turns) == 1
        it.tell(events.Spoken())


async def test_speech_cancels_what_is_being_written(daemon: FakeDaemon) -> None:
    daemon.replies.extend([Reply(["A story. ", "It goes on. ", "And on."], hold=2), Reply(["Sorry."])])
    async with talking() as it:
        it.hear("Tell me a story.")
        await it.until(lambda: it.voice.said == ["A story.", "It goes on."])
        it.tell(events.Sounding(), events.Began(interrupted=True))
        await it.until(lambda: it.show.turns)
        assert it.show.turns[0].interrupted
        assert it.voice.asked[-1] == events.Hush()
        it.tell(events.Understanding(0.6), events.Heard("Stop that.", 1.0, 0.1, 0.6))
        await it.until(lambda: it.voice.said[-1] == "Sorry.")
    (chat_id,) = daemon.chats
    assert "And on." not in " ".join(daemon.texts(chat_id))


async def test_nothing_understood_is_nothing_sent(daemon: FakeDaemon) -> None:
    async with talking() as it:
        it.hear("")
        await it.until(lambda: it.show.states == ["listening", "hearing", "thinking", "listening"])
    assert daemon.chats == {}


async def test_only_the_wake_word_is_answered(daemon: FakeDaemon) -> None:
    daemon.replies.extend([Reply(["One."]), Reply(["Two."])])
    async with talking(wake_word="computer") as it:
        it.hear("Somebody talks in the room.")
        it.hear("Computer, count.")
        await it.until(lambda: it.voice.asked[-1:] == [events.End()])
        it.tell(events.Sounding(), events.Spoken())
        await it.until(lambda: it.show.turns)
        it.now += 9.0
        it.hear("This is not for you.")
        it.hear("Computer?")
        it.hear("Go on.")
        await it.until(lambda: it.voice.said == ["One.", "Two."])
    (chat_id,) = daemon.chats
    assert daemon.texts(chat_id) == ["count.", "One.", "Go on.", "Two."]


async def test_it_leaves_after_so_many_turns_and_when_a_device_goes(daemon: FakeDaemon) -> None:
    async with Client() as client:
        it = Conversation(client, turns=1, hands_free=False)
        it.hear("Hi")
        running = asyncio.create_task(it.talk.run())
        await it.until(lambda: events.End() in it.voice.asked)
        it.tell(events.Sounding(), events.Spoken())
        await running
        assert not any(isinstance(command, events.Listen) for command in it.voice.asked)
        it = Conversation(client)
        it.tell(events.Failed("the microphone is gone"))
        with pytest.raises(VoiceUnavailable, match="gone"):
            await it.talk.run()


async def test_an_error_of_the_daemon_is_told_and_the_conversation_goes_on(daemon: FakeDaemon) -> None:
    async with talking(chat_id="no-such-chat") as it:
        it.hear("Hi")
        await it.until(lambda: it.show.problems)
        it.tell(events.Spoken())
        await it.until(lambda: it.show.turns)
        assert it.show.turns[0].error == it.show.problems[0]
