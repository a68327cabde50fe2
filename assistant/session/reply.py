"""One reply being written: engine progress in, wire events out to any number of listeners, storage kept current."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from assistant import wire
from assistant.engine import Engine, Generation, Progress
from assistant.errors import AssistantError
from assistant.meter import Meter
from assistant.session.text import ReplyText
from backends.base import State

SAVE_EVERY_S = 0.5
"""How often an unfinished reply is stored: what a kill -9 can take away at most."""
SEND_EVERY_S = 0.033
"""Tokens that follow each other faster travel together, thirty times a second: an event costs as much processor time as
a small model's pass, here and in whoever draws it. The first token and the end are sent at once."""

Record = Callable[[wire.Cost, wire.FinishReason], Awaitable[None]]
"""Told of every answer that ended: what it cost and how it ended."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reply ended. `state` has consumed the prompt and the reply except `pending`; a skill's has none."""

    text: str
    finish_reason: wire.FinishReason
    cost: wire.Cost
    state: State | None = None
    fed_tokens: int = 0  # tokens consumed by `state` since the generation began
    pending: bytes = b""
    error: str | None = None
    skill: wire.SkillAnswer | None = None


class Reply:
    """Runs one generation. Create it on the event loop; it goes on whether or not anybody listens.

    `save(text, cost)` is awaited every SAVE_EVERY_S while it grows; `finish(outcome)` once, and gives the last event.
    """

    def __init__(
        self,
        engine: Engine,
        generation: Generation,
        text: ReplyText,
        meter: Meter,
        *,
        finish: Callable[[Outcome], Awaitable[wire.StreamEvent]],
        save: Callable[[str, wire.Cost], Awaitable[None]] | None = None,
        prefix: str = "",
        clean: Callable[[str], str] = str,
    ):
        self._text, self._meter, self._finish, self._save, self._clean = text, meter, finish, save, clean
        self._bound = generation.constraint
        self._raw = prefix  # reply text so far, as sampled
        self._sent = 0  # characters of clean(raw) already sent
        self._sent_at_s = -SEND_EVERY_S
        self._loop, self._wake, self._ended = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self._nudged = False  # the loop knows that something has arrived
        self._arrived: deque[tuple[Progress, str, float, float]] = deque()
        self._listeners: list[asyncio.Queue[wire.StreamEvent | None]] = []
        self._told: list[wire.StreamEvent] = []
        self._last: wire.StreamEvent | None = None
        self._submitted_s = time.perf_counter()
        self._consumed = 0
        generation.stopper, generation.sink = text, self._sink
        self._cancel = engine.submit(generation)
        self._task = self._loop.create_task(self._pump())

    def cancel(self) -> None:
        """Stop generating; what there is becomes the reply. Idempotent."""
        self._cancel()

    def tell(self, event: wire.StreamEvent) -> None:
        """Pass an event on to everybody who listens or will. On the event loop, before `finish` has returned."""
        self._told.append(event)
        for queue in self._listeners:
            queue.put_nowait(event)

    async def done(self) -> wire.StreamEvent:
        """Wait for the last event (Finished or Failed)."""
        await asyncio.shield(self._task)
        return self._last

    async def events(self) -> AsyncIterator[wire.StreamEvent]:
        """Deltas from now on (the first holds all text so far), then the last event."""
        for event in list(self._told):
            yield event
        so_far = wire.Delta(text=self._clean(self._raw)[: self._sent], tokens=0, cost=self._meter.report())
        if self._last is not None and self._sent:  # a quick reply is over before anybody listens
            yield so_far
        elif self._last is None:
            queue: asyncio.Queue[wire.StreamEvent | None] = asyncio.Queue()
            if self._sent:
                queue.put_nowait(so_far)
            self._listeners.append(queue)
            try:
                while (event := await queue.get()) is not None:
                    yield event
            finally:
                self._listeners.remove(queue)
        yield self._last

    # --- engine thread ---

    def _sink(self, progress: Progress) -> None:
        started = time.perf_counter()
        piece = self._text.take(final=progress.finish_reason is not None)
        now = time.perf_counter()
        self._arrived.append((progress, piece, now - started, now - self._submitted_s))
        if progress.finish_reason:
            self._loop.call_soon_threadsafe(self._end)
        elif not self._nudged:  # waking the loop costs a system call
            self._nudged = True
            self._loop.call_soon_threadsafe(self._wake.set)

    # --- event loop ---

    def _end(self) -> None:
        self._ended.set()
        self._wake.set()

    async def _pump(self) -> None:
        saved_s, outcome = time.monotonic(), None
        while outcome is None:
            await self._wake.wait()
            await self._gather()
            self._wake.clear()
            self._nudged = False  # before the queue is emptied: what arrives from now on wakes the loop again
            tokens = 0
            while self._arrived:
                progress, piece, take_s, at_s = self._arrived.popleft()
                self._account(progress, take_s, at_s)
                tokens += progress.token is not None
                self._raw += piece
                if progress.finish_reason:
                    outcome = self._outcome(progress)
            self._send_new(tokens)
            if outcome is None and self._save and time.monotonic() - saved_s > SAVE_EVERY_S:
                started = time.perf_counter()
                with suppress(AssistantError):  # the disk may be full now and not at the end, where it is told
                    await self._save(self._clean(self._raw), self._meter.report())
                self._meter.stored(time.perf_counter() - started)
                saved_s = time.monotonic()
        try:
            self._last = await self._finish(outcome)
        except Exception as error:  # storage failed: the listeners still have the text and learn why it is not kept
            self._last = wire.Failed(error=wire.ErrorBody(message=str(error), type="storage_error"))
        for queue in self._listeners:
            queue.put_nowait(None)

    async def _gather(self) -> None:
        """Wait until the next event may be sent, or the reply has ended."""
        early_s = self._sent_at_s + SEND_EVERY_S - time.monotonic()
        if early_s > 0 and not self._ended.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(early_s):
                    await self._ended.wait()

    def _account(self, progress: Progress, take_s: float, at_s: float) -> None:
        t = progress.timing
        self._consumed += progress.prefilled + (t.decode_s > 0)
        self._meter.add(
            at_s=at_s,
            prompt_tokens=progress.prefilled,
            completion_tokens=int(progress.token is not None),
            queue_s=t.queue_s,
            prefill_s=t.prefill_s,
            decode_s=t.decode_s,
            sample_s=t.sample_s,
            text_s=t.text_s + take_s,
            batch=progress.batch,
            cost=progress.cost,
        )

    def _send_new(self, tokens: int) -> None:
        clean = self._clean(self._raw)
        if len(clean) > self._sent:
            event = wire.Delta(text=clean[self._sent :], tokens=tokens, cost=self._meter.report())
            self._sent, self._sent_at_s = len(clean), time.monotonic()
            for queue in self._listeners:
                queue.put_nowait(event)

    def _outcome(self, progress: Progress) -> Outcome:
        self._meter.close()
        # what a grammar writes behind the reply is not decoded: the state takes it in with the next prompt
        suffix = self._bound.suffix if self._bound and self._bound.ended else ""
        return Outcome(
            text=self._clean(self._raw) + suffix,
            finish_reason=progress.finish_reason,
            cost=self._meter.report(),
            state=progress.state,
            fed_tokens=self._consumed,
            pending=self._text.pending(progress.unfed) + suffix.encode(),
            error=progress.error,
        )
