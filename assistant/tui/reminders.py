"""Hears from the daemon what it is time for, as long as a person is there to be told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from assistant import wire
from assistant.client import Client
from assistant.errors import AssistantError

WAIT_S = 30.0
PAUSE_S = 1.0


async def follow(client: Client, tell: Callable[[wire.Reminder], None]) -> None:
    """Never returns. What came due while the daemon was away is told when it is back."""
    since = time.time()
    while True:
        told: list[wire.Reminder] = []
        with suppress(AssistantError):  # no daemon now, or one that tells nothing
            told = await client.reminders_told(since, WAIT_S)
        for reminder in told:
            since = max(since, reminder.fired_at or since)
            tell(reminder)
        if not told:
            await asyncio.sleep(PAUSE_S)
