"""The meter's arithmetic: parts add up, rates follow from sums, and figures of different origin never mix."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.meter import Meter
from assistant.meter.energy import EnergyMeter
from assistant.meter.power import Found, Unreadable
from backends.base import Cost

seconds = st.floats(0, 10, allow_nan=False)
PARTS = ("queue_s", "prefill_s", "decode_s", "sample_s", "text_s", "other_s")


@st.composite
def steps(draw):
    """Steps as an engine makes them: parts of each step, and the gap before it."""
    found = []
    for _ in range(draw(st.integers(1, 30))):
        decode = draw(st.booleans())
        found.append({
            "gap": draw(seconds), "sample_s": draw(seconds), "text_s": draw(seconds),
            "prefill_s": 0.0 if decode else draw(seconds), "decode_s": draw(st.floats(1e-4, 10)) if decode else 0.0,
            "batch": draw(st.integers(1, 8)) if decode else 1, "completion_tokens": int(decode or draw(st.booleans())),
            "prompt_tokens": 0 if decode else draw(st.integers(0, 64)),
            "cost": Cost(draw(seconds), draw(seconds), draw(st.integers(0, 10**12)), draw(st.integers(0, 10**12))),
        })  # fmt: skip
    return found


def play(meter: Meter, found: list[dict]) -> list[float]:
    """Feed the steps; returns when each token arrived."""
    now, tokens = 0.0, []
    for step in found:
        step = dict(step)
        now += step.pop("gap") + step["prefill_s"] + step["decode_s"] + step["sample_s"] + step["text_s"]
        meter.add(at_s=now, **step)
        tokens += [now] * step["completion_tokens"]
    return tokens


@given(steps())
def test_the_parts_add_up_to_the_elapsed_time(found):
    meter = Meter("cpu", "int8", False)
    play(meter, found)
    cost = meter.report()
    assert sum(getattr(cost, part) for part in PARTS) == pytest.approx(cost.elapsed_s, abs=1e-9)
    assert cost.other_s == pytest.approx(sum(s["gap"] for s in found), abs=1e-9)
    assert cost.macs == sum(s["cost"].macs for s in found)
    assert cost.bytes_moved == sum(s["cost"].bytes_moved for s in found)
    assert cost.energy_j == pytest.approx(sum(s["cost"].energy_j for s in found))


@given(steps())
def test_rates_follow_from_the_sums(found):
    meter = Meter("cpu", "int8", False, wall_bytes_s=50e9)
    tokens = play(meter, found)
    cost = meter.report()
    assert cost.completion_tokens == len(tokens)
    assert cost.ttft_s == (tokens[0] if tokens else None)
    gaps = sorted(b - a for a, b in pairwise(tokens))
    if gaps and tokens[-1] > tokens[0]:
        assert cost.tok_s == pytest.approx(len(gaps) / (tokens[-1] - tokens[0]))
        assert gaps[0] * 1e3 <= cost.ms_per_token_p50 <= cost.ms_per_token_p95 <= gaps[-1] * 1e3
        assert cost.ms_per_token_p50 == pytest.approx(1e3 * statistics.median_high(gaps))
    decodes = [s for s in found if s["decode_s"]]
    if decodes:
        assert cost.bytes_per_token == pytest.approx(statistics.fmean(s["cost"].bytes_moved for s in decodes))
        assert cost.j_per_token == pytest.approx(statistics.fmean(s["cost"].energy_j for s in decodes))
        whole = sum(s["cost"].bytes_moved * s["batch"] for s in decodes)  # the pass is shared, its bytes are not
        assert cost.gb_s == pytest.approx(whole / sum(s["decode_s"] for s in decodes) / 1e9)
        assert cost.wall_share == pytest.approx(cost.gb_s / 50)
    else:
        assert cost.bytes_per_token is cost.gb_s is cost.wall_share is cost.j_per_token is None


@given(steps())
def test_a_report_changes_nothing(found):
    once, often = Meter("cpu", "int8", False), Meter("cpu", "int8", False)
    play(once, found)
    for i in range(len(found)):
        often.report()
        play_from = dict(found[i])
        gap = play_from.pop("gap")
        before = often.report().elapsed_s
        spent = sum(play_from[k] for k in ("prefill_s", "decode_s", "sample_s", "text_s"))
        often.add(at_s=before + gap + spent, **play_from)
    a, b = once.report(), often.report()
    assert (a.macs, a.bytes_moved, a.completion_tokens) == (b.macs, b.bytes_moved, b.completion_tokens)
    assert a.elapsed_s == pytest.approx(b.elapsed_s)


class Ramp:
    """A sensor that counts 10 J a second of the test's clock, until it is told to fail."""

    name, covers = "ramp", "whole ramp"

    def __init__(self):
        self.broken = False

    def energy_j(self, now_s: float) -> float:
        if self.broken:
            raise Unreadable("ramp", "it went away")
        return 10 * now_s


@pytest.fixture
def clock():
    now = [100.0]
    sensor = Ramp()
    return now, sensor, EnergyMeter(lambda: Found(sensor, ()), clock=lambda: now[0], every_s=0.1)


def step(meter: Meter, now: list[float], at_s: float, took_s: float) -> None:
    now[0] += took_s
    meter.add(at_s=at_s, decode_s=took_s, completion_tokens=1, cost=Cost(1e-3, 2.0, 10, 20))


def test_measured_joules_replace_the_models_and_say_so(clock):
    now, _, energy = clock
    meter = Meter("cpu", "int8", False, energy_model="model: x", claim=energy.claim())
    for i in range(5):
        step(meter, now, 0.2 * (i + 1), 0.2)
    meter.close()
    cost = meter.report()
    assert (cost.energy_basis, cost.basis) == ("measured", "modelled")
    assert cost.energy_j == pytest.approx(10.0)
    assert cost.j_per_token == pytest.approx(2.0)
    assert cost.model_energy_j == pytest.approx(10.0)
    assert cost.energy_source == "ramp: whole ramp, other programs included"


def test_a_sensor_that_fails_leaves_the_whole_answer_to_the_model(clock):
    now, sensor, energy = clock
    meter = Meter("cpu", "int8", False, energy_model="model: x", claim=energy.claim())
    step(meter, now, 0.2, 0.2)
    sensor.broken = True
    step(meter, now, 0.4, 0.2)
    meter.close()
    cost = meter.report()
    assert (cost.energy_basis, cost.energy_source, cost.model_energy_j) == ("modelled", "model: x", None)
    assert cost.energy_j == pytest.approx(4.0)
    assert energy.reasons == ("ramp: it went away",)
    sensor.broken = False
    assert energy.claim() is not None, "it is looked for again"


def test_a_simulated_chip_is_never_given_the_hosts_joules_or_bandwidth(clock):
    now, _, energy = clock
    meter = Meter("mythic-m1076", "int8", True, claim=energy.claim(), wall_bytes_s=50e9)
    now[0] += 1
    meter.add(at_s=1.0, decode_s=1.0, completion_tokens=1, cost=Cost(1e-3, 2.0, 10, 20, "simulated"))
    cost = meter.report()
    assert (cost.energy_basis, cost.energy_j) == ("simulated", 2.0)
    assert cost.gb_s is cost.wall_gb_s is cost.wall_share is None


def test_the_idle_power_is_stated_and_not_subtracted(clock):
    now, _, energy = clock
    energy.look()
    energy.sample()
    now[0] += 5
    claim = energy.claim()
    assert energy.idle_w == pytest.approx(10.0)
    now[0] += 1
    claim.add(0.0, 1.0)
    claim.close()
    assert claim.energy_j == pytest.approx(10.0)
    assert "idle 10.0 W not subtracted" in claim.source


@given(
    st.lists(
        st.lists(st.tuples(st.floats(0.01, 1), st.floats(0, 0.01)), min_size=1, max_size=8), min_size=1, max_size=5
    )
)
def test_shares_of_concurrent_answers_add_up_to_the_sensor(work):
    """Whoever is busy while the sensor counts gets it, and nothing is counted twice or lost."""
    now, sensor = [0.0], Ramp()
    energy = EnergyMeter(lambda: Found(sensor, ()), clock=lambda: now[0], every_s=0.05)
    claims = [energy.claim() for _ in work]
    for turn in range(max(map(len, work))):
        for claim, steps in zip(claims, work, strict=True):
            if turn < len(steps):
                decode_s, prefill_s = steps[turn]
                now[0] += decode_s + prefill_s
                claim.add(prefill_s, decode_s)
    energy.sample()
    assert math.fsum(c.energy_j for c in claims) == pytest.approx(10 * now[0])
    assert all(0 <= c.decode_energy_j <= c.energy_j + 1e-9 for c in claims)
    for claim in claims:
        claim.close()
    now[0] += 3
    assert math.fsum(c.energy_j for c in claims) == pytest.approx(10 * (now[0] - 3)), "closed claims grow no more"
