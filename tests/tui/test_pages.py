"""The pages over the chat: what answers have cost, the plan and its what-if, and whether anything can leave."""

from __future__ import annotations

import msgspec
import pytest

from assistant import wire
from assistant.tui.screens.chat import ChatScreen
from assistant.tui.screens.ledger import LedgerScreen
from assistant.tui.screens.plan import PlanScreen, kinds
from assistant.tui.widgets.limit_panel import LimitPanel
from assistant.tui.widgets.offline_badge import verdict
from tests import fake_plan
from tests.fake_daemon import FakeDaemon, Reply

from .conftest import Sit

LINES = {name: n for n, name in enumerate(("policy", "ms", "ttft", "watts", "joules", "memory", "quality"))}


async def test_the_strip_shows_the_wall_and_what_it_would_cost_elsewhere(daemon: FakeDaemon, sit: Sit) -> None:
    daemon.replies.append(Reply(["a"] * 40, hold=30))
    async with sit(size=(160, 30)) as person:
        await person.send("Hi")
        await person.sees("wall ▕██████▎░░░▏62% of 10.0 GB/s", "p50 39.0 p95 52.0", "12.4 MB/token at 6.20 GB/s")
        await person.sees("session ~7.50 J", "cloud $0.0000")
        await person.press("escape")
        await person.idle()
        await person.send("and again")
        await person.sees("session ~8.50 J")


async def test_the_last_answers_cost_is_shown_with_its_chat_but_not_paid_again(daemon: FakeDaemon, sit: Sit) -> None:
    chat_id = daemon.add_chat("old", "first", "answer 1")
    async with sit(resume=chat_id) as person:
        await person.sees("answer 1")
        assert not person.chat.strip.meter.session.completion_tokens


async def test_costs_by_day_chat_and_device_and_every_plot(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit(size=(110, 40)) as person:
        await person.sees("● ready")
        await person.press("f3")
        await person.sees("by day (D)", "2027-01-15", "plot: energy (M)", "▒ modelled", "◇ simulated", "joules now")
        await person.press("c")
        await person.sees("by chat (C)", "Reading large files")
        await person.press("b")
        await person.sees("by device (B)", "chip int8", "~1.00 J + ◇500 mJ")
        for word in ("tokens written", "seconds", "gigabytes moved", "a cloud's price", "joules"):
            await person.press("m")
            await person.sees(word)
        await person.press("s")
        await person.sees("since today (S)")
        await person.press("r", "d")
        await person.sees("by day (D)")
        assert isinstance(person.app.screen, LedgerScreen)
        await person.press("escape")
        await person.until(lambda: isinstance(person.app.screen, ChatScreen))


async def test_a_page_is_closed_by_its_key_and_replaced_by_anothers(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit() as person:
        await person.sees("● ready")
        await person.press("f3")
        await person.sees("plot: energy")
        await person.press("f4")
        await person.sees("Plan and what-if")
        assert len(person.app.screen_stack) == 2
        await person.press("f1")
        await person.sees("Keys and help", "Follow this policy")
        await person.press("escape", "f4")
        await person.until(lambda: isinstance(person.app.screen, ChatScreen))
        await person.type("draft")
        assert person.draft == "draft"


async def test_the_choice_follows_the_limits_at_once_and_nothing_is_changed(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit(size=(120, 50)) as person:
        await person.sees("● ready")
        await person.press("f4")
        await person.sees("choice  test-3m fake fp32", "on mains power", "~2.00 ms predicted, 2.20 ms measured")
        await person.sees("◇ test-3m chip int8", "allow_simulated is 1", "lower quality, or slower")
        assert "●" in person.screen
        assert "+" in person.screen
        # less memory: the smaller one is chosen, the larger one says why not
        await person.press(*["down"] * LINES["memory"], *["left"] * 10)
        await person.sees("◂ 10 MB ▸ *", "choice  test-3m fake int8")
        await person.sees("test-3m fake fp32, 1 at once: max_memory_mb is 12.4")
        await person.press("left")
        await person.sees("◂ 5 MB ▸ *")
        # and quality that it has not: nothing fits, and the way out is told
        await person.press("j", *["l"] * 8)
        await person.sees("nothing fits: no option keeps all limits", "change max_memory_mb to 1")
        await person.press("backspace")
        await person.sees("choice  test-3m fake int8")
        assert not [r for r in daemon.requests if r[:2] == ("POST", "/v1/plan")]
        await person.press("r")
        await person.sees("choice  test-3m fake fp32")
        await person.until(lambda: not person.app.screen.query_one(LimitPanel).wishes.own)


async def test_another_policy_is_tried_and_applied(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit(size=(120, 50)) as person:
        await person.sees("● ready")
        await person.press("f4")
        await person.sees("private")
        await person.press("h")
        await person.sees("◂ cim-lab ▸")
        await person.sees("choice  test-3m fake fp32")
        await person.press("down", "k", "down", *["right", "left"] * 2, *["left"] * 15)
        await person.sees("◂ 0.2 ms ▸ *", "choice  ◇ test-3m chip int8")
        await person.press("enter")
        await person.sees("The daemon follows 'cim-lab'", "runs    test-3m chip int8")
        assert (daemon.policy, daemon.limits) == ("cim-lab", {"max_ms_per_token": 0.2})


async def test_the_plan_page_scrolls_in_a_small_terminal(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit(size=(60, 20)) as person:
        await person.sees("● ready")
        await person.press("f4")
        await person.sees("▸ policy")
        await person.press("pagedown", "pagedown", "pagedown")
        await person.sees("ms per token")
        await person.press("pageup", "pageup", "pageup")
        await person.sees("runs ")
        assert isinstance(person.app.screen, PlanScreen)


def test_every_option_with_known_figures_is_one_point_of_the_plot() -> None:
    found = kinds(fake_plan.plan("private", {"max_ms_per_token": 5}))
    assert {kind: len(points) for kind, points in found.items()} == {
        "choice": 1, "best trade-offs": 1, "breaks a limit": 1, "simulated": 1, "outranked": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("test", "words"),
    [
        (None, "? offline: NOT PROVEN"),
        (fake_plan.PASSED, "✔ offline: PROVEN 2027-01-15 4/4"),
        (msgspec.structs.replace(fake_plan.PASSED, verdict="NOT PROVEN"), "? offline: NOT PROVEN"),
        (
            msgspec.structs.replace(fake_plan.PASSED, verdict="FAIL", hosts=["example.com:443"]),
            "✘ offline: SEEN",
        ),
    ],
)
async def test_the_badge_says_what_the_last_self_test_said(
    daemon: FakeDaemon, sit: Sit, test: wire.SelfTestSummary | None, words: str
) -> None:
    daemon.selftest = test
    async with sit() as person:
        await person.sees("● ready", words)
        await person.press("f5")
        await person.sees("can anything leave this machine", words.split()[0])
        if test is None:
            await person.sees("has not been run here", "assistant selftest network-down")
        else:
            await person.sees("✔ honeypot  PASS", "took 75 s", *test.hosts)
        await person.press("r", "q")
        await person.until(lambda: isinstance(person.app.screen, ChatScreen))


async def test_a_click_on_the_badge_opens_the_report(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit() as person:
        await person.sees("NOT PROVEN")
        await person.pilot.click("OfflineBadge")
        await person.sees("can anything leave this machine")


@pytest.mark.parametrize(
    ("rungs", "word"),
    [({}, "NOT PROVEN"), ({"static": "PASS", "honeypot": "NOT PROVEN"}, "NOT PROVEN"), ({"static": "PASS"}, "PROVEN")],
)
def test_the_badge_is_never_better_than_its_rungs(rungs: dict[str, wire.Verdict], word: str) -> None:
    assert verdict(msgspec.structs.replace(fake_plan.PASSED, rungs=rungs))[1] == word
