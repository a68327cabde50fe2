"""/metrics as Prometheus reads it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from assistant import wire
from assistant.meter.metrics import TOKEN_BUCKETS_S, Metrics


def parsed(text: str) -> dict:
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_counters_by_what_they_count():
    metrics = Metrics()
    cost = wire.Cost(prompt_tokens=5, completion_tokens=7, decode_s=0.5, energy_j=2.0, macs=10, bytes_moved=20)
    metrics.answer(cost, "chat", "stop")
    metrics.answer(cost, "api", "length")
    metrics.answer(wire.Cost(energy_j=3.0, energy_basis="simulated", basis="simulated", other_s=-1e-9), "api", "stop")
    found = parsed(metrics.text())
    energy = {s.labels["basis"]: s.value for s in found["rwkv_assistant_energy_joules"].samples}
    assert energy == {"modelled": 4.0, "simulated": 3.0}, "joules of different origin are different series"
    tokens = {s.labels["kind"]: s.value for s in found["rwkv_assistant_tokens"].samples}
    assert tokens == {"prompt": 10, "cached": 0, "completion": 14}
    assert sum(s.value for s in found["rwkv_assistant_answers"].samples) == 3
    assert all(s.value >= 0 for f in found.values() for s in f.samples), "counters never go down"
    assert found["rwkv_assistant_answers"].type == "counter"


@given(st.lists(st.floats(0, 20)))
def test_histograms_are_cumulative(values):
    metrics = Metrics()
    for value in values:
        metrics.next_token(value)
    samples = parsed(metrics.text())["rwkv_assistant_token_interval_seconds"].samples
    buckets = {float(s.labels["le"]): s.value for s in samples if s.name.endswith("_bucket")}
    assert set(buckets) == {*TOKEN_BUCKETS_S, math.inf}
    assert all(count == sum(v <= bound for v in values) for bound, count in buckets.items())
    assert {s.name: s.value for s in samples}["rwkv_assistant_token_interval_seconds_sum"] == pytest.approx(sum(values))


def test_labels_are_escaped():
    text = 'a "quoted" \\ name\nof two lines'
    found = parsed(Metrics().text([("x_info", "About.", 1, {"model": text})]))
    assert found["x_info"].samples[0].labels == {"model": text}


def test_nothing_yet_is_a_page_too():
    assert parsed(Metrics().text())["rwkv_assistant_time_to_first_token_seconds"].type == "histogram"
