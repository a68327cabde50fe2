"""One body of tests that every backend must pass at every precision it offers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from assistant.models.quantize import pack
from backends.base import Backend, Cost, State, Workload
from backends.reference import ReferenceBackend
from tests.contract.budgets import ARITHMETIC, BUDGET, NOISY, relative_error
from tests.synthetic import ONE_HEAD, TINY, synthetic_weights

SHAPES = {"tiny": TINY, "one-head": ONE_HEAD}
TOKENS = 24


@pytest.fixture(params=SHAPES)
def weights(request):
    return synthetic_weights(SHAPES[request.param], seed=3)


@pytest.fixture
def loaded(backend: Backend, weights, precision):
    backend.load(pack(weights, precision))
    return backend


@pytest.fixture
def tokens(weights):
    return np.random.default_rng(5).integers(0, weights.config.vocab, TOKENS).astype(np.int32)


def serial(backend: Backend, tokens, state: State) -> np.ndarray:
    """Logits f32[T, V] of decoding one token at a time."""
    return np.stack([backend.decode(tokens[i : i + 1], [state]).logits[0] for i in range(len(tokens))])


def test_parity_with_the_reference(loaded, weights, tokens, precision):
    got = serial(loaded, tokens, State(weights.config))
    errors = []
    for stored in (weights, pack(weights, precision)):
        reference = ReferenceBackend()
        reference.load(stored)
        errors.append(relative_error(got, serial(reference, tokens, State(weights.config))))
    total, arithmetic = errors
    print(
        f"{loaded.info.name} {precision}: RMS error {total:.2e} of the logits' deviation, its own part {arithmetic:.2e}"
    )
    assert total <= NOISY.get(loaded.info.name, BUDGET[precision])
    assert arithmetic <= NOISY.get(loaded.info.name, ARITHMETIC[precision])


@pytest.mark.parametrize("chunk", [1, 2, 8, 10])
def test_prefill_in_chunks_equals_serial_decode(loaded, weights, tokens, chunk):
    expected_state, state = State(weights.config), State(weights.config)
    expected = serial(loaded, tokens, expected_state)[-1]
    for start in range(0, TOKENS, chunk):
        logits = loaded.prefill(tokens[start : start + chunk], state).logits
    assert logits.shape == (weights.config.vocab,)
    assert logits.dtype == np.float32
    assert relative_error(logits, expected) < 1e-4
    assert np.abs(state.data - expected_state.data).max() < 1e-3


def test_a_batch_equals_its_singles(loaded, weights, tokens):
    lengths = [3, 7, 1, 12]
    together = [State(weights.config) for _ in lengths]
    alone = [State(weights.config) for _ in lengths]
    for n, a, b in zip(lengths, together, alone, strict=True):
        loaded.prefill(tokens[:n], a)
        loaded.prefill(tokens[:n], b)
    following = tokens[: len(lengths)]
    batch = loaded.decode(following, together).logits
    assert batch.shape == (len(lengths), weights.config.vocab)
    for i, state in enumerate(alone):
        single = loaded.decode(following[i : i + 1], [state]).logits[0]
        assert relative_error(batch[i], single) < 1e-4
        assert np.abs(together[i].data - state.data).max() < 1e-3


def test_a_copied_state_resumes_identically_and_apart(loaded, weights, tokens):
    state = State(weights.config)
    loaded.prefill(tokens[:10], state)
    fork = state.copy()
    first = serial(loaded, tokens[10:], state)
    assert not np.array_equal(fork.data, state.data), "the fork moved with its origin"
    assert np.array_equal(serial(loaded, tokens[10:], fork), first)
    assert np.array_equal(fork.data, state.data)


def test_two_sequences_do_not_share_state(loaded, weights, tokens):
    """Interleaving another conversation changes nothing."""
    alone, mine, other = (State(weights.config) for _ in range(3))
    expected = serial(loaded, tokens, alone)
    got = []
    for i in range(TOKENS):
        got.append(loaded.decode(tokens[i : i + 1], [mine]).logits[0])
        loaded.decode(tokens[-1 - i : TOKENS - i], [other])
    assert np.array_equal(np.stack(got), expected)


def test_costs_are_finite_and_not_negative(loaded, weights, tokens, precision):
    step = loaded.prefill(tokens, State(weights.config))
    workload = Workload(tokens=TOKENS, batch=1, precision=precision)
    for cost in (step.cost, loaded.estimate(weights.config, workload)):
        assert isinstance(cost, Cost)
        for value in (cost.latency_s, cost.energy_j, cost.macs, cost.bytes_moved):
            assert math.isfinite(value)
            assert value > 0
        assert (cost.basis == "simulated") == loaded.info.simulated
    more = loaded.estimate(weights.config, Workload(tokens=2 * TOKENS, batch=1, precision=precision))
    assert more.macs > step.cost.macs


def test_a_batch_carries_the_weights_once(loaded, weights, tokens):
    one = loaded.decode(tokens[:1], [State(weights.config)]).cost
    four = loaded.decode(tokens[:4], [State(weights.config) for _ in range(4)]).cost
    assert four.macs == 4 * one.macs
    assert four.bytes_moved < 4 * one.bytes_moved


def test_bad_tokens_are_refused(loaded, weights):
    for bad in ([], [-1], [weights.config.vocab]):
        with pytest.raises(ValueError, match="token"):
            loaded.prefill(np.array(bad, np.int32), State(weights.config))


def test_close_twice(loaded):
    loaded.close()
    loaded.close()
