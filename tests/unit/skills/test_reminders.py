"""Reminders with a clock of our own: when they are, that none is lost, told twice or told silently late."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from assistant import wire
from assistant.daemon.bell import Bell
from assistant.errors import SkillError
from assistant.skills import desktop
from assistant.skills.reminder_book import ReminderBook
from assistant.skills.when import read
from tests.unit.skills.conftest import NOW, ZONE


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self, now: datetime = NOW):
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def on(self, **length: float) -> None:
        self.now = datetime.fromtimestamp(self.now.timestamp() + timedelta(**length).total_seconds(), ZONE)


@pytest.fixture
def bell(tmp_path):
    told: list[tuple[str, str]] = []

    async def notify(title: str, body: str) -> None:
        told.append((title, body))

    clock = Clock()
    made = Bell(tmp_path / "reminders", clock, notify)
    made.clock, made.notified = clock, told
    return made


@pytest.mark.parametrize(
    ("text", "when", "again"),
    [
        ("at 6 pm", "23 18:00", None), ("at 6", "23 18:00", None), ("at 3", "23 15:00", None),
        ("at 2", "24 02:00", None),
        ("at 13:00", "24 13:00", None), ("tomorrow at 9", "24 09:00", None), ("tomorrow at 3", "24 15:00", None),
        ("tomorrow", "24 09:00", None), ("tomorrow evening", "24 18:00", None), ("tonight", "23 20:00", None),
        ("tonight at 8", "23 20:00", None), ("at 8 tomorrow morning", "24 08:00", None),
        ("on friday at 18:00", "27 18:00", None),
        ("in two hours", "23 16:05", None), ("in 90 minutes", "23 15:35", None), ("in three days", "26 14:05", None),
        ("every weekday at 8", "24 08:00", "every weekday at 08:00"),
        ("every day at 6 pm", "23 18:00", "every day at 18:00"),
        ("every monday and thursday at 9 am", "26 09:00", "every Monday and Thursday at 09:00"),
        ("every evening", "23 18:00", "every day at 18:00"), ("every 2 hours", "23 16:05", "every 2 hours"),
        ("daily at noon", "24 12:00", "every day at 12:00"), ("at 9 am every day", "24 09:00", "every day at 09:00"),
    ],
)  # fmt: skip
def test_when(text, when, again):
    moment, repeat = read(text, NOW)
    assert f"{moment:%d %H:%M}" == when
    assert (repeat and repeat.words()) == again


@pytest.mark.parametrize(
    "text", ["soon", "at the table", "in love", "on time", "every time", "at 25:00", "in the house"]
)
def test_what_is_no_time(text):
    assert read(text, NOW) is None


@pytest.mark.parametrize(("text", "what"), [("on 23 November 2026 at 9 am", "is past"), ("on 31 June", "no day"),
                                            ("every second", "too often")])  # fmt: skip
def test_times_that_cannot_be(text, what):
    with pytest.raises(SkillError, match=what):
        read(text, NOW)


def test_a_repeat_keeps_its_hour_over_a_change_of_the_clocks():
    moment, repeat = read("every day at 8", datetime(2026, 10, 24, 12, tzinfo=ZONE))  # the clocks go back that night
    assert f"{moment:%d %H:%M %z}" == "25 08:00 +0100"
    assert moment.timestamp() - repeat.after(moment - timedelta(days=2)).timestamp() == 25 * 3600


async def test_one_is_told_once_and_marked_before(bell):
    bell.book.add("call Ann", "reminder", bell.clock.now + timedelta(minutes=5))
    assert await bell.ring() == []
    bell.clock.on(minutes=5)
    [told] = await bell.ring()
    assert (told.text, told.late_s, told.done) == ("call Ann", None, True)
    assert bell.notified == [("Reminder", "call Ann")]
    assert await bell.ring() == []
    assert [r.id for r in ReminderBook(bell.book._folder).views(bell.clock.now)] == [told.id]
    bell.clock.on(days=8)
    bell.book.add("another", "timer", bell.clock.now)
    await bell.ring()
    assert [r.text for r in bell.list()] == ["another"]  # what was told long ago is forgotten


async def test_after_a_sleep_it_is_told_at_once_and_late_and_a_repeat_once_only(bell):
    """The machine slept, or no daemon ran: another process, another Bell, the same file."""
    bell.book.add("bins", "reminder", *read("at 18:00", bell.clock.now))
    bell.book.add("pills", "reminder", *read("every day at 8", bell.clock.now))
    bell.clock.on(days=3)
    awake = Bell(bell.book._folder, bell.clock, bell._notify)
    told = await awake.ring()
    assert {r.text for r in told} == {"bins", "pills"}
    assert bell.notified == [("Reminder", "bins (late: it was due 2 days ago)"),
                             ("Reminder", "pills (late: it was due 2 days ago)")]  # fmt: skip
    [pills] = awake.book.pending()
    assert f"{datetime.fromtimestamp(pills.due_at, ZONE):%d %H:%M}" == "27 08:00"


async def test_who_waits_hears_of_it(bell):
    bell.book.add("tea", "timer", bell.clock.now + timedelta(minutes=3))
    waiting = asyncio.create_task(bell.told_since(bell.clock.now.timestamp(), wait_s=30))
    await asyncio.sleep(0)
    bell.clock.on(minutes=3)
    runs = asyncio.create_task(bell.run())
    [told] = await asyncio.wait_for(waiting, 5)
    assert told.words == "Timer: tea"
    assert await bell.told_since(told.fired_at, 0) == []
    late = asyncio.create_task(bell.told_since(told.fired_at, wait_s=30))
    await asyncio.sleep(0)
    await bell.close()  # the daemon stops: nobody is kept waiting
    assert await asyncio.wait_for(late, 5) == []
    runs.cancel()


def test_a_daemon_with_something_to_tell_does_not_leave(bell):
    bell.book.add("tea", "timer", bell.clock.now + timedelta(days=400))
    assert bell.waiting
    assert not Bell(bell.book._folder, bell.clock, on=False).waiting  # where they are switched off
    bell.book.cancel(lambda _entry: True)
    assert not bell.waiting


async def test_a_damaged_file_is_told_once_and_kept(bell, caplog):
    bell.book.add("tea", "timer", bell.clock.now)
    file = bell.book._folder / "reminders.json"
    file.write_text("{")
    runs = asyncio.create_task(bell.run())
    for _ in range(3):
        bell.look()
        await asyncio.sleep(0.001)
    runs.cancel()
    assert caplog.text.count("is damaged") == 1
    with pytest.raises(SkillError, match="damaged"):
        bell.book.add("more", "timer", bell.clock.now)
    assert file.read_text() == "{"


async def test_notify_send_gets_arguments_and_no_shell(tmp_path, monkeypatch):
    script = tmp_path / "notify-send"
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/said\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    await desktop.notify_desktop("Reminder", "--help; $(touch x) <b>")
    assert (tmp_path / "said").read_text().splitlines()[-3:] == ["--", "Reminder", "--help; $(touch x) &lt;b&gt;"]


def test_saying_list_and_cancel(say):
    assert say("remind me to call Ann at 6 pm") == "Reminder 1: call Ann, today at 18:00."
    assert say("set a pasta timer for 9 minutes") == "Timer 2 is set for 9 minutes: it ends at 14:14:00."
    assert say("how much time is left on my timer?") == "Timer 2 (pasta, 9 minutes) has 9 minutes left."
    assert say("show my reminders") == (
        "2 reminders:\n2. timer: pasta, 9 minutes, today at 14:14\n1. reminder: call Ann, today at 18:00")  # fmt: skip
    assert say("cancel my timer") == "Cancelled timer 2: pasta, 9 minutes."
    assert say("cancel reminder 7") == 'There is no reminder 7. "show my reminders" lists them.'
    assert say("cancel all reminders") == "Cancelled 1 reminder."


def test_an_act_is_not_done_twice_for_the_same_message(say, registry):
    first = registry.answer("set a timer for 5 minutes", now=NOW)
    assert registry.answer("set a timer for 5 minutes", now=NOW, before=[first]) == first
    assert say("show my reminders").startswith("1 reminder:")
    note = registry.answer("note: milk", now=NOW)
    assert registry.answer("note: milk", now=NOW, before=[wire.SkillAnswer(skill="clock", text="x"), note]) == note
    assert say("show my notes").endswith("1. milk")
