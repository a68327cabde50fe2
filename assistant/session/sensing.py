"""A user's message is read for its mood while its reply is written: once, beside everything else, never in its way.

The state that a reply begins from is there anyway; what the engine's thread copies of it are a few kilobytes. The rest
happens in a worker thread. Whatever goes wrong here costs the mood and not the reply.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from assistant import wire
from assistant.history import History
from assistant.mood.sensor import Read, Sensor
from backends.base import State

log = logging.getLogger(__name__)


class Sensing:
    """Reads messages, and keeps what it finds beside them: in memory only where the history is off."""

    def __init__(self, history: History, sensor: Callable[[], Sensor]):
        """`sensor()`: of the model that runs now."""
        self._history, self._sensor = history, sensor

    async def by_words(self, user: wire.Message) -> wire.Sensed | None:
        """For a message that a skill answered. None: it has a mood already."""
        return None if user.mood else await self._kept(user, self._sensor().reader(None))

    def begin(self, user: wire.Message) -> Sensed | None:
        """For a message that the model is about to read. On the event loop. None: it has a mood already."""
        return None if user.mood else Sensed(self._sensor, lambda read: self._kept(user, read))

    async def _kept(self, user: wire.Message, read: Read) -> wire.Sensed | None:
        def work() -> wire.Sensed:
            found = read(user.content).mood
            self._history.annotate(user.id, mood=found)
            return wire.Sensed(message_id=user.id, mood=found)

        try:
            return await asyncio.to_thread(work)
        except Exception:
            log.exception("the mood of a message was not kept")
            return None


class Sensed:
    """One message being read. Set `tell` to whoever is to have the event."""

    def __init__(self, sensor: Callable[[], Sensor], keep: Callable[[Read], Awaitable[wire.Sensed | None]]):
        self._sensor, self._keep, self._loop = sensor, keep, asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self.tell: Callable[[wire.StreamEvent], None] = lambda _event: None

    def prefilled(self, state: State | None) -> None:
        """The model has read the message. In the engine's thread; None: no state that a probe could know."""
        try:
            read = self._sensor().reader(state)
        except Exception:
            log.exception("a state could not be read")
            return
        self._loop.call_soon_threadsafe(self._start, read)

    async def done(self) -> None:
        """Returns when the event is out, if there will be one."""
        if self._task:
            await self._task

    def _start(self, read: Read) -> None:
        self._task = self._loop.create_task(self._run(read))

    async def _run(self, read: Read) -> None:
        event = await self._keep(read)
        if event:
            self.tell(event)
