"""What goes back and forth: turns wait, are delivered one by one, survive the daemon's death."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from assistant import wire
from assistant.errors import AssistantError, DaemonUnavailable, RequestError
from assistant.tui.branch import Branch
from assistant.tui.connection import Connection, Link, Phase
from assistant.tui.text import title_of
from assistant.tui.turns import MAX_ATTEMPTS, QUEUED, WAITING, Turn
from assistant.tui.widgets.conversation import Conversation
from assistant.tui.widgets.message import STATUS_WORDS, UserMessage

RECHECK_S = 1.0


class Dialogue:
    """Delivers turns one after another; every change of the branch happens under one lock."""

    def __init__(
        self,
        connection: Connection,
        conversation: Conversation,
        *,
        on_change: Callable[[], None],
        on_cost: Callable[[wire.Cost | None], None],
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
        self._waiting: deque[Turn] = deque()  # the first one may be on its way
        self._failed: Turn | None = None
        self._delivery: asyncio.Task[None] | None = None
        self._stale = True  # the daemon may know more than the screen shows
        self._work = asyncio.Event()
        self._lock = asyncio.Lock()

    @property
    def busy(self) -> bool:
        """Whether a reply is being written."""
        return self._delivery is not None

    @property
    def idle(self) -> bool:
        """Whether nothing waits, either."""
        return not self._waiting

    def link_changed(self, link: Link) -> None:
        if link.phase in (Phase.LOST, Phase.STARTING):
            self._stale = True
        self._note_waiting()
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
            self._refuse_if_busy()
            turn.parent_id, turn.root = editing.parent_id, editing.parent_id is None
            await self.branch.cut_after(editing.parent_id)
        elif self.branch.at_root:
            turn.root = True
            await self.branch.cut_after(None)
        self._failed = None
        await self._conversation.add(turn.bubble)
        self._enqueue(turn)

    async def stop(self) -> str | None:
        """Stop the reply, or take back what is not yet sent and return its text."""
        if not self._waiting:
            return None
        turn = self._waiting[0]
        if self._delivery:
            again, turn.stopping = turn.stopping, True
            stopped = 0
            if self.branch.chat and not again:
                with suppress(AssistantError):
                    stopped = await self._connection.client.cancel(self.branch.chat.id)
            # Nothing to cancel yet, or it did not help: leave, which the daemon notices.
            if not stopped and self._delivery:
                self._delivery.cancel()
            return None
        turn = self._waiting.pop()
        if turn.bubble:
            await turn.bubble.remove()
        return turn.text

    async def regenerate(self) -> None:
        self._refuse_if_busy()
        if turn := self._failed:
            self._failed, turn.attempts = None, 0
            self._enqueue(turn)
        elif messages := self.branch.user_messages:
            await self.branch.cut_after(messages[-1].id)
            self._enqueue(Turn(messages[-1].content, answers_id=messages[-1].id))
        else:
            raise RequestError("there is no message to answer again")

    async def undo(self) -> str:
        self._refuse_if_busy()
        async with self._lock:
            return await self.branch.undo()

    async def redo(self) -> None:
        self._refuse_if_busy()
        async with self._lock:
            await self.branch.redo()

    async def open(self, chat_id: str | None) -> None:
        """Show another chat; None is a new one."""
        self._refuse_if_busy()
        async with self._lock:
            await (self.branch.open(chat_id) if chat_id else self.branch.clear())
            self._failed = self._resume = None
            self._on_cost(None)
            self._on_change()

    # --- one step of the work ---

    async def _step(self) -> bool:
        """True if there may be more to do."""
        if not self._connection.ready:
            return False
        async with self._lock:
            try:
                if self._stale:
                    await self._reload()
                if not self._waiting:
                    return False
                await self._deliver(self._waiting[0])
            except DaemonUnavailable:
                self._stale = True
                self._connection.check()
                self._note_waiting()
                return False
            except AssistantError as error:
                self._give_up(str(error))
        return True

    async def _deliver(self, turn: Turn) -> None:
        client, branch = self._connection.client, self.branch
        if branch.chat is None:
            branch.chat = await client.create_chat(title=title_of(turn.text))
        self._delivery = asyncio.create_task(
            turn.deliver(client, branch.chat.id, self._conversation, self._on_cost)
        )
        self._on_change()
        try:
            await asyncio.wait([self._delivery])
            if self._delivery.cancelled():
                (turn.reply or turn).note(STATUS_WORDS["cancelled"], bad=True)
                self._stale = True
            elif error := self._delivery.exception():
                if isinstance(error, DaemonUnavailable) and turn.started:
                    # The daemon has the message: what it kept is shown when it is back.
                    if turn.reply:
                        turn.reply.note(STATUS_WORDS["interrupted"], bad=True)
                    self._waiting.popleft()
                raise error
            elif turn.started and turn.finished:
                if not turn.answers_id:
                    branch.messages.append(turn.started.user_message)
                branch.messages.append(turn.finished.message)
            else:
                self._stale = True
            self._waiting.popleft()
        finally:
            self._delivery.cancel()  # only if the screen is being closed is it still running
            self._delivery = None
            self._on_change()

    def _give_up(self, why: str) -> None:
        """Keep a turn that the daemon refused where the person can see it and try again."""
        turn = self._waiting.popleft()
        if turn.started:
            # The daemon has the message: to try again is to answer it again.
            if not turn.answers_id:
                self.branch.messages.append(turn.started.user_message)
            if turn.reply:
                turn.reply.note(f"failed: {why} · Ctrl+R answers again", bad=True)
        else:
            self._failed = turn
            turn.note(f"not sent: {why} · Ctrl+R tries again", bad=True)
        self._on_change()

    # --- after a loss ---

    async def _reload(self) -> None:
        """Take the daemon's word for what is stored, then put what is not yet sent below it."""
        try:
            view = await self._stored()
        except DaemonUnavailable:
            raise
        except AssistantError as error:
            # The chat is gone: what is waiting begins a new one.
            self._on_error(error)
            self.branch.chat, self._resume, view = None, None, None
        self._stale = False
        if view:
            self._settle_unanswered(view)
            turns = [turn for turn in (self._failed, *self._waiting) if turn and turn.bubble]
            for turn in turns:
                turn.bubble = turn.bubble.copy()
            await self.branch.show(view, [turn.bubble for turn in turns])
            if view.messages and view.messages[-1].status == "streaming":
                asyncio.get_running_loop().call_later(RECHECK_S, self._look_again)
        self._on_change()

    async def _stored(self) -> wire.ChatView | None:
        client, branch = self._connection.client, self.branch
        chat_id = self._resume or (branch.chat.id if branch.chat and not branch.at_root else None)
        if chat_id == "last":
            chats = await client.chats()
            chat_id = max(chats, key=lambda chat: chat.updated_at).id if chats else None
        view = await client.chat(chat_id) if chat_id else None
        self._resume = None
        return view

    def _settle_unanswered(self, view: wire.ChatView) -> None:
        """Find out whether a message that was cut on its way had arrived after all."""
        turn = self._waiting[0] if self._waiting else None
        if not turn or not turn.attempts:
            return
        known = {message.id for message in self.branch.messages}
        stored = [m for m in view.messages if m.role == "user" and m.id not in known]
        if stored and not turn.answers_id and stored[-1].content == turn.text:
            turn.answers_id, turn.bubble = stored[-1].id, None
            if view.messages[-1].id != turn.answers_id:
                self._waiting.popleft()  # it even has an answer
        elif turn.attempts >= MAX_ATTEMPTS:
            self._give_up("the daemon was lost each time this was sent")

    def _look_again(self) -> None:
        self._stale = True
        self._work.set()

    # --- the queue ---

    def _enqueue(self, turn: Turn) -> None:
        self._waiting.append(turn)
        self._note_waiting()
        self._work.set()

    def _note_waiting(self) -> None:
        for index, turn in enumerate(self._waiting):
            if not self._connection.ready:
                turn.note(WAITING)
            elif index:
                turn.note(QUEUED)

    def _refuse_if_busy(self) -> None:
        if self._waiting:
            raise RequestError("a message is on its way", hint="Esc stops it")
