"""Tells reminders when it is time: a notification on the desktop where there is one, and word to who waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from assistant import wire
from assistant.errors import SkillError
from assistant.skills.desktop import notify_desktop
from assistant.skills.reminder_book import ReminderBook
from assistant.skills.zones import local_zone

LOOK_S = 5.0
"""The file is looked at this often: a command may have changed it, the clock may have been set, and after a sleep of
the machine the loop's clock is behind the world's (CLOCK_MONOTONIC stands still)."""
log = logging.getLogger(__name__)


class Bell:
    """One sleeper to the next due time. Create it on the event loop, or before there is one."""

    def __init__(self, folder: Path, now: Callable[[], datetime] = lambda: datetime.now(local_zone()),
                 notify: Callable[[str, str], Awaitable[None]] | None = None, on: bool = True):  # fmt: skip
        """`notify(title, body)` shows one on the desktop; `on`: false where reminders are switched off."""
        self.book = ReminderBook(folder)
        self._now, self._notify = now, notify or notify_desktop
        self._changed, self._told = asyncio.Event(), asyncio.Condition()
        self._on, self._closed = on, False
        self._complained: str | None = None

    def look(self) -> None:
        """Something may have changed: do not sleep on."""
        self._changed.set()

    @property
    def waiting(self) -> bool:
        """Whether something is still to be told: a daemon that left now would be late."""
        try:
            return self._on and bool(self.book.pending())
        except SkillError:
            return False

    async def run(self) -> None:
        """Until it is cancelled."""
        while self._on:
            self._changed.clear()
            pause_s = LOOK_S
            try:
                await self.ring()
                if pending := self.book.pending():
                    pause_s = min(pause_s, max(0.0, pending[0].due_at - self._now().timestamp()))
                self._complained = None
            except SkillError as error:
                if str(error) != self._complained:  # once, not every few seconds
                    log.error("reminders cannot be told: %s", error)
                self._complained = str(error)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._changed.wait()

    async def ring(self) -> list[wire.Reminder]:
        """Tell what is due; it is marked on disk before anybody hears of it, so that nobody hears it twice."""
        now = self._now()
        if not any(entry.due_at <= now.timestamp() for entry in self.book.pending()):
            return []
        told = [entry.view(now) for entry in await asyncio.to_thread(self.book.fire, now)]
        async with self._told:
            self._told.notify_all()
        for reminder in told:
            log.info("%s %d is told", reminder.kind, reminder.id)
            title, _, body = reminder.words.partition(": ")
            await self._notify(title, body)
        return told

    def list(self) -> list[wire.Reminder]:
        """What is to come, the next first; then what was told lately, the newest first. Raises SkillError."""
        return self.book.views(self._now())

    async def told_since(self, since: float, wait_s: float) -> list[wire.Reminder]:
        """What was told after a moment, the oldest first; if there is nothing, wait for it so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s), self._told:
                await self._told.wait_for(lambda: self._closed or self._after(since))
        return self._after(since)

    def _after(self, since: float) -> list[wire.Reminder]:
        found = [r for r in self.list() if r.fired_at and r.fired_at > since]
        return sorted(found, key=lambda r: r.fired_at)

    async def close(self) -> None:
        """The daemon stops: who waits is answered with what there is."""
        self._closed = True
        async with self._told:
            self._told.notify_all()
