"""Turns that are not answered yet: those that wait, and the one that the daemon has refused."""

from __future__ import annotations

from collections import deque

from assistant import wire
from assistant.tui.turns import MAX_ATTEMPTS, QUEUED, WAITING, Turn
from assistant.tui.widgets.conversation import Conversation


class Outbox:
    """Keeps the order of what was written, and shows it below the branch."""

    def __init__(self, conversation: Conversation):
        self.waiting: deque[Turn] = deque()  # the first one may be on its way
        self.refused: Turn | None = None
        self._conversation = conversation

    @property
    def first(self) -> Turn | None:
        return self.waiting[0] if self.waiting else None

    def note_all(self, connected: bool) -> None:
        for index, turn in enumerate(self.waiting):
            if not connected:
                turn.note(WAITING)
            elif index:
                turn.note(QUEUED)

    async def take_back(self) -> str:
        """Forget the newest turn; returns its text."""
        turn = self.waiting.pop()
        if turn.bubble and turn.bubble.is_attached:
            await turn.bubble.remove()
        return turn.text

    async def draw(self) -> None:
        """After the branch was redrawn: put back what is not part of it."""
        for turn in (self.refused, *self.waiting):
            if turn and turn.bubble and not turn.bubble.is_attached:
                turn.bubble = turn.bubble.copy()
                await self._conversation.add(turn.bubble)

    def settle(self, stored: wire.ChatView, known: list[wire.Message]) -> str | None:
        """Find out whether a message that was cut on its way had arrived after all.

        Returns why it must not be sent once more, if that is so.
        """
        known_ids = {message.id for message in known}
        new = [m for m in stored.messages if m.role == "user" and m.id not in known_ids]
        if self.refused and self.refused.attempts and new and new[-1].content == self.refused.text:
            self.refused = None
        turn = self.first
        if not turn or not turn.attempts:
            return None
        if new and not turn.answers_id and new[-1].content == turn.text:
            turn.answers_id, turn.bubble = new[-1].id, None
            if stored.messages[-1].id != turn.answers_id:
                self.waiting.popleft()  # it even has an answer
        elif turn.attempts >= MAX_ATTEMPTS:
            return "the daemon was lost each time this was sent"
        return None
