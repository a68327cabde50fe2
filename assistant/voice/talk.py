"""A spoken conversation: what is heard goes to the daemon, its reply is spoken while it is written.

Speech during a reply silences it and cancels what is still being written: the daemon keeps the part that it has.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from assistant import wire
from assistant.client import Client
from assistant.errors import AssistantError, RequestError, VoiceUnavailable
from assistant.voice import events, wake
from assistant.voice.sentences import Sentences

ATTENTION_S = 8.0
"""After the wake word alone, and after a reply, the next utterance needs no wake word for so long."""


@dataclass(slots=True)
class Turn:
    """One exchange. Times are measured, in seconds after the end of the person's speech."""

    heard: str
    reply: str = ""
    interrupted: bool = False
    transcribed_s: float | None = None
    first_text_s: float | None = None
    first_sound_s: float | None = None
    error: str | None = None


class Voice(Protocol):
    """See `engine.Engine`."""

    def do(self, command: events.Asked) -> None: ...


class Show(Protocol):
    """Where a conversation is seen; all that is shown is said in these calls."""

    def state(self, state: str) -> None: ...
    def level(self, level: events.Level) -> None: ...
    def heard(self, text: str) -> None: ...
    def reply(self, text: str) -> None: ...
    def reminder(self, words: str) -> None: ...
    def turn(self, turn: Turn) -> None: ...
    def problem(self, message: str) -> None: ...


class Talk:
    """Runs until `turns` exchanges are over, the recording ends, or it is cancelled."""

    def __init__(
        self,
        client: Client,
        voice: Voice,
        told: asyncio.Queue[events.Told],
        show: Show,
        *,
        chat_id: str | None = None,
        wake_word: str = "",
        turns: int | None = None,
        hands_free: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._client, self._voice, self._told, self._show = client, voice, told, show
        self.chat_id, self._wake, self._left, self._hands_free = chat_id, wake_word, turns, hands_free
        self._clock = clock
        self._due: list[str] = []  # reminders that wait until nobody speaks
        self._hearing, self._reminding = False, 0
        self._reply: asyncio.Task[None] | None = None
        self._turn: Turn | None = None
        self._speech_ended = 0.0
        self._attentive_until = 0.0

    async def run(self) -> None:
        """Raises VoiceUnavailable when a device goes away, AssistantError when no chat can be had."""
        if self._hands_free:
            self._voice.do(events.Listen("hands-free"))
        self._show.state("listening")
        following = asyncio.create_task(self._follow_reminders())
        try:
            while self._left is None or self._left > 0:
                await self._handle(await self._told.get())
                self._remind()
        finally:
            following.cancel()
            await self._cancel()

    async def _follow_reminders(self) -> None:
        async for reminder in self._client.follow_reminders():
            self._due.append(reminder.words)
            self._remind()

    def _remind(self) -> None:
        """Say what it is time for, as soon as neither of us is speaking."""
        while self._due and not self._turn and not self._hearing:
            words = self._due.pop(0)
            self._reminding += 1
            self._show.reminder(words)
            self._voice.do(events.Say(f"{words}."))
            self._voice.do(events.End())

    async def _handle(self, event: events.Told) -> None:
        match event:
            case events.Level():
                self._show.level(event)
            case events.Began():
                if event.interrupted or self._busy:
                    await self._interrupted()
                self._hearing = True
                self._show.state("hearing")
            case events.Understanding():
                self._speech_ended = self._clock() - event.silence_s
                self._show.state("thinking")
            case events.Heard():
                self._hearing = False
                await self._answer(event)
            case events.Sounding():
                if self._turn and self._turn.first_sound_s is None:
                    self._turn.first_sound_s = self._clock() - self._speech_ended
                self._show.state("speaking")
            case events.Spoken() if self._reminding:
                self._reminding -= 1
            case events.Spoken():
                self._over()
            case events.Failed() if event.fatal:
                raise VoiceUnavailable(event.message)
            case events.Failed():
                self._show.problem(event.message)
                self._over()

    @property
    def _busy(self) -> bool:
        return self._reply is not None and not self._reply.done()

    async def _answer(self, heard: events.Heard) -> None:
        text = heard.text
        if text and self._wake:
            asked = wake.after(self._wake, text)
            if asked == "":
                self._attentive_until = self._clock() + ATTENTION_S
            if asked is None and self._clock() < self._attentive_until:
                asked = text
            text = asked or ""
        if not text:
            self._show.state("listening")
            return
        if self._busy or self._turn:  # said while we were answering, and too short to interrupt
            await self._interrupted()
        self._show.heard(text)
        self._turn = Turn(text, transcribed_s=self._clock() - self._speech_ended)
        self._reply = asyncio.create_task(self._speak_reply(self._turn))

    async def _speak_reply(self, turn: Turn) -> None:
        sentences = Sentences()
        try:
            if self.chat_id is None:
                self.chat_id = (await self._client.create_chat(title=turn.heard[:60])).id
            message = wire.SendMessage(content=turn.heard)
            async with aclosing(self._client.stream_message(self.chat_id, message)) as stream:
                async for event in stream:
                    match event:
                        case wire.Delta():
                            if turn.first_text_s is None:
                                turn.first_text_s = self._clock() - self._speech_ended
                            turn.reply += event.text
                            self._show.reply(event.text)
                            self._say(sentences.push(event.text))
                        case wire.Failed(error=body):
                            raise RequestError(body.message, status=500, code=body.code or body.type, hint=body.hint)
            self._say(sentences.end())
        except AssistantError as error:
            turn.error = str(error)
            self._show.problem(turn.error)
        self._voice.do(events.End())

    def _say(self, pieces: list[str]) -> None:
        for piece in pieces:
            self._voice.do(events.Say(piece))

    async def _interrupted(self) -> None:
        await self._cancel()
        if self._turn:
            self._turn.interrupted = True
            self._over()

    async def _cancel(self) -> None:
        if self._reply is not None:
            self._reply.cancel()
            await asyncio.gather(self._reply, return_exceptions=True)
            self._reply = None
        self._reminding = 0
        self._voice.do(events.Hush())

    def _over(self) -> None:
        turn, self._turn = self._turn, None
        if turn is None:
            return
        self._attentive_until = self._clock() + ATTENTION_S
        if self._left is not None:
            self._left -= 1
        self._show.turn(turn)
        self._show.state("listening")
