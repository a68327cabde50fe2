"""State files: everything comes back, and no other byte passes."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.errors import RequestError
from assistant.history import Checkpoint
from assistant.history.state_file import Conversation, PastTurn, read_state, write_state
from backends.base import ModelConfig, State

SMALL = ModelConfig(layers=1, width=8, heads=1, head_size=8, vocab=16, ffn=8, decay_rank=2, iclr_rank=2,
                    value_rank=0, gate_rank=2)  # fmt: skip
OTHER = ModelConfig(layers=2, width=8, heads=1, head_size=8, vocab=16, ffn=8, decay_rank=2, iclr_rank=2,
                    value_rank=2, gate_rank=2)  # fmt: skip
KEY = "abc/world"
SAID = Conversation(title="Grüße", system="be\nkind", turns=[PastTurn(role="user", content='"\\ü'),
                                                            PastTurn(role="assistant", content="ok")])  # fmt: skip


def written(key: str = KEY, said: Conversation = SAID) -> bytes:
    rng = np.random.default_rng(3)
    state = State(SMALL, rng.standard_normal(SMALL.state_floats, dtype=np.float32))
    return write_state(Checkpoint(state, 17, b"\xffx"), said, key, "a-model")


def test_it_comes_back_whole():
    checkpoint, said = read_state(written(), SMALL, KEY)
    assert said == SAID
    assert (checkpoint.tokens, checkpoint.pending, checkpoint.logits) == (17, b"\xffx", None)
    rng = np.random.default_rng(3)
    np.testing.assert_array_equal(checkpoint.state.data, rng.standard_normal(SMALL.state_floats, dtype=np.float32))


def test_other_programs_can_read_it():
    tensors = safetensors.numpy.load(written())
    assert {n: t.shape for n, t in tensors.items()} == {
        "shift_tmix": (1, 8), "wkv": (1, 1, 8, 8), "shift_cmix": (1, 8)}  # fmt: skip


def test_every_single_flipped_bit_is_refused():
    raw = written()
    for at in range(len(raw)):
        for bit in range(8):
            damaged = bytearray(raw)
            damaged[at] ^= 1 << bit
            with pytest.raises(RequestError) as error:
                read_state(bytes(damaged), SMALL, KEY)
            assert error.value.status == 400


def test_every_truncation_is_refused():
    raw = written()
    for size in range(len(raw)):
        with pytest.raises(RequestError):
            read_state(raw[:size], SMALL, KEY)
    with pytest.raises(RequestError):
        read_state(raw + b"\0", SMALL, KEY)


@pytest.mark.parametrize(
    ("key", "why"),
    [("xyz/world", "weights"), ("abc/g1", "template is g1, not world"), ("abc/world/mythic", "device")],
)  # fmt: skip
def test_another_models_state_is_refused_and_the_difference_named(key, why):
    with pytest.raises(RequestError) as error:
        read_state(written(key), SMALL, KEY)
    assert (error.value.status, error.value.code) == (409, "state_of_another_model")
    assert why in str(error.value)


def test_the_right_name_on_the_wrong_shape_is_refused():
    with pytest.raises(RequestError, match="shift_tmix"):
        read_state(written(), OTHER, KEY)


def test_nan_is_refused():
    state = State(SMALL)
    state.wkv[0, 0, 1, 2] = np.nan
    with pytest.raises(RequestError, match="NaN"):
        read_state(write_state(Checkpoint(state, 1), SAID, KEY, "m"), SMALL, KEY)


@pytest.mark.parametrize("roles", [(), ("user",), ("assistant", "user"), ("user", "system")])
def test_a_conversation_that_no_state_could_follow_is_refused(roles):
    said = Conversation(turns=[PastTurn(role=role, content="x") for role in roles])
    with pytest.raises(RequestError, match="conversation"):
        read_state(written(said=said), SMALL, KEY)


def test_a_newer_version_is_named():
    raw = written().replace(b"rwkv-assistant-state-1", b"rwkv-assistant-state-7")
    with pytest.raises(RequestError, match="'7'"):
        read_state(raw, SMALL, KEY)


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_as_our_error(raw):
    with pytest.raises(RequestError):
        read_state(raw, SMALL, KEY)
