"""The offline report: what the last self-test has shown, rung by rung, and what it has not."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from assistant import wire
from assistant.client import Client
from assistant.tui.screens.page import Page
from assistant.tui.text import printable
from assistant.tui.widgets.offline_badge import day_of, verdict

RUNGS = {
    "static": "switches, versions and hashes: nothing here is set up to call anybody",
    "seccomp": "the whole scenario while the kernel refuses every network socket",
    "honeypot": "a network of its own in which every call would be caught; two canaries were",
    "live": "the running service tries its own walls: sockets, names, forbidden files",
}
MARKS = {"PASS": ("✔", "$text-success"), "FAIL": ("✘", "$text-error")}
HOW = "Run `assistant selftest network-down` in another terminal; its report appears here by itself."


class OfflineScreen(Page):
    HELP = (
        "Whether anything can leave this machine. PROVEN: the last self-test passed on every rung that it names. "
        "NOT PROVEN: there was none, or a rung could not run; that is not a proof of the contrary. SEEN: something "
        "called out, and whom."
    )
    HEADLINE = "Offline: can anything leave this machine?"
    BINDING_GROUP_TITLE = "Offline"

    def __init__(self, client: Client, ready: wire.Ready | None) -> None:
        super().__init__(client)
        self._ready = ready

    def body(self) -> ComposeResult:
        with VerticalScroll():
            yield Static("", id="report", markup=False)

    def on_mount(self) -> None:
        self._draw()  # what is known already
        super().on_mount()

    async def load(self) -> None:
        self._ready = await self.client.ready()
        self._draw()

    def _draw(self) -> None:
        test = self._ready.selftest if self._ready else None
        self.query_one("#report", Static).update(Content("\n").join(report(test)))


def report(test: wire.SelfTestSummary | None) -> list[Content]:
    """The screen's lines."""
    glyph, word, colour = verdict(test)
    lines = [Content(""), Content.assemble((f"  {glyph} {word}", f"bold {colour}")), Content("")]
    if test is None:
        why = "The self-test has not been run here yet, so nothing is claimed."
        return [*lines, Content(f"  {why}"), Content(""), Content(f"  {HOW}")]
    if test.why:
        lines += [Content(f"  {printable(test.why)}"), Content("")]
    for host in test.hosts:
        lines.append(Content.assemble("  called: ", (printable(host), "$text-error")))
    if test.hosts:
        lines.append(Content(""))
    for name, result in test.rungs.items():
        mark, colour = MARKS.get(result, ("–", "$text-warning"))
        lines.append(Content.assemble((f"  {mark} {name:<9} {result:<11}", colour), RUNGS.get(name, "")))
    lines += [
        Content(""),
        Content(f"  finished {day_of(test.finished_at)}, took {test.seconds:.0f} s"),
        Content(f"  report sha256 {test.sha256}" if test.sha256 else ""),
        Content(""),
        Content("  A proof holds for the versions and the hour it was made. " + HOW),
    ]
    return lines
