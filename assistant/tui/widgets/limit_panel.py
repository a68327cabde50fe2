"""The limits as a list of dials that the arrow keys move; every change is told at once."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from assistant.tui.dials import DIALS, Wishes

WORDS_CELLS = 34


class LimitPanel(Widget, can_focus=True):
    HELP = (
        "The policy and its limits. Up and Down choose a line, Left and Right change it: choice, reasons of the "
        "others and the plot follow at once. A line that you have changed is marked with *."
    )
    BINDING_GROUP_TITLE = "Limits"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Line up", tooltip="The limit above", show=False),
        Binding("down,j", "move(1)", "Line down", tooltip="The limit below", show=False),
        Binding("left,h", "turn(-1)", "Smaller", tooltip="A smaller value, or the policy before", show=False),
        Binding("right,l", "turn(1)", "Larger", tooltip="A larger value, or the next policy", show=False),
        Binding("backspace,delete", "reset", "As in the policy", tooltip="This limit as the policy has it"),
    ]

    class PolicyChosen(Message):
        def __init__(self, policy: str) -> None:
            super().__init__()
            self.policy = policy

    class Changed(Message):
        """A limit was moved."""

    cursor: reactive[int] = reactive(0)

    def __init__(self) -> None:
        super().__init__()
        self.wishes = Wishes()

    def get_content_height(self, *_: object) -> int:
        return len(DIALS) + 1

    def render(self) -> Content:
        lines = [("policy", self.wishes.policy or "…", False)]
        lines += [(dial.words, dial.text(self.wishes.value(dial)), dial.key in self.wishes.own) for dial in DIALS]
        return Content("\n").join(self._line(n, *line) for n, line in enumerate(lines))

    def _line(self, number: int, words: str, value: str, changed: bool) -> Content:
        here = number == self.cursor
        mark = "▸" if here else " "
        ends = ("◂ ", " ▸") if here and self.has_focus else ("  ", "")
        style = "reverse" if here and self.has_focus else "bold $text-warning" if changed else ""
        words = words[: max(self.size.width - 16, 8)]
        room = min(WORDS_CELLS, max(self.size.width - 16, 8))
        return Content.assemble(
            f"{mark} {words:<{room}}", (f"{ends[0]}{value}{ends[1]}", style), " *" if changed else ""
        )

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        self.cursor = min(max(event.y, 0), len(DIALS))

    def action_move(self, steps: int) -> None:
        self.cursor = (self.cursor + steps) % (len(DIALS) + 1)
        for page in self.ancestors:
            if isinstance(page, VerticalScroll):
                row = self.region.y - page.region.y + page.scroll_offset.y + self.cursor + 1
                page.scroll_to_region(Region(0, row, 1, 1), animate=False)

    def action_turn(self, steps: int) -> None:
        if self.cursor:
            if self.wishes.turn(DIALS[self.cursor - 1], steps):
                self._tell()
        elif names := self.wishes.policies:
            place = names.index(self.wishes.policy) if self.wishes.policy in names else 0
            self.post_message(self.PolicyChosen(names[(place + steps) % len(names)]))

    def action_reset(self) -> None:
        if self.cursor and self.wishes.own.pop(DIALS[self.cursor - 1].key, self) is not self:
            self._tell()

    def _tell(self) -> None:
        self.refresh()
        self.post_message(self.Changed())
