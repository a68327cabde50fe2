"""The input: grows with its text, has the focus at once, keeps a draft whatever happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.binding import Binding, BindingType
from textual.keys import Keys
from textual.message import Message
from textual.widgets import TextArea

from assistant import wire
from assistant.tui.commands import Command, is_command
from assistant.tui.widgets.slash_menu import SlashMenu

# Most terminals send Alt+Enter as escape and return, which Textual takes for two keys: the second
# would send the message. Ctrl+J is the key that every terminal has for a new line.
ANSI_SEQUENCES_KEYS.setdefault("\x1b\r", (Keys.ControlJ,))


class Composer(TextArea):
    HELP = "Write here. An empty input and the up arrow edit your last message; a slash opens the commands."
    BINDING_GROUP_TITLE = "Input"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Send", tooltip="Send the message"),
        Binding(
            "ctrl+j,shift+enter,alt+enter",
            "newline",
            "New line",
            tooltip="Start a new line in the message",
        ),
        Binding("up", "up", "Edit", tooltip="In an empty input: edit the message before"),
    ]

    @dataclass
    class Submitted(Message):
        text: str
        editing: wire.Message | None

    @dataclass
    class EditWanted(Message):
        """Load the person's message before `before` (None: the last one)."""

        before: wire.Message | None

    @dataclass
    class Commanded(Message):
        """A slash command was entered."""

        text: str

    def __init__(self) -> None:
        self.menu = SlashMenu()
        super().__init__(
            soft_wrap=True,
            tab_behavior="focus",
            highlight_cursor_line=False,
            placeholder="Type a message",
        )
        self.editing: wire.Message | None = None

    async def _on_key(self, event: events.Key) -> None:
        """Enter waits its turn behind the keys typed before it; a priority binding would overtake them."""
        if self.menu.command and event.key in ("up", "down", "tab", "enter"):
            event.stop()
            event.prevent_default()
            self._choose(self.menu.command, event.key)
        elif event.key == "enter":
            event.stop()
            event.prevent_default()
            self.action_submit()
        else:
            await super()._on_key(event)

    def on_text_area_changed(self) -> None:
        self.menu.follow(self.text)

    def _choose(self, command: Command, key: str) -> None:
        """Up and Down move in the menu, Tab completes, Enter runs what needs nothing more."""
        if key in ("up", "down"):
            self.menu.move(-1 if key == "up" else 1)
        elif key == "enter" and (not command.argument or self.text == f"/{command.name}"):
            self.put(f"/{command.name}")
            self.action_submit()
        else:
            self.put(f"/{command.name} ")

    def action_submit(self) -> None:
        text = self.text.strip()
        if not text:
            return
        if is_command(text):
            self.put("")
            self.post_message(self.Commanded(text))
            return
        text = text[1:] if text.startswith("//") else text
        editing = self.editing
        self.leave_edit()
        self.post_message(self.Submitted(text, editing))

    def action_newline(self) -> None:
        self.insert("\n")

    def action_up(self) -> None:
        untouched = not self.text or (self.editing and self.text == self.editing.content)
        if untouched and self.cursor_at_first_line:
            self.post_message(self.EditWanted(self.editing))
        else:
            self.action_cursor_up()

    def edit_message(self, message: wire.Message) -> None:
        self.editing = message
        self.put(message.content)
        self.border_title = "editing an earlier message · Esc leaves it as it was"
        self.add_class("-editing")

    def leave_edit(self) -> None:
        self.editing = None
        self.put("")
        self.border_title = None
        self.remove_class("-editing")

    def put(self, text: str) -> None:
        """Load a text and go to its end."""
        self.load_text(text)
        self.move_cursor(self.document.end)

    async def _on_paste(self, event: events.Paste) -> None:
        # Terminals send pasted line ends as carriage returns.
        event.text = event.text.replace("\r\n", "\n").replace("\r", "\n")
        await super()._on_paste(event)
