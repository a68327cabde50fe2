"""The scheduler: one thread that feeds prefill chunks and batched decode steps of all live sequences to one backend.

It knows token ids and states, no text and no HTTP. A `Sequence` is submitted with a state it owns from then on;
its `sink` is called in the engine's thread after every step and must return at once.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from collections.abc import Sequence as Seq
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol

import numpy as np

from assistant.errors import BackendError, RequestError
from assistant.sampler import Sampler, SamplingParams
from assistant.waiting import WaitingLine
from backends.base import Backend, Cost, State

log = logging.getLogger(__name__)


class Verdict(Enum):
    """What a Stopper says about the sequence so far."""

    CONTINUE = 0
    HOLD = 1  # this token may begin a stop string: keep a snapshot of the state before it is fed
    STOP = 2  # the stop string is complete: roll back to where it began


class Stopper(Protocol):
    """Decides after each token whether the reply ends. Called in the engine's thread; pure and quick."""

    def push(self, token: int) -> Verdict: ...


class Constraint(Protocol):
    """Bounds the reply to what a grammar allows. Called in the engine's thread; one per generation."""

    ended: bool  # the reply is complete and can go on no further
    cut: bool  # it was brought to its end because `remaining` ran out

    def pick(self, logits: np.ndarray, remaining: int, sample: Callable[[np.ndarray], int]) -> int:
        """The next token: `sample` of logits f32[V] with what is not allowed masked. `remaining`: tokens left with it.

        Raises ValueError when no token is allowed.
        """


@dataclass(frozen=True, slots=True)
class Timing:
    """Measured host time of one engine step, as one sequence saw it."""

    queue_s: float = 0.0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    sample_s: float = 0.0
    text_s: float = 0.0  # the stopper's work: token to bytes, search for stop strings


@dataclass(frozen=True, slots=True)
class Progress:
    """What happened to one sequence in one engine step."""

    token: int | None  # the token just sampled; None while the prompt is being prefilled
    timing: Timing
    cost: Cost | None  # this sequence's share of the pass
    batch: int = 1  # sequences that shared the pass
    prefilled: int = 0  # prompt tokens consumed by this step
    finish_reason: str | None = None  # set on the last Progress: stop | length | cancelled | error
    state: State | None = None  # with finish_reason: the state; after "stop" rolled back to before the stop string
    unfed: tuple[int, ...] = ()  # with finish_reason: kept tokens which that state has not consumed
    error: str | None = None


@dataclass(slots=True, eq=False)
class Generation:
    """One request: consume `prompt` into `state`, then generate up to `max_tokens`."""

    prompt: Seq[int]
    state: State
    sink: Callable[[Progress], None]
    sampling: SamplingParams = field(default_factory=SamplingParams)
    max_tokens: int = 256  # 0: only prefill
    stopper: Stopper | None = None
    stop_tokens: frozenset[int] = frozenset({0})
    logits: np.ndarray | None = None  # f32[V] of the last token already in `state`; needed when `prompt` is empty
    on_prefilled: Callable[[State, np.ndarray], None] | None = None  # (state, logits) just after the prompt, to copy
    constraint: Constraint | None = None
    client: str = ""  # who asks: places are shared fairly between clients


@dataclass(slots=True, eq=False)
class _Live:
    """A generation inside the engine."""

    request: Generation
    submitted_s: float
    sampler: Sampler
    position: int = 0  # prompt tokens consumed
    pending: int | None = None  # sampled, not yet fed
    produced: int = 0
    held: State | None = None  # snapshot before the first token of a possible stop string
    cancelled: bool = False
    finished: bool = False
    queue_s: float = 0.0
    admitted_s: float = 0.0


class Engine:
    """Continuous batching over one backend. Prefill and decode alternate, so a long prompt never starves replies."""

    def __init__(self, backend: Backend, *, max_batch: int = 8, prefill_chunk: int = 64, max_queue: int = 64,
                 probe: Callable[[], None] = lambda: None):  # fmt: skip
        """probe: one real step on the device, for `check`; called in the engine's thread when nobody is served."""
        self._backend, self._max_batch, self._chunk, self._probe = backend, max_batch, prefill_chunk, probe
        self._queue: WaitingLine[_Live] = WaitingLine(max_queue)
        self._typical_s = 1.0  # how long a place in the batch is held: a moving mean
        self._live: list[_Live] = []
        self._wake = threading.Condition()
        self._closing = False
        self._exchange: tuple[Callable[[], Backend], Future[None]] | None = None
        self._checks: list[Future[None]] = []
        self._turn = itertools.count()
        self._passes: deque[tuple[int, float]] = deque(maxlen=512)
        self.tokens_total = 0
        self.last_step_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    # --- called from any thread ---

    def submit(self, request: Generation) -> Callable[[], None]:
        """Queue a generation; returns the function that cancels it (idempotent).

        Raises BackendError when closing, RequestError 429 when too many wait already.
        """
        if not len(request.prompt) and request.logits is None:
            raise ValueError("a generation needs prompt tokens, or the logits that follow its state")
        live = _Live(request, time.perf_counter(), Sampler(request.sampling))
        with self._wake:
            if self._closing:
                raise BackendError("the engine is shutting down", hint="send the request again in a moment")
            self._require_room(request.client)
            self._queue.add(request.client, live)
            self._wake.notify()

        def cancel() -> None:
            with self._wake:
                live.cancelled = True
                self._wake.notify()

        return cancel

    def require_room(self, client: str) -> None:
        """Raises the RequestError 429 that `submit` would: to ask before anything is stored."""
        with self._wake:
            self._require_room(client)

    def _require_room(self, client: str) -> None:
        if self._queue.has_room(client):
            return
        waiting = len(self._queue)
        retry_s = min(60, max(1, round(self._typical_s * waiting / self._max_batch)))
        raise RequestError("too many requests are waiting", status=429, code="queue_full", why=f"{waiting} of them",
                           hint=f"try again in {retry_s} s", retry_after_s=retry_s)  # fmt: skip

    @property
    def load(self) -> tuple[int, int]:
        """(live, queued) sequences."""
        with self._wake:
            return len(self._live), len(self._queue)

    def check(self) -> Future[None]:
        """Done once the engine's thread has come round: after a step of its work, or after a probe if it has none.

        Never done while it hangs; fails with what the probe raises.
        """
        answer: Future[None] = Future()
        with self._wake:
            self._checks.append(answer)
            self._wake.notify()
        return answer

    @property
    def max_batch(self) -> int:
        return self._max_batch

    def exchange(self, make: Callable[[], Backend], max_batch: int) -> Future[None]:
        """Go on with another backend: live sequences end on the present one, queued ones wait, then `make` is called in
        the engine's thread and gives a loaded backend (or the present one, changed). States are any backend's.

        If `make` raises, the present backend stays and the future has the error. One exchange at a time.
        """
        done: Future[None] = Future()

        def change() -> Backend:
            made = make()
            self._max_batch = max_batch
            return made

        with self._wake:
            if self._closing or self._exchange:
                raise BackendError("the engine is busy with another change", hint="try again in a moment")
            self._exchange = change, done
            self._wake.notify()
        return done

    def passes(self) -> list[tuple[int, float]]:
        """(sequences, seconds) of the decode passes since the last call, the newest few hundred."""
        with self._wake:
            found = list(self._passes)
            self._passes.clear()
        return found

    def close(self, timeout_s: float = 10.0) -> None:
        """Cancel everything, end the thread, close the backend. Idempotent."""
        with self._wake:
            self._closing = True
            for live in [*self._queue, *self._live]:
                live.cancelled = True
            self._wake.notify()
        self._thread.join(timeout_s)
        self._backend.close()

    # --- the engine's thread ---

    def _run(self) -> None:
        while self._admit():
            prefilling = [x for x in self._live if x.pending is None]
            decoding = [x for x in self._live if x.pending is not None]
            if prefilling:  # round robin: one chunk of one sequence, then everyone decodes
                self._guard(self._prefill, [prefilling[next(self._turn) % len(prefilling)]])
            if decoding:
                self._guard(self._decode, decoding)
            self.last_step_s = time.monotonic()
            self._answer_checks(worked=bool(prefilling or decoding))

    def _admit(self) -> bool:
        """Wait for work, drop the cancelled, fill the batch. False: closing and drained."""
        with self._wake:
            while not self._queue and not self._live and not self._exchange and not self._checks:
                if self._closing:
                    return False
                self._wake.wait()
        if self._exchange and not self._live:
            self._change_backend()
        with self._wake:
            gone = [*(x for x in self._live if x.cancelled), *self._queue.remove(lambda x: x.cancelled)]
            self._live = [x for x in self._live if not x.cancelled]
            busy = Counter(x.request.client for x in self._live)
            while self._queue and len(self._live) < self._max_batch and not self._exchange:
                live = self._queue.take(busy)
                busy[live.request.client] += 1
                live.admitted_s = time.perf_counter()
                live.queue_s = live.admitted_s - live.submitted_s
                self._live.append(live)
        for live in gone:
            self._finish(live, "cancelled")
        return True

    def _change_backend(self) -> None:
        make, done = self._exchange
        before, failed = self._backend, None
        try:
            self._backend = make()
        except Exception as error:  # a device that does not come up must not take the present one down
            log.exception("the change to another backend failed")
            failed = error
        with self._wake:
            self._exchange = None
        if failed:
            done.set_exception(failed)
            return
        if self._backend is not before:
            before.close()
        done.set_result(None)

    def _answer_checks(self, worked: bool) -> None:
        with self._wake:
            checks, self._checks = self._checks, []
        if not checks:
            return
        error = None
        try:
            if not worked:
                self._probe()
        except Exception as caught:
            error = caught
        for check in checks:
            if check.set_running_or_notify_cancel():
                check.set_exception(error) if error else check.set_result(None)

    def _guard(self, step: Callable[[list[_Live]], None], group: list[_Live]) -> None:
        """Run one step; a failing pass ends only the sequences in it."""
        try:
            step(group)
        except Exception as error:  # whatever a device raises must not end the engine
            log.exception("a %s step of %d sequence(s) failed", step.__name__.strip("_"), len(group))
            for live in group:
                self._finish(live, "error", error=f"{type(error).__name__}: {error}")

    def _prefill(self, group: list[_Live]) -> None:
        (live,) = group
        request = live.request
        timing, live.queue_s = Timing(queue_s=live.queue_s), 0.0
        chunk = np.asarray(request.prompt[live.position : live.position + self._chunk], np.int32)
        logits, cost = request.logits, None
        if len(chunk):
            started = time.perf_counter()
            step = self._backend.prefill(chunk, request.state)
            timing = replace(timing, prefill_s=time.perf_counter() - started)
            live.position += len(chunk)
            logits, cost = step.logits, step.cost
        if live.position < len(request.prompt):
            self._emit(live, Progress(None, timing, cost, prefilled=len(chunk)))
            return
        if request.on_prefilled:
            request.on_prefilled(request.state, logits)
        if request.max_tokens <= 0:
            self._finish(live, "length", timing, cost, prefilled=len(chunk))
        else:
            self._choose(live, logits, timing, cost, prefilled=len(chunk))

    def _decode(self, group: list[_Live]) -> None:
        tokens = np.asarray([live.pending for live in group], np.int32)
        started = time.perf_counter()
        step = self._backend.decode(tokens, [live.request.state for live in group])
        timing = Timing(decode_s=time.perf_counter() - started)
        self._passes.append((len(group), timing.decode_s))
        share = _share(step.cost, len(group))
        for live, logits in zip(group, step.logits, strict=True):
            live.pending = None
            self._choose(live, logits, timing, share, batch=len(group))

    def _choose(self, live: _Live, logits: np.ndarray, timing: Timing, cost: Cost | None, **about: int) -> None:
        """Sample, ask the stopper, and either go on or finish."""
        request = live.request
        started = time.perf_counter()
        constraint = request.constraint
        try:
            if constraint:
                token = constraint.pick(logits, request.max_tokens - live.produced, live.sampler.sample)
            else:
                token = live.sampler.sample(logits)
        except ValueError as error:  # this sequence's state is broken; the others of the batch go on
            self._finish(live, "error", timing, cost, error=str(error), **about)
            return
        sampled = time.perf_counter()
        live.produced += 1
        self.tokens_total += 1
        ended = token in request.stop_tokens
        verdict = Verdict.CONTINUE if ended or request.stopper is None else request.stopper.push(token)
        timing = replace(timing, sample_s=sampled - started, text_s=time.perf_counter() - sampled)

        if ended:  # never fed; what was held stays part of the reply
            self._finish(live, "length" if constraint and constraint.cut else "stop", timing, cost, **about)
        elif verdict is Verdict.STOP:
            if live.held:
                request.state.assign(live.held)
            self._finish(live, "stop", timing, cost, token=token, **about)
        else:
            if verdict is Verdict.CONTINUE:
                live.held = None
            elif live.held is None:
                live.held = request.state.copy()
            live.pending = token
            if constraint and constraint.ended:
                self._finish(live, "length" if constraint.cut else "stop", timing, cost, token=token, **about)
            elif live.produced >= request.max_tokens:
                self._finish(live, "length", timing, cost, token=token, **about)
            else:
                self._emit(live, Progress(token, timing, cost, **about))

    def _finish(self, live: _Live, reason: str, timing: Timing = Timing(), cost: Cost | None = None, *,
                token: int | None = None, error: str | None = None, **about: int) -> None:  # fmt: skip
        if live.finished:
            return
        live.finished = True
        self._live = [x for x in self._live if x is not live]
        if live.admitted_s:
            self._typical_s += 0.1 * (time.perf_counter() - live.admitted_s - self._typical_s)
        unfed = () if live.pending is None else (live.pending,)
        self._emit(live, Progress(token, timing, cost, finish_reason=reason, state=live.request.state, unfed=unfed,
                                  error=error, **about))  # fmt: skip

    def _emit(self, live: _Live, progress: Progress) -> None:
        try:
            live.request.sink(progress)
        except Exception:  # a broken listener must not end the engine
            log.exception("the listener of a sequence failed")
            live.cancelled = True


def _share(cost: Cost, batch: int) -> Cost:
    """One sequence's part of a batched pass: the weights' bytes and joules are carried once for all."""
    return replace(cost, energy_j=cost.energy_j / batch, macs=cost.macs // batch, bytes_moved=cost.bytes_moved // batch)
