"""A reply that the skills are asked for first; where none has an answer, the model writes it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from assistant import wire
from assistant.errors import RequestError
from assistant.session.reply import Outcome, Reply
from assistant.session.skill_calls import CalledReply

BACKEND = "skill"
"""What stands in a cost where a device's name would."""


ROOM_AGAIN_S = 0.05


class SkilledReply:
    """Runs on the event loop like a Reply, and looks like one; it goes on whether or not anybody listens.

    `ask()` is called in a worker thread. `finish(outcome)` stores its answer and gives the last event; `write()` starts
    the model's reply once `room()` does not refuse any more, and `failed()` is told if it could not. `sense()`: the
    mood of a message that no model reads.
    """

    def __init__(
        self,
        ask: Callable[[], wire.SkillAnswer | None],
        finish: Callable[[Outcome], Awaitable[wire.StreamEvent]],
        write: Callable[[], Reply | CalledReply],
        room: Callable[[], object],
        failed: Callable[[], object],
        sense: Callable[[], Awaitable[wire.Sensed | None]] | None = None,
    ):
        self._ask, self._finish, self._write, self._room, self._failed = ask, finish, write, room, failed
        self._sense, self._sensed = sense, None
        self._reply: Reply | CalledReply | None = None
        self._given: Outcome | None = None
        self._cancelled = False
        self._last: wire.StreamEvent | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())

    def cancel(self) -> None:
        """Stop generating. What a skill has done is done: its answer is kept whole. Idempotent."""
        self._cancelled = True
        if self._reply:
            self._reply.cancel()

    async def done(self) -> wire.StreamEvent:
        """Wait for the last event (Finished or Failed)."""
        await asyncio.shield(self._task)
        return await self._reply.done() if self._reply else self._last

    async def events(self) -> AsyncIterator[wire.StreamEvent]:
        """SkillUsed, the text and the last event; or the model's events."""
        await asyncio.shield(self._task)
        if self._reply:
            async for event in self._reply.events():
                yield event
            return
        if self._given:
            if self._sensed:
                yield self._sensed
            yield wire.SkillUsed(answer=self._given.skill)
            yield wire.Delta(text=self._given.text, tokens=0, cost=self._given.cost)
        yield self._last

    async def _run(self) -> None:
        started = time.perf_counter()
        try:
            answer = await asyncio.to_thread(self._ask)
            if answer is None:
                await self._place()
                self._reply = self._write()
                if self._cancelled:
                    self._reply.cancel()
            else:
                cost = cost_of(time.perf_counter() - started)
                self._sensed = await self._sense() if self._sense else None
                self._given = Outcome(answer.text, "stop", cost, skill=answer)
                self._last = await self._finish(self._given)
        except Exception as error:  # no place in the queue, a chat deleted meanwhile, a full disk
            self._failed()
            kind, hint = "storage_error" if self._given else "server_error", getattr(error, "hint", None)
            body = wire.ErrorBody(message=str(error), type=kind, code=getattr(error, "code", None), hint=hint)
            self._last = wire.Failed(error=body)

    async def _place(self) -> None:
        """The message was accepted, so it waits where one that comes now would be sent away."""
        while True:
            try:
                self._room()
                return
            except RequestError:
                await asyncio.sleep(ROOM_AGAIN_S)


def cost_of(elapsed_s: float) -> wire.Cost:
    """No token, no pass over the weights; the time is measured, and no joule is claimed for it."""
    return wire.Cost(elapsed_s=elapsed_s, other_s=elapsed_s, ttft_s=elapsed_s, backend=BACKEND,
                     energy_source="no pass of the model")  # fmt: skip
