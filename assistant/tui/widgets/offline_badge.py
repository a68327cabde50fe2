"""The offline badge: PROVEN with its date, NOT PROVEN, or what was seen; never better than the last self-test."""

from __future__ import annotations

import datetime

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from assistant import wire


class OfflineBadge(Widget):
    HELP = (
        "Whether anything can leave this machine, by the last self-test: PROVEN with its date and rungs, NOT PROVEN "
        "if there was none or a part could not run, SEEN if something called out. F5 or a click opens the report."
    )

    test: reactive[wire.SelfTestSummary | None] = reactive(None, layout=True)
    narrow: reactive[bool] = reactive(False, layout=True)

    def render(self) -> Content:
        glyph, word, colour = verdict(self.test)
        if self.narrow:
            return Content.assemble((f"{glyph} offline" if word == "PROVEN" else f"{glyph} {word}", colour))
        more = ""
        if self.test and word == "PROVEN":
            passed = sum(result == "PASS" for result in self.test.rungs.values())
            more = f" {day_of(self.test.finished_at)} {passed}/{len(self.test.rungs)}"
        return Content.assemble((f"{glyph} offline: {word}{more}", colour))

    async def on_click(self) -> None:
        await self.run_action("app.page('offline')")


def verdict(test: wire.SelfTestSummary | None) -> tuple[str, str, str]:
    """Glyph, word and colour."""
    if test is None:
        return "?", "NOT PROVEN", "$text-warning"
    if test.hosts or test.verdict == "FAIL":
        hosts = len(test.hosts)
        return "✘", f"SEEN {hosts} HOST{'S' if hosts > 1 else ''}" if hosts else "FAILED", "$text-error"
    # A rung without its proof proves nothing, whatever the summary says.
    if test.verdict == "PASS" and test.rungs and not {"FAIL", "NOT PROVEN"} & {*test.rungs.values()}:
        return "✔", "PROVEN", "$text-success"
    return "?", "NOT PROVEN", "$text-warning"


def day_of(at: float) -> str:
    return datetime.datetime.fromtimestamp(at).astimezone().date().isoformat()
