"""The options that were not chosen, each with its reason."""

from __future__ import annotations

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from assistant import wire

MOST = 60


class LoserList(VerticalScroll):
    HELP = "The other options: × breaks a limit, · was outranked, ◇ is simulated; and why."

    def __init__(self) -> None:
        super().__init__()
        self._text = Static("", markup=False)

    def compose(self):
        yield self._text

    def show(self, view: wire.PlanView) -> None:
        # Options that differ in slots only, and lost for the same reason, are one line.
        groups: dict[tuple[str, str], list[wire.LoserView]] = {}
        for loser in view.losers:
            groups.setdefault((loser.option.name.split(", ")[0], loser.words), []).append(loser)
        lines = []
        for (family, words), (loser, *more) in list(groups.items())[:MOST]:
            name = family if more else loser.option.name
            mark, colour = ("×", "$text-error") if loser.breaches else ("·", "$text-muted")
            simulated = "◇ " if loser.option.simulated else ""
            lines.append(Content.assemble((f"{mark} ", colour), (f"{simulated}{name}", "bold"), f": {words}"))
        if len(groups) > MOST:
            lines.append(Content(f"… and {len(groups) - MOST} more"))
        self._text.update(Content("\n").join(lines or [Content("no other option")]))
