"""What the daemon tells in its own time reaches whoever sits at a terminal."""

from __future__ import annotations

import time

from assistant import paths, wire
from tests.fake_daemon import NOW, DaemonThread, FakeDaemon, Reply
from tests.tui.conftest import Sit
from tests.tui.test_plain import talk


def told(text: str, fired_at: float) -> wire.Reminder:
    return wire.Reminder(id=1, text=text, kind="timer", words=f"Timer: {text}", due_at=NOW, when="today",
                         fired_at=fired_at, done=True)  # fmt: skip


async def test_a_timer_is_told_in_the_middle_of_whatever_is_on_the_screen(daemon: FakeDaemon, sit: Sit) -> None:
    daemon.told = [told("long ago", time.time() - 60)]
    async with sit() as person:
        rung: list[bool] = []
        person.app.bell = lambda: rung.append(True)
        await person.sees("● ready")
        await person.type("half a line")
        await person.press("f3")
        daemon.told.append(told("the tea is [ready]", time.time()))
        await person.sees("Timer", "the tea is [ready]")
        assert rung == [True]
        await person.press("escape")
        await person.until(lambda: person.draft == "half a line")
        assert "long ago" not in person.screen


def test_in_lines_it_waits_for_the_end_of_a_reply(monkeypatch, capsys) -> None:
    with DaemonThread(paths.socket_path()) as daemon:
        daemon.told = [told("the tea", time.time() + 60)]
        daemon.replies.append(Reply(["It ", "is ", "so."], pace_s=0.2))
        said = talk(monkeypatch, capsys, "Hi")
    assert "It is so." in said
    assert said.count("\aTimer: the tea.\n") == 1


async def test_what_came_due_while_the_daemon_was_away_is_told_when_it_is_back(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit() as person:
        await person.sees("● ready")
        await daemon.kill()
        daemon.told.append(told("the oven", time.time()))
        await daemon.start()
        await person.sees("the oven")
