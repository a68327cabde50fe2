"""What the model thought before it answered: one dim line that opens on a click or a key."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from assistant.tui.text import printable


class Thought(Widget, can_focus=True):
    HELP = "The model's thoughts before its answer; they are not part of the answer."
    BINDING_GROUP_TITLE = "Thoughts"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter",
            "toggle",
            "Open or close",
            tooltip="Show all of the thoughts, or one line",
        ),
    ]

    text: reactive[str] = reactive("", layout=True)
    thinking: reactive[bool] = reactive(True)
    opened: reactive[bool] = reactive(False, layout=True)

    def __init__(self, text: str = "", thinking: bool = True):
        super().__init__()
        self.set_reactive(Thought.text, printable(text))
        self.set_reactive(Thought.thinking, thinking)

    def add(self, piece: str) -> None:
        self.text += printable(piece)

    def render(self) -> Content:
        if self.opened:
            return Content(f"▾ {'thinking' if self.thinking else 'thoughts'}\n{self.text.strip()}")
        if not self.thinking:
            return Content(f"▸ thought for {len(self.text.split())} words")
        # While it thinks, the newest words show that it is alive.
        room = max(self.size.width - 14, 10)
        return Content(f"▸ thinking … {' '.join(self.text[-300:].split())[-room:]}")

    def action_toggle(self) -> None:
        self.opened = not self.opened

    def on_click(self) -> None:
        self.action_toggle()
