"""Engine: batching, cancelling, stopping with roll-back, failures that stay with their sequence."""

from __future__ import annotations

import queue
import threading
import time

import numpy as np
import pytest

from assistant.engine import Engine, Generation, Progress, Verdict
from assistant.sampler import SamplingParams
from backends.base import BackendInfo, Cost, State, Step
from backends.reference import ReferenceBackend
from tests.synthetic import TINY, synthetic_weights

GREEDY = SamplingParams(temperature=0)
PROMPT = list(range(1, 30))


@pytest.fixture(scope="module")
def weights():
    return synthetic_weights(TINY, seed=7)


@pytest.fixture
def engine(weights):
    backend = ReferenceBackend()
    backend.load(weights)
    made = Engine(backend, max_batch=4, prefill_chunk=8)
    yield made
    made.close()


def run(engine: Engine, **fields) -> list[Progress]:
    """Submit one generation and wait for its end."""
    return [*collect(engine, **fields)]


def collect(engine: Engine, **fields):
    arrived: queue.Queue[Progress] = queue.Queue()
    fields.setdefault("state", State(TINY))
    fields.setdefault("sampling", GREEDY)
    fields.setdefault("stop_tokens", frozenset())
    engine.submit(Generation(sink=arrived.put, **fields))
    while True:
        progress = arrived.get(timeout=30)
        yield progress
        if progress.finish_reason:
            return


def tokens(steps: list[Progress]) -> list[int]:
    return [s.token for s in steps if s.token is not None]


def expected(weights, prompt, n: int) -> tuple[list[int], State]:
    """Greedy tokens by the reference alone, and the state that has consumed all but the last."""
    backend = ReferenceBackend()
    backend.load(weights)
    state = State(TINY)
    logits, out = backend.prefill(np.array(prompt), state).logits, []
    for i in range(n):
        out.append(int(np.argmax(logits)))
        if i < n - 1:
            logits = backend.decode(np.array(out[-1:]), [state]).logits[0]
    return out, state


def test_greedy_equals_the_reference_alone(engine, weights):
    steps = run(engine, prompt=PROMPT, max_tokens=12)
    wanted, state = expected(weights, PROMPT, 12)
    assert tokens(steps) == wanted
    last = steps[-1]
    assert last.finish_reason == "length"
    assert last.unfed == (wanted[-1],)
    assert np.abs(last.state.data - state.data).max() < 1e-4
    assert sum(s.prefilled for s in steps) == len(PROMPT)


def test_many_at_once_give_what_each_gives_alone(engine, weights):
    """More sequences than the batch has room for, different prompts: nobody reads another's state."""
    prompts = [[(7 * i + j) % 300 for j in range(3 + 5 * i)] for i in range(10)]
    results: dict[int, list[int]] = {}
    threads = [
        threading.Thread(target=lambda i=i: results.update({i: tokens(run(engine, prompt=prompts[i], max_tokens=8))}))
        for i in range(10)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == {i: expected(weights, p, 8)[0] for i, p in enumerate(prompts)}


def test_a_long_prompt_does_not_starve_a_reply(engine):
    """While 800 prompt tokens are prefilled in chunks of 8, the other sequence keeps getting tokens."""
    order: list[str] = []
    done = threading.Barrier(3)

    def sink(name: str):
        def note(progress: Progress) -> None:
            order.append(name)
            if progress.finish_reason:
                threading.Thread(target=done.wait).start()

        return note

    first = Generation(prompt=[1], state=State(TINY), sink=sink("reply"), sampling=GREEDY, max_tokens=40,
                       stop_tokens=frozenset())  # fmt: skip
    engine.submit(first)
    engine.submit(Generation(prompt=[2] * 800, state=State(TINY), sink=sink("prompt"), sampling=GREEDY, max_tokens=1))
    done.wait(timeout=60)
    assert order.index("prompt") < len(order) - 1 - order[::-1].index("reply"), "they ran one after the other"
    assert order[-1] == "prompt"


class StopAfter:
    """HOLD from token `hold` on, STOP at token `stop` (counted from 1)."""

    def __init__(self, hold: int, stop: int):
        self.hold, self.stop, self.n = hold, stop, 0

    def push(self, token: int) -> Verdict:
        self.n += 1
        return Verdict.STOP if self.n == self.stop else Verdict.HOLD if self.n >= self.hold else Verdict.CONTINUE


@pytest.mark.parametrize(("hold", "stop"), [(4, 6), (6, 6), (1, 1), (1, 3)])
def test_a_stop_rolls_back_to_before_its_first_token(engine, weights, hold, stop):
    last = run(engine, prompt=PROMPT, max_tokens=20, stopper=StopAfter(hold, stop))[-1]
    assert last.finish_reason == "stop"
    _, state = expected(weights, PROMPT, hold)  # has consumed hold - 1 tokens
    assert np.abs(last.state.data - state.data).max() < 1e-4
    assert last.unfed == ()


def test_a_stop_token_ends_the_reply_and_is_not_part_of_it(engine, weights):
    wanted, _ = expected(weights, PROMPT, 5)
    first = wanted.index(wanted[3])
    steps = run(engine, prompt=PROMPT, max_tokens=20, stop_tokens=frozenset({wanted[3]}))
    assert tokens(steps) == wanted[:first]
    assert steps[-1].finish_reason == "stop"


def test_logits_of_a_checkpoint_start_a_reply_without_a_prompt(engine, weights):
    kept = {}
    run(engine, prompt=PROMPT, max_tokens=3,
        on_prefilled=lambda state, logits: kept.update(state=state.copy(), logits=logits.copy()))  # fmt: skip
    steps = run(engine, prompt=[], max_tokens=6, **kept)
    assert tokens(steps) == expected(weights, PROMPT, 6)[0]
    assert sum(s.prefilled for s in steps) == 0
    with pytest.raises(ValueError, match="prompt"):
        run(engine, prompt=[])


def test_cancel_ends_soon_and_leaves_the_others(engine):
    arrived: queue.Queue[Progress] = queue.Queue()
    cancel = engine.submit(Generation(prompt=PROMPT, state=State(TINY), sink=arrived.put, sampling=GREEDY,
                                      max_tokens=100_000, stop_tokens=frozenset()))  # fmt: skip
    while arrived.get(timeout=30).token is None:
        pass
    cancel()
    cancel()
    while not (progress := arrived.get(timeout=30)).finish_reason:
        pass
    assert progress.finish_reason == "cancelled"
    assert len(progress.unfed) == 1
    assert tokens(run(engine, prompt=PROMPT, max_tokens=3))
    assert engine.load == (0, 0)


class Broken:
    """A device that fails, or returns NaN, for chosen tokens."""

    info = BackendInfo("broken", "", False, ("fp32",))

    def prefill(self, tokens, state):
        if tokens[0] == 13:
            raise RuntimeError("unlucky")
        return Step(np.full(10, np.nan if tokens[0] == 66 else 0.0, np.float32), Cost())

    def decode(self, tokens, states):
        return Step(np.zeros((len(tokens), 10), np.float32), Cost())

    def close(self):
        pass


def test_a_failing_pass_ends_its_sequence_only():
    engine = Engine(Broken())
    failed = run(engine, prompt=[13])[-1]
    assert failed.finish_reason == "error"
    assert "unlucky" in failed.error
    assert "finite" in run(engine, prompt=[66])[-1].error
    assert run(engine, prompt=[1], max_tokens=4)[-1].finish_reason == "length"
    engine.close()


def test_a_broken_listener_does_not_end_the_engine(engine):
    def fail(_progress):
        raise RuntimeError("listener")

    engine.submit(Generation(prompt=[1], state=State(TINY), sink=fail))
    assert tokens(run(engine, prompt=PROMPT, max_tokens=2))


def test_close_cancels_what_runs(weights):
    backend = ReferenceBackend()
    backend.load(weights)
    engine = Engine(backend)
    arrived: queue.Queue[Progress] = queue.Queue()
    engine.submit(Generation(prompt=[1], state=State(TINY), sink=arrived.put, max_tokens=100_000))
    engine.close()
    reasons = [p.finish_reason for p in iter(lambda: arrived.get_nowait() if not arrived.empty() else None, None)]
    assert reasons[-1] == "cancelled"
    with pytest.raises(Exception, match="shutting down"):
        run(engine, prompt=[1])


# --- going over to another backend ---


class Gated(ReferenceBackend):
    """Decodes only when it is let."""

    def __init__(self):
        super().__init__()
        self.gate, self.passes, self.closed = threading.Semaphore(0), 0, False

    def decode(self, tokens, states):
        self.gate.acquire()
        self.passes += 1
        return super().decode(tokens, states)

    def close(self):
        self.closed = True


@pytest.fixture
def gated(weights):
    backend = Gated()
    backend.load(weights)
    made = Engine(backend, max_batch=1, prefill_chunk=64)
    yield made, backend
    backend.gate.release(1000)
    made.close()


def other(weights) -> Gated:
    backend = Gated()
    backend.load(weights)
    backend.gate.release(1000)
    return backend


def test_an_exchange_lets_the_live_end_and_holds_the_queued(gated, weights):
    """A reply ends on the backend that it began on; what was queued meanwhile runs on the new one."""
    engine, before = gated
    after, replies = other(weights), []

    def say():
        replies.append(tokens(run(engine, prompt=PROMPT, max_tokens=6)))

    threads = [threading.Thread(target=say) for _ in range(2)]
    for thread in threads:
        thread.start()
    while engine.load != (1, 1):  # one is being written, one waits
        time.sleep(0.001)
    done = engine.exchange(lambda: after, max_batch=3)
    before.gate.release(2)
    assert not done.done(), "the live one is not through"
    before.gate.release(1000)
    done.result(timeout=30)
    for thread in threads:
        thread.join(30)
    assert replies == [expected(weights, PROMPT, 6)[0]] * 2
    assert before.closed
    assert (before.passes, after.passes) == (5, 5)
    assert engine.max_batch == 3


def test_a_backend_that_does_not_come_up_leaves_the_present_one(gated, weights):
    engine, before = gated
    before.gate.release(1000)

    def fails():
        raise RuntimeError("no such device")

    with pytest.raises(RuntimeError, match="no such device"):
        engine.exchange(fails, max_batch=9).result(timeout=30)
    assert engine.max_batch == 1
    assert tokens(run(engine, prompt=PROMPT, max_tokens=4)) == expected(weights, PROMPT, 4)[0]
    assert not before.closed
    engine.exchange(lambda: other(weights), max_batch=1).result(timeout=30)  # and another try is welcome
    assert before.closed


def test_passes_are_told_once(engine):
    run(engine, prompt=PROMPT, max_tokens=5)
    told = engine.passes()
    assert [batch for batch, _ in told] == [1] * 4
    assert all(seconds > 0 for _, seconds in told)
    assert engine.passes() == []
