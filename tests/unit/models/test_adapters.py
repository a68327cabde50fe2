"""LoRA adapters, tuned states and the advice on what a machine can bear."""

import json

import numpy as np
import pytest

from assistant.errors import ModelFileError
from assistant.models.lora import merged
from assistant.models.recommend import advise, best, read_bandwidth_bytes_s
from assistant.models.states import read_tuned_state
from assistant.models.store import Options, Store
from backends.base import Weights
from tests.unit.models.files import SMALL, blinkdl, small_tensors, write_pth

KEY = "blocks.0.att.key"


def weights():
    return Weights(small_tensors(), "fp32")


def test_a_pair_is_added_and_a_whole_tensor_replaces(tmp_path):
    rng = np.random.default_rng(0)
    down, up = rng.standard_normal((4, 64), np.float32), rng.standard_normal((64, 4), np.float32)
    loud = np.full((1, 1, 64), 2.0, np.float32)
    base = weights()
    result = merged(base, {f"{KEY}.lora_A": down, f"{KEY}.lora_B": up, "blocks.1.att.w0": loud}, 8.0, tmp_path)
    np.testing.assert_allclose(result[f"{KEY}.weight"], base[f"{KEY}.weight"] + 2 * up @ down, rtol=1e-5)
    assert (result["blocks.1.att.w0"] == 2).all()
    untouched = [n for n in base if n not in (f"{KEY}.weight", "blocks.1.att.w0")]
    assert all((result[n] == base[n]).all() for n in untouched)


def test_ranks_of_the_model_itself_are_turned(tmp_path):
    own = weights()["blocks.0.att.w1"]
    result = merged(weights(), {"blocks.0.att.w1": 3 * own.T}, 1.0, tmp_path)
    np.testing.assert_allclose(result["blocks.0.att.w1"], 3 * own)


@pytest.mark.parametrize(
    ("adapter", "why"),
    [
        ({f"{KEY}.lora_A": np.ones((4, 64), np.float32)}, "lora_B"),
        ({f"{KEY}.lora_B": np.ones((64, 4), np.float32)}, "lora_A"),
        (
            {f"{KEY}.lora_A": np.ones((4, 9), np.float32), f"{KEY}.lora_B": np.ones((64, 4), np.float32)},
            "the pair makes",
        ),
        ({"blocks.7.att.w0": np.ones(64, np.float32)}, "the model has no blocks.7"),
        ({"blocks.0.att.w0": np.ones(63, np.float32)}, "the model's is"),
    ],
)
def test_an_adapter_of_another_model_is_refused(tmp_path, adapter, why):
    with pytest.raises(ModelFileError, match=why):
        merged(weights(), adapter, 8.0, tmp_path)


def test_a_model_is_added_with_its_adapter(tmp_path):
    model = write_pth(tmp_path / "m.pth", blinkdl(small_tensors()))
    adapter = write_pth(tmp_path / "a.pth", {f"{KEY}.lora_A": np.ones((2, 64), np.float32),
                                              f"{KEY}.lora_B": np.ones((64, 2), np.float32)})  # fmt: skip
    store = Store(tmp_path / "store")
    store.add(model, "plain")
    store.add(model, "tuned", Options(lora=adapter, lora_alpha=4.0))
    difference = store.open("tuned").weights[f"{KEY}.weight"] - store.open("plain").weights[f"{KEY}.weight"]
    np.testing.assert_allclose(difference, 4.0, rtol=1e-4)


def states(layers=SMALL.layers, heads=SMALL.heads):
    rng = np.random.default_rng(1)
    shape = (heads, SMALL.head_size, SMALL.head_size)
    return {f"blocks.{i}.att.time_state": rng.standard_normal(shape, np.float32) for i in range(layers)}


def test_a_tuned_state_is_turned_to_our_order(tmp_path):
    tensors = states()
    state = read_tuned_state(write_pth(tmp_path / "s.pth", tensors), SMALL)
    value, key = 3, 5
    assert state.wkv[1, 2, key, value] == tensors["blocks.1.att.time_state"][2, value, key]
    assert not state.shift_tmix.any()
    assert not state.shift_cmix.any()


def test_a_state_is_kept_with_its_model(tmp_path):
    model = write_pth(tmp_path / "m.pth", blinkdl(small_tensors()))
    tuned = write_pth(tmp_path / "s.pth", states())
    store = Store(tmp_path / "store")
    store.add(model, "tuned", Options(state=tuned))
    loaded = store.open("tuned")
    assert (loaded.initial.data == read_tuned_state(tuned, SMALL).data).all()
    assert store.verify("tuned") == []
    (store.folder("tuned") / "state.npy").write_bytes(b"x")
    assert len(store.verify("tuned")) == 1
    with pytest.raises(ModelFileError, match="starting state"):
        store.open("tuned")
    store.add(model, "plain")
    assert store.open("plain").initial is None


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        (states(layers=1), "1 layers"),
        (states(heads=2), "the model's is"),
        ({"emb.weight": np.ones((2, 2), np.float32)}, "no tensor blocks"),
        ({name: t * np.float32("nan") for name, t in states().items()}, "NaN"),
    ],
)
def test_a_state_of_another_model_is_refused(tmp_path, tensors, why):
    with pytest.raises(ModelFileError, match=why):
        read_tuned_state(write_pth(tmp_path / "s.pth", tensors), SMALL)


def test_advice_follows_memory_and_bandwidth():
    rich = advise(64 << 30, 50e9)
    assert all(advice.fits for advice in rich)
    assert best(rich).name == "2.9B"
    rates = {advice.precision: advice.tokens_s for advice in rich if advice.name == "1.5B"}
    assert rates["int4"] > 1.6 * rates["int8"] > 2.5 * rates["bf16"]
    assert best(advise(600 << 20, 50e9)).name in ("0.1B", "0.4B")
    assert best(advise(10 << 20, 50e9)) is None
    # 0.19 billion parameters, published as 382 MB in bfloat16
    small = next(advice for advice in rich if advice.name == "0.1B" and advice.precision == "bf16")
    assert small.parameters == pytest.approx(191e6, rel=0.01)
    assert small.memory_bytes == pytest.approx(382e6, rel=0.03)


def test_bandwidth_is_measured():
    assert read_bandwidth_bytes_s(8 << 20, 1) > 1e8


def test_recommend_prints_a_table(monkeypatch):
    from click.testing import CliRunner

    from assistant.models import commands, recommend

    monkeypatch.setattr(recommend, "read_bandwidth_bytes_s", lambda: 20e9)
    monkeypatch.setattr(recommend, "free_memory_bytes", lambda: 8 << 30)
    shown = CliRunner().invoke(commands.models, ["recommend"])
    assert shown.exit_code == 0, shown.output
    assert "modelled" in shown.output
    assert "<- recommended" in shown.output
    found = json.loads(CliRunner().invoke(commands.models, ["recommend", "--json"]).stdout)
    assert len(found["advice"]) == 12
