"""The lines under the input: what the reply costs, live while it is written, and how near the memory wall it is."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from assistant import wire
from assistant.tui.costs import Meter, Tally
from assistant.tui.figures import GAUGE_CELLS, Part, cost_parts, fit, joules, money, rate_parts

REFRESH_S = 0.25
"""Nobody reads figures that change with each of three hundred tokens per second; the last ones are shown at once."""

HINT = "Enter sends · Ctrl+J new line · / commands · Ctrl+B chats · Ctrl+P all actions · F1 help"


class CostStrip(Widget):
    HELP = (
        "Speed and energy of the current or last reply. tok/s, ms/token (half of the tokens are quicker than p50, 95 % "
        "quicker than p95) and the time to the first token (TTFT) are measured on this machine. The wall is what this "
        "machine can read from memory per second: every token reads all weights, so it is the limit; the gauge shows "
        "which share of it is used (above 100 %: part of the model stays in a cache). Bytes are counted. Energy is "
        "measured, modelled (~) or simulated (◇), as the word says. Session: since this terminal was opened. Cloud: "
        "what a hosted model would ask for the same tokens; nothing is sent. Narrow terminals show fewer figures; F3 "
        "shows all days."
    )

    note: reactive[str] = reactive("")

    def __init__(self) -> None:
        super().__init__()
        self.meter = Meter()
        self.prices: wire.CloudPrices | None = None
        self._seen: wire.Cost | None = None
        self._waits = False

    def show(self, cost: wire.Cost | None, final: bool | None = None) -> None:
        self.meter.take(cost, final)
        if final is None:
            self._seen = None
        if final is not False:
            self._draw()
        elif not self._waits:
            self._waits = True
            self.set_timer(REFRESH_S, self._draw)

    def _draw(self) -> None:
        self._waits = False
        self.meter.look(self._seen)
        self._seen = self.meter.cost
        self.refresh()

    def render(self) -> Content:
        width, lines = self.size.width, self.size.height
        cost = self.meter.cost
        if cost is None or not cost.completion_tokens:
            words = HINT.split(" · ")
            shown = [fit([(n % (len(words) - 1), text) for n, text in enumerate(words)], width)]  # F1 stays longest
        else:
            rate, spent = rate_parts(cost, self.meter.rates, lines == 1), [*cost_parts(cost), *self._totals()]
            shown = [fit(rate, width), fit(spent, width)] if lines > 1 else [fit([*rate, *spent], width)]
        if self.note:
            return Content("\n").join(
                [Content.assemble((self.note[:width], "$text-warning")), *map(Content, shown[1:])]
            )
        return Content("\n").join(_coloured(line) for line in shown)

    def _totals(self) -> list[Part]:
        """The sitting so far, and what it would have cost elsewhere."""
        session: Tally = self.meter.session
        parts: list[Part] = []
        if session.energy_j:
            parts.append((3, f"session {joules(session.energy_j)}"))
            if self.prices:
                parts.append((7, f"cloud {money(*session.elsewhere(self.prices), self.prices.currency)}"))
        return parts


def _coloured(line: str) -> Content:
    """The gauge is the one thing to be seen from afar."""
    before, edge, rest = line.partition("▕")
    return Content.assemble(before, edge, (rest[:GAUGE_CELLS], "$primary"), rest[GAUGE_CELLS:])
