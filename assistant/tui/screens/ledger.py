"""The ledger: what all answers have cost, by day, chat or device, as a plot and a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import DataTable, Static

from assistant import wire
from assistant.client import Client
from assistant.tui.figures import count, digits, joules, money, si
from assistant.tui.plots import BAR_MARKS, bars
from assistant.tui.screens.page import Page
from assistant.tui.text import printable
from assistant.tui.widgets.plot import Plot
from assistant.wire import BASIS_GLYPH

SINCE = (None, "today", "7d", "30d")
BASES = ("measured", "modelled", "simulated")
MOST_BARS = 31

METRICS: dict[str, tuple[str, Callable[[wire.CostRow, str], float]]] = {
    "energy": ("joules", lambda row, basis: row.totals.energy_j.get(basis, 0.0)),
    "tokens": ("tokens written", lambda row, basis: 0 if basis else row.totals.completion_tokens),
    "time": ("seconds", lambda row, basis: 0 if basis else row.totals.elapsed_s),
    "bytes": ("gigabytes moved", lambda row, basis: 0 if basis else row.totals.bytes_moved / 1e9),
    "cloud": ("a cloud's price, upper end", lambda row, basis: 0 if basis else row.equivalents.cloud_high),
}
"""Name -> what is plotted, and its value in a row for a basis; the basis is empty for what is counted."""


class LedgerScreen(Page):
    HELP = (
        "What all answers have cost, day by day. Joules that were measured, modelled (~) or simulated "
        "(◇) are summed apart. Cloud: what a hosted model would have asked for the same "
        "tokens, a reference; nothing is sent."
    )
    HEADLINE = BINDING_GROUP_TITLE = "Costs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "by('day')", "By day", tooltip="One row for each day"),
        Binding("c", "by('session')", "By chat", tooltip="One row for each chat"),
        Binding("b", "by('backend')", "By device", tooltip="One row for each backend and precision"),
        Binding("m", "metric", "Plot", tooltip="Plot energy, tokens, time, bytes or a cloud's price"),
        Binding("s", "since", "Since", tooltip="All days, today, 7 days or 30 days"),
    ]

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._by: wire.CostBy = "day"
        self._since = SINCE[0]
        self._metric = "energy"
        self._report: wire.CostReport | None = None

    def body(self) -> ComposeResult:
        with VerticalScroll(id="ledger", can_focus=False):
            yield Static("", id="choices", markup=False)
            yield Plot(id="plot")
            yield DataTable(id="rows", cursor_type="row", zebra_stripes=True)
            yield Static("", id="notes", markup=False)

    def action_by(self, by: wire.CostBy) -> None:
        self._by = by
        self.action_reload()

    def action_since(self) -> None:
        self._since = SINCE[(SINCE.index(self._since) + 1) % len(SINCE)]
        self.action_reload()

    def action_metric(self) -> None:
        names = list(METRICS)
        self._metric = names[(names.index(self._metric) + 1) % len(names)]
        self._draw()

    async def load(self) -> None:
        self._report = await self.client.cost(self._by, self._since)
        self._draw()

    def _draw(self) -> None:
        report = self._report
        if report is None:
            return
        by = {"day": "day (D)", "session": "chat (C)", "backend": "device (B)"}[self._by]
        what, value = METRICS[self._metric]
        self.query_one("#choices", Static).update(
            f" by {by} · since {self._since or 'the beginning'} (S) · plot: {self._metric} (M) · Esc back"
        )
        rows = report.rows[:MOST_BARS]
        rows = rows[::-1] if self._by == "day" else rows  # time goes from left to right
        labels = [row.label[5:] if self._by == "day" else printable(row.label)[:8] for row in rows]
        series = {basis: [value(row, basis) for row in rows] for basis in ("", *BASES)}
        legend = "  ".join(f"{BAR_MARKS[b]} {b}" for b in BASES if any(series[b]))

        def draw(width: int, height: int) -> Content:
            picture = bars(labels, series, width, height - 1)
            return Content("\n").join([Content(f" {what}   {legend}"), picture]) if picture else Content("")

        self.query_one("#plot", Plot).show(draw)
        self._fill(report)
        notes = [*report.notes] if report.total.answers else ["Nothing has been answered in this time."]
        self.query_one("#notes", Static).update("\n".join(f" {note}" for note in notes))

    def _fill(self, report: wire.CostReport) -> None:
        table = self.query_one("#rows", DataTable)
        table.clear(columns=True)
        currency = report.equivalents.currency
        table.add_columns({"session": "chat", "backend": "device"}.get(report.by, "day"), "answers", "written", "tok/s",
                          "energy", "moved", "cloud", "CO2 g", "read")  # fmt: skip
        total = wire.CostRow(key="", label="total", totals=report.total, equivalents=report.equivalents)
        for row in (*report.rows, *([total] if len(report.rows) > 1 else [])):
            totals, same = row.totals, row.equivalents
            speed = totals.completion_tokens / totals.decode_s if totals.decode_s else None
            co2 = " + ".join(f"{BASIS_GLYPH[b]}{digits(g)}" for b, g in same.co2_g.items())
            table.add_row(
                printable(row.label)[:28], str(totals.answers), count(totals.completion_tokens),
                digits(speed) if speed else "", joules(totals.energy_j), si(totals.bytes_moved, "B"),
                money(same.cloud_low, same.cloud_high, currency), co2, count(totals.prompt_tokens),
            )  # fmt: skip
