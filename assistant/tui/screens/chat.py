"""The chat screen: arranges the widgets and turns keys into what the dialogue does."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Key, Resize
from textual.screen import Screen

from assistant.errors import AssistantError, RequestError
from assistant.tui import editor
from assistant.tui.commands import parse
from assistant.tui.connection import Connection, Launcher, Link, Phase
from assistant.tui.dialogue import Dialogue
from assistant.tui.library import Library
from assistant.tui.messages import ChatAction, ChatChosen, LinkClicked, MessageAction, QuoteOpened
from assistant.tui.text import printable
from assistant.tui.widgets.composer import Composer
from assistant.tui.widgets.conversation import Conversation
from assistant.tui.widgets.cost_strip import CostStrip
from assistant.tui.widgets.offline_badge import OfflineBadge
from assistant.tui.widgets.status_header import StatusHeader

if TYPE_CHECKING:
    from assistant.tui.widgets.voice_bar import VoiceBar


REMINDER_S = 120.0
"""A toast for who has looked away: a click takes it from the screen sooner."""


class ChatScreen(Screen[None]):
    BINDING_GROUP_TITLE = "Chat"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "Stop", tooltip="Stop the reply, or take back a waiting message"),
        Binding("ctrl+n", "new_chat", "New chat", tooltip="Begin a new chat", priority=True),
        Binding(
            "ctrl+r", "regenerate", "Answer again", tooltip="Have the last message answered again",
            priority=True,
        ),
        Binding(
            "ctrl+b,ctrl+o,f2", "toggle_chats", "Chats", tooltip="Show the chats and resume one",
            priority=True,
        ),
        Binding(
            "ctrl+t", "undo", "Take back", tooltip="Take back the last turn, and edit it",
            priority=True,
        ),
        Binding(
            "alt+t", "redo", "Bring back", tooltip="Bring back what was taken back", priority=True
        ),
        Binding("f6", "library('tree')", "Branches", tooltip="All branches of this chat", priority=True),
        Binding("f7,ctrl+f", "library('search')", "Search", tooltip="Search in this chat and in all", priority=True),
        Binding("f8", "read", "Read and copy", tooltip="Read by keys: arrows choose, Y copies", priority=True),
        Binding("f9", "library('fork')", "Fork", tooltip="Go on in a new chat with all of this", priority=True),
        Binding("ctrl+g", "library('editor')", "Editor", tooltip="Write the message in your $EDITOR", priority=True),
        Binding("ctrl+s", "library('export')", "Export", tooltip="Write this chat to a Markdown file", priority=True),
        Binding(
            "pageup", "page(-1)", "Page up", tooltip="Scroll the conversation", priority=True
        ),
        Binding(
            "pagedown", "page(1)", "Page down", tooltip="Scroll the conversation", priority=True
        ),
    ]  # fmt: skip

    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]] | None] = [(0, "-narrow"), (80, "-wide"), (140, "-huge")]

    def __init__(self, resume: str | None = None, launcher: Launcher | None = None) -> None:
        super().__init__()
        self._told = ""  # the reason of a loss that the person has already seen
        self.header = StatusHeader()
        self.badge = OfflineBadge()
        self.conversation = Conversation()
        self.composer = Composer()
        self.strip = CostStrip()
        self.connection = Connection(self._link_changed, launcher, self._looked)
        self.library = Library(self)
        self._revision = -1
        self.voice: VoiceBar | None = None  # where its extra is installed
        self.dialogue = Dialogue(
            self.connection,
            self.conversation,
            on_change=self._dialogue_changed,
            on_cost=self.strip.show,
            on_error=self._tell,
            resume=resume,
        )

    def compose(self) -> ComposeResult:
        with Horizontal(id="top"):
            yield self.header
            yield self.badge
        with Horizontal(id="body"), Vertical(id="main"):
            yield self.conversation
            yield self.composer.menu
            yield self.composer
            yield self.strip

    def on_mount(self) -> None:
        self.composer.focus()
        # Whatever takes time begins when the person can already see the screen and type.
        self.call_after_refresh(self._begin)

    async def _begin(self) -> None:
        self.run_worker(self.connection.run(), group="connection")
        self.run_worker(self.dialogue.run(), group="dialogue")
        self.run_worker(self._follow_reminders(), group="reminders")
        await self._find_voice()

    async def _find_voice(self) -> None:
        """Its line is there where its extra is installed, and so is its key."""
        from assistant.tui import voice

        if not voice.is_installed():
            return
        from assistant.tui.widgets.voice_bar import KEY, VoiceBar

        self.voice = self.conversation.aloud = VoiceBar(voice.VoiceProcess())
        await self.query_one("#main").mount(self.voice, before=self.strip)
        self.app.bind(KEY, "screen.talk", description="Talk", show=False)

    async def on_unmount(self) -> None:
        self.workers.cancel_node(self)  # nobody asks once the client is closed
        await self.library.close()
        await self.connection.aclose()

    # --- what the daemon and the dialogue tell ---

    def _link_changed(self, link: Link) -> None:
        self.header.link = link
        self.badge.test = link.ready.selftest if link.ready else None
        self.dialogue.link_changed(link)
        if link.phase is Phase.READY:
            self.refresh_chats()
            if self.strip.prices is None:
                self.run_worker(self._learn_prices, group="prices", exclusive=True)
        slow = link.phase in (Phase.LOST, Phase.SLOW, Phase.LOADING)
        self.strip.note = link.detail if slow else ""
        if link.phase is Phase.LOST and link.detail and link.detail != self._told:
            # The line is too short for the end of a log.
            self.notify(link.detail, title="No daemon", severity="error", timeout=15, markup=False)
            self._told = link.detail
        elif link.phase is Phase.READY:
            self._told = ""

    async def _looked(self) -> None:
        """Stay in step with other terminals on the same daemon."""
        chat = self.dialogue.branch.chat
        try:
            now = await self.connection.client.revision(chat.id if chat else None)
        except RequestError:  # a daemon that does not tell
            return
        if now.revision != self._revision:
            self._revision = now.revision
            self.refresh_chats()
            if chat is self.dialogue.branch.chat:
                self.dialogue.changed_elsewhere(now.chat)

    async def _follow_reminders(self) -> None:
        async for reminder in self.connection.client.follow_reminders():
            title, _, body = reminder.words.partition(": ")
            self.app.bell()
            self.notify(printable(body), title=title, timeout=REMINDER_S, markup=False)

    async def _learn_prices(self) -> None:
        with suppress(AssistantError):  # without them, no price is shown
            self.strip.prices = await self.connection.client.cloud_prices()

    def on_resize(self, event: Resize) -> None:
        self.badge.narrow = event.size.width < 80
        self.set_class(event.size.height < 24, "-low")

    def _dialogue_changed(self) -> None:
        chat = self.dialogue.branch.chat
        self.header.chat_title = chat.title if chat else ""
        self.header.busy = self.dialogue.busy
        self.refresh_chats()

    # --- what the person does ---

    def on_key(self, event: Key) -> None:
        """Typing always goes to the input: before it has the focus, or while something else has."""
        if event.key in self.active_bindings:
            return  # a letter that means something where the focus is: in the list of chats, while reading
        if event.is_printable and event.character:
            event.stop()
            self.composer.insert(event.character)
            self.composer.focus()

    @on(Composer.Submitted)
    async def _submit(self, event: Composer.Submitted) -> None:
        try:
            await self.dialogue.submit(event.text, event.editing)
        except AssistantError as error:
            self._tell(error)
            self.composer.put(event.text)

    @on(Composer.EditWanted)
    def _edit(self, event: Composer.EditWanted) -> None:
        messages = self.dialogue.branch.user_messages
        ids = [message.id for message in messages]
        end = ids.index(event.before.id) if event.before and event.before.id in ids else len(ids)
        if end:
            self.composer.edit_message(messages[end - 1])

    @on(Composer.Commanded)
    async def _command(self, event: Composer.Commanded) -> None:
        try:
            command, argument = parse(event.text)
        except AssistantError as error:
            self.composer.put(event.text)
            self._tell(error)
            return
        if command.library:
            self.attempt(self.library.do(command.action, argument))
        else:
            await self.run_action(command.action)

    @on(ChatAction)
    def _chat_action(self, event: ChatAction) -> None:
        if event.verb == "undelete":
            work = self.library.undelete()
        elif event.verb == "pin":
            work = self.library.pin(chat_id=event.chat_id)
        else:
            method = self.library.rename if event.verb == "rename" else self.library.delete
            work = method(chat_id=event.chat_id, title=event.title)
        self.attempt(work, focus=False)

    @on(MessageAction)
    def _message_action(self, event: MessageAction) -> None:
        if event.verb == "copy":
            self.app.copy_to_clipboard(event.text)
            self.notify(f"Copied {len(event.text)} characters", markup=False)
            return
        self.conversation.stop_reading()
        if event.verb == "fork":
            self.attempt(self.library.fork(message_id=event.message_id))
        elif event.verb == "retry":
            self.attempt(self.dialogue.regenerate(event.message_id))
        else:
            for message in self.dialogue.branch.user_messages:
                if message.id == event.message_id:
                    self.composer.edit_message(message)
            self.composer.focus()

    def on_voice_bar_said(self, event: VoiceBar.Said) -> None:
        self.composer.post_message(Composer.Submitted(event.text, None))

    async def on_voice_bar_interrupted(self) -> None:
        await self.dialogue.stop()

    def action_talk(self) -> None:
        if self.voice:
            self.voice.toggle()

    def action_library(self, name: str) -> None:
        self.attempt(self.library.do(name))

    def action_read(self) -> None:
        self.conversation.start_reading()

    async def action_stop(self) -> None:
        if self.voice and self.voice.forget():
            return
        if self.conversation.stop_reading():
            self.composer.focus()
            return
        if self.dialogue.busy or not self.composer.editing:
            text = await self.dialogue.stop()
            if text and not self.composer.text:
                self.composer.put(text)
        else:
            self.composer.leave_edit()
        self.composer.focus()

    def action_new_chat(self) -> None:
        self.attempt(self.dialogue.open(None))

    def action_regenerate(self) -> None:
        self.attempt(self.dialogue.regenerate())

    def action_undo(self) -> None:
        async def undo() -> None:
            text = await self.dialogue.undo()
            if not self.composer.text:
                self.composer.put(text)

        self.attempt(undo())

    def action_redo(self) -> None:
        self.attempt(self.dialogue.redo())

    def action_page(self, pages: int) -> None:
        self.conversation.page(pages)

    async def action_toggle_chats(self) -> None:
        from assistant.tui.widgets.chat_list import ChatList

        if lists := self.query(ChatList):
            await lists.remove()
            self.remove_class("-chats")
            self.composer.focus()
            return
        sidebar = ChatList()
        await self.query_one("#body").mount(sidebar, before=0)
        self.add_class("-chats")
        sidebar.focus()
        self.refresh_chats()

    @on(LinkClicked)
    def _link_clicked(self, event: LinkClicked) -> None:
        """A link that a model wrote opens no browser: that would be a way out of this machine."""
        self.app.copy_to_clipboard(event.href)
        self.notify(f"Copied, not opened: {printable(event.href)}", markup=False)

    @on(QuoteOpened)
    def _open_quote(self, event: QuoteOpened) -> None:
        try:
            editor.show(self.app, event.quote.file, event.quote.line)
        except AssistantError as error:
            self._tell(error)

    @on(ChatChosen)
    async def _resume(self, event: ChatChosen) -> None:
        if self.has_class("-narrow"):
            await self.action_toggle_chats()
        self.attempt(self.dialogue.open(event.chat_id))

    def refresh_chats(self) -> None:
        """Fill the sidebar, if it is there."""
        if self.has_class("-chats") and self.connection.ready:
            # As a function: an exclusive worker may be replaced before it has begun.
            self.run_worker(self._fill_chats, group="chats", exclusive=True)

    async def _fill_chats(self) -> None:
        try:
            chats, chat = await self.connection.client.chats(), self.dialogue.branch.chat
        except AssistantError as error:
            self._tell(error)
            return
        for sidebar in self.query("ChatList").results():
            hidden = self.library.hidden
            sidebar.show([c for c in chats if c.id not in hidden], chat.id if chat else None)

    def attempt(self, work: Coroutine[Any, Any, None], focus: bool = True) -> None:
        """Run it beside the screen, which stays alive; an error becomes a notice."""

        async def attempt() -> None:
            try:
                await work
            except AssistantError as error:
                self._tell(error)
            if focus and self.is_current:
                self.composer.focus()

        self.run_worker(attempt(), group="action")

    def _tell(self, error: AssistantError) -> None:
        self.notify(str(error), severity="warning", markup=False)
