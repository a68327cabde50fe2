"""The messages of a chat, oldest first; stays at the bottom unless the person has scrolled up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from assistant import wire
from assistant.tui.widgets.message import AssistantMessage, UserMessage

WELCOME = "Type a message and press Enter.\nF1 shows all keys, Ctrl+B your chats."


class Conversation(VerticalScroll, can_focus=True):
    HELP = (
        "The conversation. It follows the newest words; scroll up and it stays where you are, "
        "scroll to the end and it follows again."
    )
    BINDING_GROUP_TITLE = "Conversation"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll_up", "Up", tooltip="One line up", show=False),
        Binding("down", "scroll_down", "Down", tooltip="One line down", show=False),
        Binding("home", "scroll_home", "Start", tooltip="To the first message", show=False),
        Binding("end", "scroll_end", "End", tooltip="To the newest words", show=False),
    ]

    def compose(self):
        yield Static(WELCOME, id="welcome")

    def on_mount(self) -> None:
        self.anchor()

    async def show(self, messages: Sequence[wire.Message]) -> None:
        """Replace everything by a branch of a chat."""
        widgets = [*map(widget_for, messages)]
        with self.app.batch_update():
            await self.remove_children()
            await self.mount_all(widgets or [Static(WELCOME, id="welcome")])
        self.anchor()

    async def add(self, widget: Widget) -> None:
        """Append, and go there: the person has just caused it."""
        await self.query("#welcome").remove()
        await self.mount(widget)
        self.anchor()

    async def add_reply(self, reply: Widget, message: Widget | None) -> None:
        """Put a reply below its message, above others that may already wait; scroll nowhere."""
        below = message if message and message.parent is self else None
        await self.mount(reply, after=below)

    async def cut_after(self, message_id: str | None) -> None:
        """Remove what follows a message; None removes everything."""
        children = list(self.children)
        keep = 0
        if message_id is not None:
            ids = [getattr(child, "message_id", None) for child in children]
            if message_id not in ids:
                return
            keep = ids.index(message_id) + 1
        await self.remove_children(children[keep:])


def widget_for(message: wire.Message) -> Widget:
    if message.role == "assistant":
        return AssistantMessage(message)
    return UserMessage(message.content, message.id)
