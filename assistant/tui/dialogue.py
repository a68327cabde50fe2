"""What goes back and forth: turns wait, are delivered one by one, survive the daemon's death."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from assistant import wire
from assistant.client import Client
from assistant.errors import AssistantError, DaemonUnavailable, RequestError
from assistant.tui.branch import Branch
from assistant.tui.connection import Connection, Link, Phase
from assistant.tui.costs import OnCost
from assistant.tui.outbox import Outbox
from assistant.tui.text import title_of
from assistant.tui.turns import ELSEWHERE, Turn
from assistant.tui.widgets.conversation import Conversation
from assistant.tui.widgets.message import STATUS_WORDS, UserMessage

RECHECK_S = 1.0
BUSY_RETRY_S = 0.2
HTTP_CONFLICT = 409


class Dialogue:
    """Delivers turns one after another; every change of the branch happens under one lock."""

    def __init__(
        self,
        connection: Connection,
        conversation: Conversation,
        *,
        on_change: Callable[[], None],
        on_cost: OnCost,
        on_error: Callable[[AssistantError], None],
        resume: str | None = None,
    ):
        self.branch = Branch(connection.client, conversation)
        self._connection = connection
        self._conversation = conversation
        self._on_change = on_change
        self._on_cost = on_cost
        self._on_error = on_error
        self._resume = resume
        self._outbox = Outbox(conversation)
        self._delivery: asyncio.Task[None] | None = None
        self._stale = True  # the daemon may know more than the screen shows
        self._failed, self._known_head = False, None
        self._work = asyncio.Event()
        self._lock = asyncio.Lock()

    @property
    def client(self) -> Client:
        return self._connection.client

    @property
    def busy(self) -> bool:
        """Whether a reply is being written."""
        return self._delivery is not None

    @property
    def idle(self) -> bool:
        """Whether nothing waits, either."""
        return not self._outbox.waiting

    def link_changed(self, link: Link) -> None:
        if link.phase in (Phase.LOST, Phase.STARTING):
            self._stale = True
        self._outbox.note_all(self._connection.ready)
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
        turn = Turn(text, UserMessage(text))
        if editing:
            self.refuse_if_busy()
            turn.parent_id, turn.root = editing.parent_id, editing.parent_id is None
            await self.branch.cut_after(editing.parent_id)
        elif self.branch.at_root:
            turn.root = True
            await self.branch.cut_after(None)
        self._outbox.refused = None
        await self._conversation.add(turn.bubble)
        self._enqueue(turn)

    async def stop(self) -> str | None:
        """Stop the reply, or take back what is not yet sent and return its text."""
        turn = self._outbox.first
        if not turn:
            return None
        if not self._delivery:
            return await self._outbox.take_back()
        again, turn.stopping = turn.stopping, True
        stopped = 0
        if self.branch.chat and not again:
            with suppress(AssistantError):
                stopped = await self._connection.client.cancel(self.branch.chat.id)
        # Nothing to cancel yet, or it did not help: leave, which the daemon notices.
        if not stopped and self._delivery:
            self._delivery.cancel()
        return None

    async def regenerate(self, message_id: str | None = None) -> None:
        """Answer a message of the person's again: the last one, or the one that is named or was answered by it."""
        self.refuse_if_busy()
        messages = self.branch.user_messages
        if message_id:
            ids = [message.id for message in self.branch.messages]
            end = ids.index(message_id) + 1 if message_id in ids else len(ids)
            messages = [message for message in self.branch.messages[:end] if message.role == "user"]
        if turn := self._outbox.refused:
            self._outbox.refused, turn.attempts = None, 0
            self._enqueue(turn)
        elif messages:
            await self.branch.cut_after(messages[-1].id)
            self._enqueue(Turn(messages[-1].content, answers_id=messages[-1].id))
        else:
            raise RequestError("there is no message to answer again")

    async def undo(self) -> str:
        self.refuse_if_busy()
        async with self._lock:
            return await self.branch.undo()

    async def redo(self) -> None:
        self.refuse_if_busy()
        async with self._lock:
            await self.branch.redo()

    async def open(
        self, chat_id: str | None, head_id: str | None = None, message_id: str | None = None, system: str = ""
    ) -> None:
        """Show another chat, another branch of it, or a message in it; None is a new one with a system prompt."""
        self.refuse_if_busy()
        async with self._lock:
            await (self.branch.open(chat_id, head_id) if chat_id else self.branch.clear(system))
            if message_id:
                await self._conversation.go_to(message_id)
            self._outbox.refused = self._resume = None
            await self._outbox.draw()  # what was written in this very moment
            self._on_cost(self.branch.last_cost, None)
            self._on_change()

    def renamed(self, chat: wire.Chat) -> None:
        """A chat has another title or place in the list."""
        if self.branch.chat and self.branch.chat.id == chat.id:
            self.branch.chat = chat
        self._on_change()

    def changed_elsewhere(self, chat: wire.Chat | None) -> None:
        """Another terminal may have written in this chat, gone to another branch of it, or deleted it."""
        branch = self.branch
        if not branch.chat or branch.at_root or not self.idle or self.busy:
            return
        if chat:
            if (chat.title, chat.pinned) != (branch.chat.title, branch.chat.pinned):
                self.renamed(chat)
            shown = branch.messages[-1].id if branch.messages else None
            if self._failed:  # what is on the screen tells more of it than the daemon does
                self._failed, self._known_head = False, chat.head_id
            if chat.id != branch.chat.id or chat.head_id in (shown, self._known_head):
                return
        self._look_again()

    # --- one step of the work ---

    async def _step(self) -> bool:
        """True if there may be more to do."""
        if not self._connection.ready:
            return False
        async with self._lock:
            try:
                if self._stale:
                    await self._reload()
                if not (turn := self._outbox.first):
                    return False
                await self._deliver(turn)
                return True
            except DaemonUnavailable:
                self._stale = True
                self._connection.check()
                return False
            except AssistantError as error:
                if not (isinstance(error, RequestError) and error.status == HTTP_CONFLICT):
                    self._give_up(str(error))
                    return True
        # Another terminal writes in this chat, or our own last reply is just being closed.
        self._stale = True
        turn.attempts = 0
        turn.note(ELSEWHERE)
        await asyncio.sleep(BUSY_RETRY_S)
        return True

    async def _deliver(self, turn: Turn) -> None:
        waiting, messages = self._outbox.waiting, self.branch.messages
        self._delivery = asyncio.create_task(self._send(turn))
        self._on_change()
        try:
            await asyncio.wait([self._delivery])
            if self._delivery.cancelled():
                self._stale = True
                if not turn.reply:
                    self._give_up(STATUS_WORDS["cancelled"])
                    return
                turn.reply.note(STATUS_WORDS["cancelled"], bad=True)
            elif error := self._delivery.exception():
                if isinstance(error, DaemonUnavailable) and turn.started:
                    # The daemon has the message: what it kept is shown when it is back.
                    if turn.reply:
                        turn.reply.note(STATUS_WORDS["interrupted"], bad=True)
                    waiting.popleft()
                raise error
            elif turn.started and turn.finished:
                if not turn.answers_id:
                    messages.append(turn.started.user_message)
                messages.append(turn.finished.message)
            else:
                self._stale = True
            waiting.popleft()
        finally:
            self._delivery.cancel()  # only if the screen is being closed is it still running
            self._delivery = None
            self._on_change()

    async def _send(self, turn: Turn) -> None:
        client, branch = self._connection.client, self.branch
        if branch.chat is None:
            branch.chat = await client.create_chat(title=title_of(turn.text), system=branch.system or None)
            self._on_change()
        await turn.deliver(client, branch.chat.id, self._conversation, self._on_cost)

    def _give_up(self, why: str) -> None:
        """Keep a turn that the daemon refused where the person can see it and try again."""
        turn = self._outbox.waiting.popleft()
        self._failed = True
        if turn.started:
            # The daemon has the message: to try again is to answer it again.
            if not turn.answers_id:
                self.branch.messages.append(turn.started.user_message)
            if turn.reply:
                turn.reply.note(f"failed: {why} · Ctrl+R answers again", bad=True)
        elif turn.bubble:
            self._outbox.refused = turn
            turn.note(f"not sent: {why} · Ctrl+R tries again", bad=True)
        else:
            self._on_error(RequestError("not answered", why=why))
        self._on_change()

    # --- after a loss ---

    async def _reload(self) -> None:
        """Take the daemon's word for what is stored, then put what is not yet sent below it."""
        try:
            view = await self.branch.stored(self._resume)
        except DaemonUnavailable:
            raise
        except AssistantError as error:
            # The chat is gone: what is waiting begins a new one.
            self._on_error(error)
            self.branch.chat = view = None
        self._resume, self._stale = None, False
        if view:
            refusal = self._outbox.settle(view, self.branch.messages)
            # Unchanged, it is left alone: the person may have scrolled.
            if not self.branch.chat or view.messages != self.branch.messages:
                await self.branch.show(view)
            await self._outbox.draw()
            if refusal:
                self._give_up(refusal)
            if view.messages and view.messages[-1].status == "streaming":
                asyncio.get_running_loop().call_later(RECHECK_S, self._look_again)
        self._on_change()

    def _look_again(self) -> None:
        self._stale = True
        self._work.set()

    def _enqueue(self, turn: Turn) -> None:
        self._outbox.waiting.append(turn)
        self._outbox.note_all(self._connection.ready)
        self._work.set()

    def refuse_if_busy(self) -> None:
        if self._outbox.waiting:
            raise RequestError("a message is on its way", hint="Esc stops it")
