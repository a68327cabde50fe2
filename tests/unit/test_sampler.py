"""Sampler: greedy, nucleus, penalties, seeds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.sampler import Sampler, SamplingParams, choose, nucleus

LOGITS = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))


def draws(params: SamplingParams, n: int = 4000) -> np.ndarray:
    return np.bincount([choose(LOGITS, params, i) for i in range(n)], minlength=4) / n


def test_temperature_zero_is_the_arg_max():
    assert {choose(LOGITS, SamplingParams(temperature=0, seed=s), s) for s in range(50)} == {0}


def test_draws_follow_the_distribution():
    assert np.abs(draws(SamplingParams()) - np.exp(LOGITS)).max() < 0.03


def test_temperature_sharpens():
    expected = np.exp(LOGITS / 0.5)
    assert np.abs(draws(SamplingParams(temperature=0.5)) - expected / expected.sum()).max() < 0.03


def test_top_k_and_top_p_keep_the_likeliest():
    assert set(nucleus(LOGITS, SamplingParams(top_k=2), LOGITS.max())[0]) == {0, 1}
    assert set(nucleus(LOGITS, SamplingParams(top_p=0.79), LOGITS.max())[0]) == {0, 1}
    assert set(nucleus(LOGITS, SamplingParams(top_p=0.81), LOGITS.max())[0]) == {0, 1, 2}
    assert list(nucleus(LOGITS, SamplingParams(top_p=0.0), LOGITS.max())[0]) == [0]


def test_top_k_is_exact_with_ties():
    ids, probs = nucleus(np.zeros(10, np.float32), SamplingParams(top_k=3), 0.0)
    assert list(ids) == [0, 1, 2]
    assert probs.sum() == pytest.approx(1)


def test_the_same_seed_gives_the_same_tokens_and_another_others():
    def text(seed: int) -> list[int]:
        sampler = Sampler(SamplingParams(temperature=2.0, seed=seed))
        return [sampler.sample(LOGITS) for _ in range(40)]

    assert text(1) == text(1)
    assert text(1) != text(2)


def test_penalties_push_repeated_tokens_down_and_decay():
    sampler = Sampler(SamplingParams(temperature=0, frequency_penalty=0.4, penalty_decay=1.0))
    assert [sampler.sample(LOGITS) for _ in range(5)] == [0, 0, 1, 0, 1]  # ln .5 - ln .3 = 0.51
    forgetful = Sampler(SamplingParams(temperature=0, frequency_penalty=2.0, penalty_decay=0.0))
    assert [forgetful.sample(LOGITS) for _ in range(4)] == [0, 1, 0, 1]


def test_the_caller_keeps_its_logits():
    logits = LOGITS.copy()
    sampler = Sampler(SamplingParams(presence_penalty=1.0))
    for _ in range(5):
        sampler.sample(logits)
    assert np.array_equal(logits, LOGITS)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_broken_logits_are_told(bad):
    with pytest.raises(ValueError, match="finite"):
        choose(np.full(4, bad, np.float32), SamplingParams(), 0)


@given(
    logits=st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=50),
    temperature=st.floats(0, 5), top_p=st.floats(0, 1), top_k=st.integers(0, 60), draw=st.integers(0, 1000),
)  # fmt: skip
def test_any_setting_gives_a_valid_token(logits, temperature, top_p, top_k, draw):
    array = np.array(logits, np.float32)
    token = choose(array, SamplingParams(temperature=temperature, top_p=top_p, top_k=top_k), draw)
    assert 0 <= token < len(array)
    if top_k:
        assert (array > array[token]).sum() < top_k


SETTINGS = [
    SamplingParams(top_p=0.6),
    SamplingParams(top_k=40),
    SamplingParams(top_p=0.999, temperature=3),
    SamplingParams(top_k=7, top_p=0.5),
]


@pytest.mark.parametrize("size", [5, 1023, 1024, 4097, 65536])
@pytest.mark.parametrize("params", SETTINGS)
def test_the_quick_search_finds_what_sorting_everything_finds(size, params):
    logits = (np.random.default_rng(size).standard_normal(size) * 3).astype(np.float32)
    weights = np.exp((logits.astype(np.float64) - logits.max()) / params.temperature)
    order = np.argsort(-weights, kind="stable")[: params.top_k or size]
    cumulative = np.cumsum(weights[order]) / weights[order].sum()
    expected = np.sort(order[: int(np.searchsorted(cumulative, params.top_p)) + 1])
    ids, probs = nucleus(logits, params, float(logits.max()))
    difference = np.setxor1d(ids, expected)  # float32 may see the last one's place otherwise
    assert weights[difference].sum() <= 1e-4 * weights.sum()
    assert probs.sum() == pytest.approx(1)
    assert (np.diff(ids) > 0).all()
