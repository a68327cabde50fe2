"""The plan and its what-if: move the limits and see the choice, the losers and the trade-offs change; apply it live."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content

from assistant import wire
from assistant.client import Client
from assistant.tui.plots import plane
from assistant.tui.screens.page import Page
from assistant.tui.widgets.limit_panel import LimitPanel
from assistant.tui.widgets.loser_list import LoserList
from assistant.tui.widgets.plan_card import PlanCard
from assistant.tui.widgets.plot import Plot

MARKS = {
    "outranked": ("·", "$text-muted"),
    "breaks a limit": ("×", "$text-error"),
    "best trade-offs": ("+", "$text-accent"),
    "simulated": ("◇", "$text-warning"),
    "choice": ("●", "$text-success"),
}
WATCH_S = 1.0


class PlanScreen(Page):
    HELP = (
        "What the solver has chosen and what it would choose: nothing changes until you press Enter. The plot shows "
        "energy over time per token of every option, both modelled or simulated, on logarithmic axes."
    )
    HEADLINE = "Plan and what-if · ←→ change a limit · Enter applies · Esc back"
    BINDING_GROUP_TITLE = "Plan"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "apply", "Apply", tooltip="Follow this policy with these limits from now on"),
        Binding("pageup", "page(-1)", "Page up", tooltip="Scroll the page", show=False),
        Binding("pagedown", "page(1)", "Page down", tooltip="Scroll the page", show=False),
    ]

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.panel, self.card = LimitPanel(), PlanCard()
        self._plot, self._losers = Plot(id="plane"), LoserList()

    def body(self) -> ComposeResult:
        with VerticalScroll(id="plan", can_focus=False):
            yield self.card
            with Horizontal(id="plan-body"):
                yield self.panel
                with Vertical(id="plan-right"):
                    yield self._plot
                    yield self._losers

    def on_mount(self) -> None:
        self.panel.focus()
        super().on_mount()
        self.set_interval(WATCH_S, partial(self.attempt, self._watch, "watch"))

    def action_apply(self) -> None:
        self.attempt(self._apply)

    def action_page(self, pages: int) -> None:
        scroll = self.query_one("#plan", VerticalScroll)
        (scroll.scroll_page_up if pages < 0 else scroll.scroll_page_down)(animate=False)

    @on(LimitPanel.Changed)
    def _ask(self) -> None:
        self.attempt(self._what_if)

    @on(LimitPanel.PolicyChosen)
    def _other(self, event: LimitPanel.PolicyChosen) -> None:
        self.attempt(partial(self._policy, event.policy))

    async def load(self) -> None:
        status = await self.client.plan()
        self.panel.wishes.start(status.plan, status.policies)
        self.panel.refresh()
        self.card.status = status
        self._show(status.plan)

    async def _watch(self) -> None:
        """What runs may change under our eyes: the daemon goes over between two replies."""
        self.card.status = await self.client.plan()

    async def _policy(self, policy: str) -> None:
        view = await self.client.what_if(policy, {})
        self.panel.wishes.follow(view)
        self.panel.refresh()
        self._show(view)

    async def _what_if(self) -> None:
        wishes = self.panel.wishes
        self._show(await self.client.what_if(wishes.policy, wishes.limits()))

    async def _apply(self) -> None:
        wishes = self.panel.wishes
        self.card.status = await self.client.follow(wishes.policy, wishes.limits())
        self.notify(f"The daemon follows '{wishes.policy}' from now on", markup=False)

    def _show(self, view: wire.PlanView) -> None:
        self.card.view = view
        self._losers.show(view)
        points = kinds(view)

        def draw(width: int, height: int) -> Content:
            legend = Content("  ").join(Content.assemble(mark, f" {name}") for name, mark in MARKS.items())
            lines = -(-(legend.cell_length + 2) // max(width, 1))
            picture = plane(points, MARKS, "ms per token (modelled, simulated)", "mJ per token", width, height - lines)
            return Content("\n").join([legend, picture])

        self._plot.show(draw)


def kinds(view: wire.PlanView) -> dict[str, list[tuple[float, float]]]:
    """Kind -> (ms per token, mJ per token) of each option whose figures are known."""
    front, found = {*view.front}, {name: [] for name in MARKS}
    options = [(loser.option, bool(loser.breaches)) for loser in view.losers]
    if view.choice:
        options.append((view.choice, False))
    for option, broken in options:
        time, energy = (option.figures.get(key) for key in ("ms_per_token", "joules_per_token"))
        if not (time and energy and time.value and energy.value):
            continue
        if view.choice and option.name == view.choice.name:
            kind = "choice"
        elif option.simulated:
            kind = "simulated"
        else:
            kind = "breaks a limit" if broken else "best trade-offs" if option.name in front else "outranked"
        found[kind].append((time.value, energy.value * 1e3))
    return found
