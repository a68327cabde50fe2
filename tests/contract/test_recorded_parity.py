"""The reference against logits recorded from the `rwkv` package 0.8.32 (cpu fp32): runs everywhere, without torch.

tests/data/rwkv_0_8_32_logits.npz holds, per shape, 64 of the logits and the deviation of all of them after each of 64
tokens, for the weights of `synthetic_tensors(shape, seed=1)` and the tokens of NumPy's `default_rng(2)`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backends.base import State, Weights
from backends.reference import ReferenceBackend
from tests.synthetic import ONE_HEAD, RWKV7_0B1, TINY, synthetic_tensors

RECORDED = Path(__file__).parent.parent / "data" / "rwkv_0_8_32_logits.npz"
BUDGET = 1e-3  # of the logits' standard deviation
SHAPES = {"tiny": TINY, "one-head": ONE_HEAD, "0.1B": RWKV7_0B1}


@pytest.mark.parametrize("name", SHAPES)
def test_parity_with_recorded_logits(name):
    config = SHAPES[name]
    with np.load(RECORDED) as recorded:
        ids, expected, std = (recorded[f"{name}.{part}"] for part in ("ids", "logits", "std"))
    backend = ReferenceBackend()
    backend.load(Weights(synthetic_tensors(config, seed=1), "fp32"))
    tokens = np.random.default_rng(2).integers(0, config.vocab, len(expected))
    state = State(config)
    got = np.stack([backend.decode(tokens[i : i + 1], [state]).logits[0][ids] for i in range(len(tokens))])
    decode_error = float((np.abs(got - expected) / std[:, None]).max())
    prefilled = backend.prefill(tokens, State(config)).logits[ids]
    prefill_error = float(np.abs(prefilled - expected[-1]).max() / std[-1])
    shape = f"{config.layers} x {config.width}"
    errors = f"decode {decode_error:.1e}, prefill {prefill_error:.1e}"
    print(f"{shape} against rwkv 0.8.32, max |logit difference| / std: {errors}")
    assert decode_error <= BUDGET
    assert prefill_error <= BUDGET
