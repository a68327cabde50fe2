"""The line under the input: what the reply costs, live while it is written."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from assistant import wire
from assistant.tui.figures import cost_parts, fit

REFRESH_S = 0.1
"""Nobody reads figures that change with each of three hundred tokens per second."""


class CostStrip(Widget):
    HELP = (
        "Speed and energy of the current or last reply: tokens per second and time to the first "
        "token (TTFT) are measured on this machine. Energy is measured, modelled (~) or simulated "
        "(◇), as the word says. Narrow terminals show fewer figures."
    )

    cost: reactive[wire.Cost | None] = reactive(None)
    note: reactive[str] = reactive("")

    def __init__(self) -> None:
        super().__init__()
        self._newest: wire.Cost | None = None
        self._waits = False

    def show(self, cost: wire.Cost | None) -> None:
        self._newest = cost
        if not self._waits:
            self._waits = True
            self.set_timer(REFRESH_S, self._show_newest)

    def _show_newest(self) -> None:
        self._waits = False
        self.cost = self._newest

    def render(self) -> Content:
        width = self.size.width
        if self.note:
            return Content.assemble((self.note[:width], "$text-warning"))
        if self.cost is None:
            hint = "Enter sends · Ctrl+J new line · Ctrl+B chats · Ctrl+P commands · F1 help"
            parts = [(rank, text) for rank, text in enumerate(hint.split(" · "))]
            parts[-1] = (0, parts[-1][1])
            return Content(fit(parts, width))
        separator = "  ·  " if width >= 80 else " · "
        return Content(fit(cost_parts(self.cost), width, separator))
