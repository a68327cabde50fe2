"""Every instruction set of the native core that this machine has gives the reference's answers, on 1 to 3 threads."""

from __future__ import annotations

import numpy as np
import pytest

from assistant.models.quantize import pack
from backends.base import BackendUnavailable, BadWeights, ModelConfig, State
from backends.cpu import CpuBackend
from backends.cpu.library import instruction_sets
from backends.reference import ReferenceBackend
from tests.contract.budgets import ARITHMETIC, relative_error
from tests.synthetic import ONE_HEAD, TINY, synthetic_weights

SMALL_HEADS = ModelConfig(layers=2, width=96, heads=3, head_size=32, vocab=67, ffn=160,
                          decay_rank=4, iclr_rank=6, value_rank=2, gate_rank=40)  # fmt: skip
SHAPES = {"tiny": TINY, "one-head": ONE_HEAD, "small-heads": SMALL_HEADS}
TOKENS = 12


@pytest.fixture(params=[name for name, here in instruction_sets().items() if here])
def isa(request) -> str:
    return request.param


def test_the_portable_code_is_always_there():
    assert instruction_sets()["baseline"] is True


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "int8", "int4"])
@pytest.mark.parametrize("shape", SHAPES)
def test_parity(isa, shape, precision):
    config = SHAPES[shape]
    weights = pack(synthetic_weights(config, seed=3), precision)
    tokens = np.random.default_rng(5).integers(0, config.vocab, TOKENS).astype(np.int32)
    reference = ReferenceBackend()
    reference.load(weights)
    state = State(config)
    expected = np.stack([reference.decode(tokens[i : i + 1], [state]).logits[0] for i in range(TOKENS)])
    for threads in (1, 3):
        backend = CpuBackend(threads=threads, isa=isa)
        backend.load(weights)
        mine = State(config)
        got = np.stack([backend.decode(tokens[i : i + 1], [mine]).logits[0] for i in range(TOKENS)])
        assert relative_error(got, expected) <= ARITHMETIC[precision]
        prompt = State(config)
        assert relative_error(backend.prefill(tokens, prompt).logits, got[-1]) < 1e-4
        assert np.abs(prompt.data - mine.data).max() < 1e-3
        several = [State(config) for _ in range(7)]  # more columns than any kernel takes at once
        for i in range(3):
            batch = backend.decode(tokens[i : i + 7], several).logits
        alone = State(config)
        for i in range(3):
            single = backend.decode(tokens[i + 6 : i + 7], [alone]).logits[0]
        assert relative_error(batch[6], single) < 1e-4
        backend.close()


def test_quantized_answers_do_not_depend_on_the_machine():
    """Sums of int8 products are exact, so instruction sets and threads differ by float rounding alone."""
    weights = pack(synthetic_weights(TINY, seed=3), "int4")
    tokens = np.arange(10, dtype=np.int32)
    logits = []
    for isa in (name for name, here in instruction_sets().items() if here):
        for threads in (1, 2, 3):
            backend = CpuBackend(threads=threads, isa=isa)
            backend.load(weights)
            logits.append(backend.prefill(tokens, State(TINY)).logits)
            backend.close()
    assert max(relative_error(other, logits[0]) for other in logits) < 1e-4


def test_a_shape_without_kernels_is_refused():
    odd = ModelConfig(layers=2, width=48, heads=3, head_size=16, vocab=67, ffn=96,
                      decay_rank=4, iclr_rank=4, value_rank=4, gate_rank=4)  # fmt: skip
    with pytest.raises(BadWeights, match="multiples of 32"):
        CpuBackend().load(synthetic_weights(odd))


def test_an_unknown_instruction_set_is_refused():
    with pytest.raises(BackendUnavailable, match="this machine does not have 'sve9'"):
        CpuBackend(isa="sve9")
