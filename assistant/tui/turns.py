"""A turn: a message of the person on its way to a reply, from the Enter key to the last event."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant import wire
from assistant.errors import RequestError

if TYPE_CHECKING:
    from assistant.client import Client
    from assistant.tui.costs import OnCost
    from assistant.tui.widgets.conversation import Conversation
    from assistant.tui.widgets.message import AssistantMessage, UserMessage

MAX_ATTEMPTS = 2
"""A message that brings the daemon down must not do so for ever."""

WAITING = "waiting for the daemon · Esc takes it back"
QUEUED = "next: sent when the reply before is complete · Esc takes it back"
ELSEWHERE = "waiting for another reply in this chat · Esc takes it back"


@dataclass
class Turn:
    text: str
    bubble: UserMessage | None = None
    parent_id: str | None = None  # None: the head of the chat
    root: bool = False
    answers_id: str | None = None  # a message that is already stored: answer it again
    attempts: int = 0
    started: wire.Started | None = None
    finished: wire.Finished | None = None
    reply: AssistantMessage | None = None
    stopping: bool = False

    def note(self, text: str, bad: bool = False) -> None:
        if self.bubble:
            self.bubble.note(text, bad)

    def events(self, client: Client, chat_id: str) -> AsyncGenerator[wire.StreamEvent, None]:
        if self.answers_id:
            return client.stream_regenerate(chat_id, wire.Regenerate(message_id=self.answers_id))
        message = wire.SendMessage(content=self.text, parent_id=self.parent_id, root=self.root)
        return client.stream_message(chat_id, message)

    async def deliver(
        self,
        client: Client,
        chat_id: str,
        conversation: Conversation,
        on_cost: OnCost,
    ) -> None:
        """Send it and draw the reply; a failed generation is raised as an error."""
        from assistant.tui.widgets.message import AssistantMessage

        self.attempts += 1
        self.started = self.finished = self.reply = None
        self.note("")
        try:
            async with aclosing(self.events(client, chat_id)) as events:
                async for event in events:
                    match event:
                        case wire.Started():
                            self.started = event
                            if self.bubble:
                                self.bubble.message_id = event.user_message.id
                            self.reply = AssistantMessage(message_id=event.message_id)
                            await conversation.add_reply(self.reply, self.bubble)
                        case wire.Sensed():
                            if self.started and self.started.user_message.id == event.message_id:
                                self.started.user_message.mood = event.mood
                            conversation.feel(event.message_id, event.mood)
                        case wire.SkillUsed():
                            if self.reply:
                                await self.reply.mark(event.answer)
                        case wire.Delta():
                            if self.reply:
                                await self.reply.write(event.text)
                            if conversation.aloud:
                                conversation.aloud.push(event.text)
                            if event.cost:
                                on_cost(event.cost, False)
                        case wire.Finished():
                            self.finished = event
                            on_cost(event.cost, True)
                        case wire.Failed():
                            raise _failure(event.error)
        finally:
            if conversation.aloud:
                conversation.aloud.end()
            if self.reply:
                await self.reply.finish()
        if self.reply and self.finished:
            self.reply.settle(self.finished.message)
            await self.reply.mark(self.finished.message.skill)


def _failure(body: wire.ErrorBody) -> RequestError:
    return RequestError(body.message, status=500, code=body.code or body.type, hint=body.hint)
