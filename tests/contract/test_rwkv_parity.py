"""The reference against the `rwkv` package's own model, live: needs torch, and skips loudly without it."""

from __future__ import annotations

import os

import numpy as np
import pytest

from backends.base import State, Weights
from backends.reference import ReferenceBackend
from tests.synthetic import RWKV7_0B1, TINY, synthetic_tensors, to_blinkdl

BUDGET = 1e-3  # of the logits' standard deviation
TOKENS = 64

torch = pytest.importorskip("torch", reason="LIVE PARITY NOT CHECKED: torch is not installed (pip install torch)")


@pytest.fixture(scope="module")
def rwkv_model():
    os.environ |= {"RWKV_V7_ON": "1", "RWKV_JIT_ON": "0", "RWKV_CUDA_ON": "0"}
    from rwkv.model import RWKV

    return RWKV


@pytest.mark.live
@pytest.mark.parametrize("config", [TINY, RWKV7_0B1], ids=["tiny", "0.1B"])
def test_parity_with_the_rwkv_package(config, rwkv_model, tmp_path):
    tensors = synthetic_tensors(config, seed=1)
    path = tmp_path / "synthetic.pth"
    torch.save({k: torch.from_numpy(v.copy()) for k, v in to_blinkdl(tensors).items()}, path)
    theirs = rwkv_model(model=str(path.with_suffix("")), strategy="cpu fp32")
    ours = ReferenceBackend()
    ours.load(Weights(tensors, "fp32"))
    tokens = np.random.default_rng(2).integers(0, config.vocab, TOKENS)

    state, their_state, decode_error = State(config), None, 0.0
    for token in tokens:
        logits = ours.decode(np.array([token]), [state]).logits[0]
        expected, their_state = theirs.forward([int(token)], their_state)
        decode_error = max(decode_error, np.abs(logits - expected.numpy()).max() / expected.numpy().std())
    expected, _ = theirs.forward(tokens.tolist(), None)
    expected = expected.numpy()
    prefill_error = np.abs(ours.prefill(tokens, State(config)).logits - expected).max() / expected.std()
    shape = f"{config.layers} x {config.width}"
    print(f"{shape}: max |logit difference| / std: decode {decode_error:.1e}, prefill {prefill_error:.1e}")
    assert decode_error <= BUDGET
    assert prefill_error <= BUDGET
