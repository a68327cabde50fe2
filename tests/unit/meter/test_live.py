"""The meter in a running engine: parts of real clocks add up, and a faked RAPL is shared among concurrent answers."""

from __future__ import annotations

import asyncio
import time

import pytest

from assistant import wire
from assistant.engine import Engine, Generation
from assistant.meter import Meter
from assistant.meter.energy import EnergyMeter
from assistant.meter.power import Rapl, Sysfs, find
from assistant.sampler import Sampler, SamplingParams
from assistant.session import reply as reply_module
from assistant.session.reply import Reply
from assistant.session.text import ReplyText
from backends.base import State
from backends.reference import ReferenceBackend
from tests.synthetic import TINY, synthetic_weights

PARTS = ("queue_s", "prefill_s", "decode_s", "sample_s", "text_s", "other_s")
WATTS = 20.0


@pytest.fixture(scope="module")
def engine():
    backend = ReferenceBackend()
    backend.load(synthetic_weights(TINY, seed=7))
    made = Engine(backend, max_batch=4, prefill_chunk=8)
    yield made
    made.close()


class Ticking(Rapl):
    """A faked package that draws WATTS: its counter follows the clock whenever it is read."""

    def energy_j(self, now_s: float) -> float:
        zone = next(iter(self._zones))
        (zone / "energy_uj").write_text(str(int(now_s * WATTS * 1e6) % 1_000_000_000))
        return super().energy_j(now_s)


@pytest.fixture
def sysfs(tmp_path) -> Sysfs:
    zone = tmp_path / "powercap" / "intel-rapl:0"
    zone.mkdir(parents=True)
    for name, value in (("name", "package-0"), ("energy_uj", 0), ("max_energy_range_uj", 1_000_000_000)):
        (zone / name).write_text(f"{value}\n")
    return Sysfs(tmp_path / "powercap", tmp_path / "none", tmp_path / "none")


async def answer(
    engine: Engine,
    meter: Meter,
    tokens: int,
    seen: list[wire.Cost] | None = None,
    text: object = None,
    events: list[wire.Delta] | None = None,
) -> wire.Cost:
    async def finish(outcome):
        message = wire.Message(id="", chat_id="", parent_id=None, role="assistant", content=outcome.text,
                               status="complete", created_at=0.0)  # fmt: skip
        return wire.Finished(message=message, usage=wire.Usage(), cost=outcome.cost)

    generation = Generation(prompt=list(range(1, 30)), state=State(TINY), sink=lambda _: None, max_tokens=tokens,
                            sampling=SamplingParams(temperature=0), stop_tokens=frozenset())  # fmt: skip
    text = text or ReplyText(lambda ids: bytes(65 + i % 26 for i in ids), ())
    reply = Reply(engine, generation, text, meter, finish=finish)
    async for event in reply.events():
        if seen is not None and isinstance(event, wire.Delta):
            seen.append(event.cost)
        if events is not None and isinstance(event, wire.Delta):
            events.append(event)
    return (await reply.done()).cost


async def test_the_parts_of_real_clocks_add_up(engine):
    started = time.perf_counter()
    seen: list[wire.Cost] = []
    costs = await asyncio.gather(*(answer(engine, Meter("reference", "fp32", False), 40 + i, seen) for i in range(6)))
    took = time.perf_counter() - started
    for cost in [*costs, *seen]:
        assert sum(getattr(cost, part) for part in PARTS) == pytest.approx(cost.elapsed_s, abs=1e-12)
        assert min(getattr(cost, part) for part in PARTS) > -1e-6, "what was counted twice would show here"
        assert cost.elapsed_s <= took
    assert any(cost.queue_s > 0.001 for cost in costs), "two of six had to wait for a slot"
    assert [c.completion_tokens for c in costs] == [40 + i for i in range(6)]


class Slow:
    """Anything of which some methods take a while longer, and how long they took."""

    def __init__(self, inner, **extra_s: float):
        self._inner, self._extra_s, self.took_s = inner, extra_s, dict.fromkeys(extra_s, 0.0)

    def __getattr__(self, name):
        found = getattr(self._inner, name)
        if name not in self._extra_s:
            return found

        def slow(*args, **options):
            started = time.perf_counter()
            time.sleep(self._extra_s[name])
            result = found(*args, **options)
            self.took_s[name] += time.perf_counter() - started
            return result

        return slow


async def test_each_part_is_what_that_part_took(monkeypatch):
    sampled, sample = [], Sampler.sample

    def slow_sample(self, logits):
        started = time.perf_counter()
        time.sleep(0.004)
        token = sample(self, logits)
        sampled.append(time.perf_counter() - started)
        return token

    monkeypatch.setattr(Sampler, "sample", slow_sample)
    backend = ReferenceBackend()
    backend.load(synthetic_weights(TINY, seed=7))
    slow = Slow(backend, prefill=0.002, decode=0.003)
    text = Slow(ReplyText(lambda ids: bytes(65 + i % 26 for i in ids), ()), push=0.003, take=0.004)
    engine = Engine(slow, max_batch=1, prefill_chunk=8)
    try:
        cost = await answer(engine, Meter("reference", "fp32", False), 25, text=text)
    finally:
        engine.close()
    expected = {
        "prefill_s": slow.took_s["prefill"],
        "decode_s": slow.took_s["decode"],
        "sample_s": sum(sampled),
        "text_s": text.took_s["push"] + text.took_s["take"],
    }
    rest_s = cost.elapsed_s - sum(expected.values())  # what a busy machine put in between; it may show anywhere
    for part, took_s in expected.items():
        assert took_s <= getattr(cost, part) <= took_s + rest_s, part


async def test_quick_tokens_travel_together_and_none_is_lost(engine, monkeypatch):
    """The first token waits for nobody; what comes too soon after an event waits for the next one, or for the end."""
    monkeypatch.setattr(reply_module, "SEND_EVERY_S", 60.0)
    events: list[wire.Delta] = []
    text = ReplyText(lambda ids: bytes(65 + i % 26 for i in ids), ())
    cost = await answer(engine, Meter("reference", "fp32", False), 150, text=text, events=events)
    assert sum(e.tokens for e in events) == cost.completion_tokens == 150
    assert len("".join(e.text for e in events)) == 150
    assert len(events) == 2
    assert events[0].tokens < 150
    assert events[0].cost.elapsed_s < cost.elapsed_s


async def test_joules_of_a_sensor_are_shared_among_concurrent_answers(engine, sysfs):
    import assistant.meter.energy as module

    look = lambda: module.Found(Ticking(sysfs.powercap), ())  # noqa: E731
    energy = EnergyMeter(look, every_s=0.005)
    started = time.monotonic()
    costs = await asyncio.gather(
        *(answer(engine, Meter("reference", "fp32", False, claim=energy.claim()), 60) for _ in range(3))
    )
    took = time.monotonic() - started
    assert {c.energy_basis for c in costs} == {"measured"}
    whole = sum(c.energy_j for c in costs)
    assert 0 < whole <= WATTS * took * 1.001, "never more than the package drew"
    assert whole > 0.5 * WATTS * max(c.elapsed_s for c in costs), "and nearly all of it while they were made"
    assert all(c.energy_source.startswith("RAPL package-0: whole processor package") for c in costs)
    assert all(c.model_energy_j > 0 for c in costs)


async def test_a_package_that_vanishes_leaves_the_answer_to_the_model(engine, sysfs):
    energy = EnergyMeter(lambda: find(sysfs), every_s=0.001)
    meter = Meter("reference", "fp32", False, energy_model="model: x", claim=energy.claim())
    assert energy.sensor is not None
    (sysfs.powercap / "intel-rapl:0" / "energy_uj").unlink()
    cost = await answer(engine, meter, 20)
    assert (cost.energy_basis, cost.energy_source, cost.model_energy_j) == ("modelled", "model: x", None)
    assert "cannot be read" in energy.reasons[0]
