"""The same model in every file format gives the same tensors and the same logits."""

import dataclasses

import numpy as np
import pytest

from assistant.errors import ModelFileError
from assistant.models.canonical import from_blinkdl, to_blinkdl
from assistant.models.packed import load_packed, save_packed
from assistant.models.pth import read_pth
from assistant.models.quantize import PRECISIONS, pack
from assistant.models.safetensors_file import write_safetensors
from assistant.models.source import read_source
from backends.base import Weights
from backends.tensors import quantize_int8
from tests.synthetic import ONE_HEAD
from tests.unit.models.files import (
    BF16,
    SMALL,
    blinkdl,
    logits,
    small_tensors,
    to_fla,
    write_gguf,
    write_pth,
)


def same(weights: Weights, tensors: dict[str, np.ndarray]) -> bool:
    return list(weights) == list(tensors) and all(
        np.array_equal(weights[n], t.astype(np.float32)) for n, t in tensors.items()
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float16, BF16], ids=["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_pth(tmp_path, dtype, wrapper):
    tensors = small_tensors(dtype)
    source = read_source(write_pth(tmp_path / "m.bin", blinkdl(tensors), wrapper=wrapper))
    assert source.format == "pth"
    assert source.weights.precision == {"float32": "fp32", "float16": "fp16"}.get(np.dtype(dtype).name, "bf16")
    assert same(source.weights, tensors)


def test_pth_is_mapped_and_not_copied(tmp_path):
    tensors = read_pth(write_pth(tmp_path / "m.pth", blinkdl(small_tensors())))
    assert all(not t.flags.owndata and not t.flags.writeable for t in tensors.values())


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "_orig_mod.module."])
def test_pth_with_training_prefixes(tmp_path, prefix):
    tensors = small_tensors()
    named = {prefix + n: t for n, t in blinkdl(tensors).items()}
    assert same(read_source(write_pth(tmp_path / "m.pth", named)).weights, tensors)


def test_squeezed_vectors_and_dummies_of_layer_0(tmp_path):
    tensors = small_tensors()
    named = {n: t.squeeze() for n, t in blinkdl(tensors).items()}
    for leaf in "012":
        named[f"blocks.0.att.v{leaf}"] = named[f"blocks.0.att.a{leaf}"]
    assert same(read_source(write_pth(tmp_path / "m.pth", named)).weights, tensors)


def test_one_squeezed_head(tmp_path):
    tensors = small_tensors(config=ONE_HEAD)
    named = {n: t.squeeze() for n, t in blinkdl(tensors).items()}
    assert named["blocks.0.att.r_k"].ndim == 1
    weights = read_source(write_pth(tmp_path / "m.pth", named)).weights
    assert weights.config == ONE_HEAD
    assert same(weights, tensors)


def test_one_layer_has_no_value_lora(tmp_path):
    config = dataclasses.replace(SMALL, layers=1, value_rank=0)
    tensors = small_tensors(config=config)
    assert read_source(write_pth(tmp_path / "m.pth", blinkdl(tensors))).weights.config == config


def test_to_blinkdl_is_the_inverse(tmp_path):
    tensors = small_tensors()
    exported = to_blinkdl(Weights(tensors, "fp32"))
    assert {n: t.shape for n, t in exported.items()} == {n: t.shape for n, t in blinkdl(tensors).items()}
    assert same(Weights(from_blinkdl(exported, tmp_path), "fp32"), tensors)


@pytest.mark.parametrize("fused", [False, True])
def test_fla_safetensors(tmp_path, fused):
    tensors = small_tensors(BF16)
    write_safetensors(tmp_path / "m", to_fla(tensors, fused), {"format": "pt"})
    source = read_source(tmp_path / "m")
    assert (source.format, source.weights.precision) == ("safetensors-fla", "bf16")
    assert same(source.weights, tensors)


def test_blinkdl_names_in_safetensors(tmp_path):
    tensors = small_tensors(np.float16)
    write_safetensors(tmp_path / "m", blinkdl(tensors), {})
    assert same(read_source(tmp_path / "m").weights, tensors)


@pytest.mark.parametrize(
    ("kind", "dtype", "precision"),
    [("F32", np.float32, "fp32"), ("F16", np.float16, "fp16"), ("BF16", BF16, "bf16")],
)
def test_gguf_floats(tmp_path, kind, dtype, precision):
    tensors = small_tensors(dtype)
    source = read_source(write_gguf(tmp_path / "m", tensors, kind))
    assert (source.format, source.weights.precision) == ("gguf", precision)
    assert source.weights.config == SMALL
    assert same(source.weights, tensors)


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_gguf_blocks_are_expanded_as_the_gguf_package_does(tmp_path, kind):
    import gguf

    tensors = small_tensors()
    source = read_source(write_gguf(tmp_path / "m", tensors, kind))
    assert source.weights.precision == "int8"
    expected = dict(tensors)
    for name, t in tensors.items():
        if t.ndim == 2 and t.shape[1] % 32 == 0:
            code = gguf.GGMLQuantizationType[kind]
            expected[name] = gguf.quants.dequantize(gguf.quants.quantize(t, code), code)
    assert same(source.weights, expected)
    assert not np.array_equal(expected["emb.weight"], tensors["emb.weight"])


def test_gguf_of_another_type_is_refused_by_its_name(tmp_path):
    write_gguf(tmp_path / "m", small_tensors(), "Q5_1")
    with pytest.raises(ModelFileError, match=r"Q5_1.*Readable types: F32, F16, BF16, Q8_0, Q4_0"):
        read_source(tmp_path / "m")


def test_gguf_of_another_architecture(tmp_path):
    write_gguf(tmp_path / "m", small_tensors(), arch="rwkv6")
    with pytest.raises(ModelFileError, match="architecture is b'rwkv6', not rwkv7"):
        read_source(tmp_path / "m")


def test_same_logits_from_every_format(tmp_path):
    tensors = small_tensors(BF16)
    expected = logits(Weights(tensors, "bf16"))
    assert expected.std() > 0.1
    write_pth(tmp_path / "pth", blinkdl(tensors))
    write_safetensors(tmp_path / "fla", to_fla(tensors), {})
    write_gguf(tmp_path / "gguf", tensors, "BF16")
    save_packed(tmp_path / "packed", pack(Weights(tensors, "bf16"), "bf16"))
    for name in ("pth", "fla", "gguf", "packed"):
        # Equal weights in another memory order: BLAS may add in another order.
        error = np.abs(logits(read_source(tmp_path / name).weights) - expected).max()
        assert error <= 1e-5 * expected.std(), name


@pytest.mark.parametrize("precision", PRECISIONS)
def test_packed_round_trip(tmp_path, precision):
    packed = pack(Weights(small_tensors(), "fp32", "abc"), precision)
    save_packed(tmp_path / "m", packed, "small")
    loaded = load_packed(tmp_path / "m")
    assert (loaded.precision, loaded.source_hash) == (precision, "abc")
    assert loaded.nbytes == packed.nbytes
    assert same(loaded, dict(packed))


BUDGET = {"fp32": 0.0, "bf16": 0.02, "fp16": 0.003, "int8": 0.04, "int4": 0.5}
"""Root mean square of the logits' error by their deviation. Random weights amplify it: a trained model of
4.6 M parameters has 0.008 in int8."""


@pytest.mark.parametrize("precision", PRECISIONS)
def test_error_budget(precision):
    weights = Weights(small_tensors(), "fp32")
    expected, narrow = logits(weights), logits(pack(weights, precision))
    error = np.sqrt(((narrow - expected) ** 2).mean()) / expected.std()
    assert error <= BUDGET[precision]
    assert precision == "fp32" or error > BUDGET[precision] / 20


def test_int8_is_close_to_a_quarter_of_fp32():
    weights = Weights(small_tensors(), "fp32")
    assert pack(weights, "int8").nbytes < 0.3 * pack(weights, "fp32").nbytes


def test_int8_in_slices_is_int8_of_the_whole():
    tall = np.random.default_rng(0).standard_normal((10_000, 64)).astype(np.float32)
    weights = Weights({**small_tensors(), "emb.weight": tall, "head.weight": tall}, "fp32")
    found, expected = pack(weights, "int8").raw("emb.weight"), quantize_int8(tall)
    assert np.array_equal(found.q, expected.q)
    assert np.array_equal(found.scale, expected.scale)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(value):
    tensors = small_tensors()
    tensors["blocks.1.ffn.key.weight"][3, 5] = value
    with pytest.raises(ModelFileError, match=r"blocks\.1\.ffn\.key\.weight"):
        pack(Weights(tensors, "fp32"), "int8")


def test_fp16_overflow_is_refused():
    tensors = small_tensors()
    tensors["head.weight"][0, 0] = 1e5
    with pytest.raises(ModelFileError, match="Use bf16"):
        pack(Weights(tensors, "fp32"), "fp16")


def test_unknown_and_missing_tensors_are_named(tmp_path):
    named = blinkdl(small_tensors())
    with pytest.raises(ModelFileError, match=r"1 tensors that RWKV-7 does not have: 'blocks.0.att.time_decay'.*RWKV-4"):
        from_blinkdl({**named, "blocks.0.att.time_decay": named["ln_out.bias"]}, tmp_path)
    del named["blocks.1.ffn.value.weight"]
    with pytest.raises(ModelFileError, match=r"'blocks.1.ffn.value.weight' is missing"):
        from_blinkdl(named, tmp_path)


def test_flat_heads_are_not_guessed(tmp_path):
    config = dataclasses.replace(SMALL, width=256, heads=4, head_size=64)
    named = blinkdl(small_tensors(config=config))
    named["blocks.0.att.r_k"] = named["blocks.0.att.r_k"].reshape(-1)
    with pytest.raises(ModelFileError, match="heads is unknown"):
        from_blinkdl(named, tmp_path)
