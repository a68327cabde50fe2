"""The chat being shown: its messages, the turns on their way, and how both survive the daemon."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from assistant import wire
from assistant.errors import AssistantError, DaemonUnavailable, RequestError
from assistant.tui.connection import Connection, Link, Phase
from assistant.tui.text import title_of
from assistant.tui.turns import MAX_ATTEMPTS, QUEUED, WAITING, Turn
from assistant.tui.widgets.conversation import Conversation
from assistant.tui.widgets.message import STATUS_WORDS, UserMessage

RECHECK_S = 1.0


class Dialogue:
    """Delivers turns one after another; every change of the branch happens here, under one lock."""

    def __init__(
        self,
        connection: Connection,
        conversation: Conversation,
        on_change: Callable[[], None],
        on_cost: Callable[[wire.Cost | None], None],
        resume: str | None = None,
    ):
        self.connection = connection
        self.chat: wire.Chat | None = None
        self.messages: list[wire.Message] = []
        self.failed: Turn | None = None
        self._conversation = conversation
        self._on_change = on_change
        self._on_cost = on_cost
        self._resume = resume
        self._waiting: deque[Turn] = deque()
        self._delivery: asyncio.Task[None] | None = None
        self._at_root = False  # every turn is taken back; the daemon knows no empty branch
        self._undone: list[str] = []
        self._stale = True
        self._work = asyncio.Event()
        self._lock = asyncio.Lock()

    @property
    def busy(self) -> bool:
        return self._delivery is not None

    @property
    def user_messages(self) -> list[wire.Message]:
        return [message for message in self.messages if message.role == "user"]

    def link_changed(self, link: Link) -> None:
        if link.phase in (Phase.LOST, Phase.STARTING):
            self._stale = True
        if link.phase is Phase.READY:
            self._work.set()

    async def run(self) -> None:
        """Works through what is waiting, for as long as the screen lives."""
        while True:
            await self._work.wait()
            self._work.clear()
            while await self._step():
                pass

    # --- what the person does ---

    async def submit(self, text: str, editing: wire.Message | None = None) -> None:
        if editing:
            self._refuse_if_busy()
        turn = Turn(text, UserMessage(text))
        if editing or self._at_root:
            parent_id = editing.parent_id if editing else None
            turn.parent_id, turn.root = parent_id, parent_id is None
            await self._cut_after(parent_id)
        self._at_root, self.failed = False, None
        self._undone.clear()
        await self._conversation.add(turn.bubble)
        self._enqueue(turn)

    async def stop(self) -> str | None:
        """Stop the reply, or take back what is not yet sent and return its text."""
        turn = self._waiting[0] if self._waiting else None
        if self._delivery and turn:
            again, turn.stopping = turn.stopping, True
            try:
                stopped = 0 if again or not self.chat else await self._cancel(self.chat.id)
            except AssistantError:
                stopped = 0
            # Nothing to cancel yet, or it did not help: leave, which the daemon notices.
            if not stopped and self._delivery:
                self._delivery.cancel()
            return None
        if turn:
            turn = self._waiting.pop()
            if turn.bubble:
                await turn.bubble.remove()
            return turn.text
        return None

    async def regenerate(self) -> None:
        self._refuse_if_busy()
        if turn := self.failed:
            self.failed, turn.attempts = None, 0
            self._enqueue(turn)
        elif self.messages and self.user_messages:
            message = self.user_messages[-1]
            await self._cut_after(message.id)
            self._enqueue(Turn(message.content, answers_id=message.id))
        else:
            raise RequestError("there is no message to answer again")

    async def undo(self) -> str:
        """Take back the last turn; returns its text."""
        self._refuse_if_busy()
        async with self._lock:
            if not self.chat or not self.user_messages:
                raise RequestError("there is nothing to take back")
            message, head_id = self.user_messages[-1], self.messages[-1].id
            if message.parent_id is None:
                self.messages, self._at_root = [], True
                await self._conversation.show([])
            else:
                patch = wire.ChatPatch(head_id=message.parent_id)
                await self._show(await self.connection.client.patch_chat(self.chat.id, patch))
            self._undone.append(head_id)
            return message.content

    async def redo(self) -> None:
        self._refuse_if_busy()
        async with self._lock:
            if not self.chat or not self._undone:
                raise RequestError("there is nothing to bring back")
            patch = wire.ChatPatch(head_id=self._undone[-1])
            await self._show(await self.connection.client.patch_chat(self.chat.id, patch))
            self._undone.pop()
            self._at_root = False

    async def open(self, chat_id: str | None) -> None:
        """Show another chat; None is a new one, which is created with its first message."""
        self._refuse_if_busy()
        async with self._lock:
            view = await self.connection.client.chat(chat_id) if chat_id else None
            self._at_root, self.failed, self._resume = False, None, None
            self._undone.clear()
            self._on_cost(None)
            if view:
                await self._show(view)
            else:
                self.chat, self.messages = None, []
                await self._conversation.show([])
            self._on_change()

    # --- one step of the work ---

    async def _step(self) -> bool:
        if not self.connection.ready:
            self._note_waiting()
            return False
        async with self._lock:
            try:
                if self._stale:
                    await self._reload()
                if not self._waiting:
                    return False
                turn = self._waiting[0]
                if self.chat is None:
                    title = title_of(turn.text)
                    self.chat = await self.connection.client.create_chat(title=title)
                await self._deliver(turn)
            except DaemonUnavailable:
                self._stale = True
                self.connection.check()
                self._note_waiting()
                return False
            except AssistantError as error:
                self._give_up(str(error))
        return True

    async def _deliver(self, turn: Turn) -> None:
        assert self.chat
        self._delivery = asyncio.create_task(
            turn.deliver(self.connection.client, self.chat.id, self._conversation, self._on_cost)
        )
        self._on_change()
        try:
            await asyncio.wait([self._delivery])
            if self._delivery.cancelled():
                turn.note("" if turn.reply else STATUS_WORDS["cancelled"], bad=True)
                if turn.reply:
                    turn.reply.note(STATUS_WORDS["cancelled"], bad=True)
                self._stale = True
            elif (error := self._delivery.exception()) is not None:
                if isinstance(error, DaemonUnavailable) and turn.started:
                    # The daemon has the message: what it kept is shown when it is back.
                    if turn.reply:
                        turn.reply.note(STATUS_WORDS["interrupted"], bad=True)
                    self._waiting.popleft()
                raise error
            elif turn.started and turn.finished:
                if not turn.answers_id:
                    self.messages.append(turn.started.user_message)
                self.messages.append(turn.finished.message)
            else:
                self._stale = True
            self._waiting.popleft()
        finally:
            self._delivery = None
            self._on_change()

    async def _reload(self) -> None:
        """Take the daemon's word for what is stored, then put what is not yet sent below it."""
        client = self.connection.client
        if self._resume:
            chats = await client.chats() if self._resume == "last" else []
            chat_id = chats[0].id if chats else self._resume
            self._resume = None
            if chat_id != "last":
                self.chat = (await client.chat(chat_id)).chat
        self._stale = False
        if self.chat and not self._at_root:
            try:
                view = await client.chat(self.chat.id)
            except DaemonUnavailable:
                self._stale = True
                raise
            self._settle_unanswered(view)
            await self._show(view)
            if view.messages and view.messages[-1].status == "streaming":
                asyncio.get_running_loop().call_later(RECHECK_S, self._look_again)
        self._on_change()

    def _settle_unanswered(self, view: wire.ChatView) -> None:
        """Find out whether a message that was cut on its way had arrived after all."""
        turn = self._waiting[0] if self._waiting else None
        if not turn or not turn.attempts:
            return
        known = {message.id for message in self.messages}
        stored = [m for m in view.messages if m.role == "user" and m.id not in known]
        if stored and not turn.answers_id and stored[-1].content == turn.text:
            turn.answers_id = stored[-1].id
            turn.bubble = None
            if view.messages[-1].id != turn.answers_id:
                self._waiting.popleft()  # it even has an answer
        elif turn.attempts >= MAX_ATTEMPTS:
            self._give_up("the daemon was lost each time this was sent")

    async def _show(self, view: wire.ChatView) -> None:
        self.chat, self.messages = view.chat, list(view.messages)
        waiting = list(self._waiting)
        if self.failed:
            waiting.insert(0, self.failed)
        for turn in waiting:
            if turn.bubble:
                turn.bubble = turn.bubble.copy()
        bubbles = [turn.bubble for turn in waiting if turn.bubble]
        await self._conversation.show(view.messages, bubbles)
        self._on_change()

    def _enqueue(self, turn: Turn) -> None:
        self._waiting.append(turn)
        self._note_waiting()
        self._work.set()

    def _note_waiting(self) -> None:
        for index, turn in enumerate(self._waiting):
            if not self.connection.ready:
                turn.note(WAITING)
            elif index:
                turn.note(QUEUED)

    def _give_up(self, why: str) -> None:
        """Keep a turn that the daemon refused where the person can see it and try again."""
        if not self._waiting:
            return
        turn = self._waiting.popleft()
        if turn.started:
            # The daemon has the message: to try again is to answer it again.
            if not turn.answers_id:
                self.messages.append(turn.started.user_message)
            if turn.reply:
                turn.reply.note(f"failed: {why} · Ctrl+R answers again", bad=True)
        else:
            self.failed = turn
            turn.note(f"not sent: {why} · Ctrl+R tries again", bad=True)
        self._on_change()

    async def _cut_after(self, message_id: str | None) -> None:
        ids = [message.id for message in self.messages]
        keep = ids.index(message_id) + 1 if message_id in ids else 0
        self.messages = self.messages[:keep]
        await self._conversation.cut_after(message_id)

    async def _cancel(self, chat_id: str) -> int:
        return await self.connection.client.cancel(chat_id)

    def _look_again(self) -> None:
        self._stale = True
        self._work.set()

    def _refuse_if_busy(self) -> None:
        if self._waiting:
            raise RequestError("a message is on its way", hint="Esc stops it")
