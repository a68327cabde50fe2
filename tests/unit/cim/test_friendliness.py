"""Operation censuses of model files of every kind, and readers that trust no byte."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from assistant.cim.friendliness import of_file, of_known, of_network
from assistant.errors import ModelFileError
from assistant.models.onnx_file import read_onnx
from assistant.models.store import SHIPPED
from backends.base import ModelConfig
from backends.cim.operations import rwkv7_operations
from tests.unit.models.files import SMALL, blinkdl, small_tensors, write_gguf, write_pth

LLAMA = {"layers": 2, "width": 64, "kv": 32, "ffn": 96, "vocab": 50}


# --- protocol buffers, written by hand ---


def varint(n: int) -> bytes:
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes([*out, n])


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(name: str, *dims: int) -> bytes:
    return field(5, b"".join(field(1, d) for d in dims) + field(2, 1) + field(8, name.encode()) + field(9, b"\0" * 8))


def value(name: str, *dims: int | str, number: int = 13) -> bytes:
    shape = b"".join(field(1, field(1, d) if isinstance(d, int) else field(2, d.encode())) for d in dims)
    return field(number, field(1, name.encode()) + field(2, field(1, field(1, 1) + field(2, shape))))


def node(op: str, inputs: str, output: str, **attributes: int) -> bytes:
    body = b"".join(field(1, n.encode()) for n in inputs.split()) + field(2, output.encode()) + field(4, op.encode())
    for key, number in attributes.items():
        body += field(5, field(1, key.encode()) + field(3, number) + field(20, 2))
    return field(1, body)


def onnx_bytes(*graph: bytes) -> bytes:
    return field(1, 8) + field(7, b"".join(graph)) + field(8, field(2, 17))


def write_onnx(path: Path, *graph: bytes) -> Path:
    path.write_bytes(onnx_bytes(*graph))
    return path


MLP = (
    tensor("w1", 64, 256), tensor("b1", 256), tensor("w2", 64, 256),
    value("x", "batch", 64, number=11),
    node("MatMul", "x w1", "h"), node("Add", "h b1", "h1"), node("Sigmoid", "h1", "h2"),
    node("Gemm", "h2 w2", "y", transB=1), node("ReduceMean", "y", "z"),
)  # fmt: skip
ATTENTION = (
    tensor("wq", 64, 64), value("x", 1, 64, number=11), value("k", 4, 16, 128, number=11),
    value("v", 4, 128, 16, number=11), value("q", 4, 1, 16), value("s", 4, 1, 128), value("p", 4, 1, 128),
    node("MatMul", "x wq", "q0"), node("Reshape", "q0 shape", "q"),
    node("MatMul", "q k", "s"), node("Softmax", "s", "p"), node("MatMul", "p v", "o"),
)  # fmt: skip


def test_onnx_products_by_weights_are_stationary(tmp_path):
    report = of_file(write_onnx(tmp_path / "mlp.onnx", *MLP))
    ops = report.at[0]
    assert ops.stationary_macs == 2 * 64 * 256
    assert (ops.dynamic_macs, ops.elementwise_ops, ops.transcendental_ops, ops.reduction_ops) == (0, 256, 256, 64)
    assert report.verdict == "good fit"


def test_onnx_products_of_two_changing_things_are_dynamic(tmp_path):
    report = of_file(write_onnx(tmp_path / "attention.onnx", *ATTENTION))
    ops = report.at[0]
    assert ops.stationary_macs == 64 * 64
    assert ops.dynamic_macs == 2 * 4 * 16 * 128
    assert report.verdict == "poor fit"
    assert any("softmax" in reason for reason in report.reasons)


def test_onnx_sizes_that_the_file_does_not_state_follow_from_the_inputs(tmp_path):
    graph = (
        tensor("wq", 64, 64), tensor("wo", 32, 64), value("x", "seq", 64, number=11),
        value("k", 64, 128, number=11), value("v", 128, 64, number=11),
        node("MatMul", "x wq", "q"), node("MatMul", "q k", "s"), node("Softmax", "s", "p"),
        node("MatMul", "p v", "o"), node("Gemm", "o wo", "y", transB=1), node("Sigmoid", "y", "z"),
    )  # fmt: skip
    ops = of_file(write_onnx(tmp_path / "m.onnx", *graph)).at[0]
    assert (ops.stationary_macs, ops.dynamic_macs) == (64 * 64 + 64 * 32, 2 * 64 * 128)
    assert (ops.reduction_ops, ops.transcendental_ops) == (128, 128 + 32)


def test_onnx_convolutions_and_what_is_not_known(tmp_path):
    graph = (
        tensor("k", 8, 3, 3, 3), value("y", 1, 8, 10, 12),
        node("Conv", "x k", "y"), node("MatMul", "a b", "c"), node("Loop", "m", "n"),
    )  # fmt: skip
    report = of_file(write_onnx(tmp_path / "conv.onnx", *graph))
    assert report.at[0].stationary_macs == 8 * 3 * 3 * 3 * 10 * 12
    assert any("1 products of two changing things have no sizes" in r for r in report.reasons)
    assert any("not looked into" in r for r in report.reasons)


def test_damaged_onnx_files_are_refused(tmp_path):
    whole = onnx_bytes(*MLP)
    rng, path = np.random.default_rng(0), tmp_path / "m.onnx"
    for _ in range(300):
        broken = bytearray(whole[: rng.integers(3, len(whole))] if rng.random() < 0.5 else whole)
        for at in rng.integers(0, len(broken), 3):
            broken[at] = rng.integers(0, 256)
        path.write_bytes(broken)
        with contextlib.suppress(ModelFileError):  # and nothing else, whatever the bytes
            read_onnx(path)


# --- RWKV-7 and transformers in every container ---


def test_an_rwkv_in_every_container_gives_the_same_count(tmp_path):
    tensors = small_tensors()
    save_file(blinkdl(tensors), tmp_path / "m.safetensors")
    write_pth(tmp_path / "m.pth", blinkdl(tensors))
    write_gguf(tmp_path / "m.gguf", tensors)
    for name in ("m.safetensors", "m.pth", "m.gguf"):
        found = of_file(tmp_path / name)
        assert found.at == {0: rwkv7_operations(SMALL)}, name
        assert found.verdict == "good fit"


def test_the_embedded_model_needs_no_weight_read():
    report = of_file(SHIPPED / "model.int8.safetensors")
    assert report.kind == "RWKV-7, 6 layers x 192"
    assert report.chips == 1


def llama_shapes() -> dict[str, tuple[int, int]]:
    s = LLAMA
    shapes = {"model.embed_tokens.weight": (s["vocab"], s["width"])}
    for i in range(s["layers"]):
        b = f"model.layers.{i}."
        shapes |= {b + f"self_attn.{m}_proj.weight": (s["width"], s["width"]) for m in "qo"}
        shapes |= {b + f"self_attn.{m}_proj.weight": (s["kv"], s["width"]) for m in "kv"}
        shapes |= {b + f"mlp.{m}_proj.weight": (s["ffn"], s["width"]) for m in ("gate", "up")}
        shapes[b + "mlp.down_proj.weight"] = (s["width"], s["ffn"])
    return shapes


LLAMA_MACS = 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 96) + 50 * 64


def test_a_llama_in_safetensors(tmp_path):
    save_file({n: np.zeros(s, np.float16) for n, s in llama_shapes().items()}, tmp_path / "m.safetensors")
    report = of_file(tmp_path / "m.safetensors")
    assert report.kind == "Llama-style transformer, 2 layers x 64"
    assert report.at[1024].stationary_macs == LLAMA_MACS
    assert report.at[1024].dynamic_macs == 2 * 2 * 64 * 1024
    assert any("heads of 32 assumed" in r for r in report.reasons)
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 4}))
    named = of_file(tmp_path / "m.safetensors")
    assert named.at[1024].stationary_macs == LLAMA_MACS
    assert not any("assumed" in r for r in named.reasons)


def gguf_header(shapes: dict[str, tuple[int, ...]], kind: int) -> bytes:
    """Version 3 with two metadata values; the data itself is left out, since nobody should read it."""
    text = lambda t: len(t).to_bytes(8, "little") + t.encode()  # noqa: E731
    out = b"GGUF" + (3).to_bytes(4, "little") + len(shapes).to_bytes(8, "little") + (2).to_bytes(8, "little")
    out += text("general.architecture") + (8).to_bytes(4, "little") + text("llama")
    out += text("llama.attention.head_count") + (4).to_bytes(4, "little") + (4).to_bytes(4, "little")
    for name, shape in shapes.items():
        out += text(name) + len(shape).to_bytes(4, "little")
        out += b"".join(d.to_bytes(8, "little") for d in reversed(shape)) + kind.to_bytes(4, "little") + bytes(8)
    return out


def test_a_llama_in_gguf_of_a_type_that_we_cannot_expand(tmp_path):
    renames = (("model.embed_tokens", "token_embd"), ("model.layers.", "blk."), ("self_attn.q_proj", "attn_q"),
               ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"), ("self_attn.o_proj", "attn_output"),
               ("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down"))  # fmt: skip
    shapes = {}
    for name, shape in llama_shapes().items():
        for old, new in renames:
            name = name.replace(old, new)
        shapes[name] = shape
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf_header(shapes, kind=12))  # Q4_K
    report = of_file(path)
    assert report.at[128].stationary_macs == LLAMA_MACS


def test_an_rwkv_of_mostly_state_is_no_good_fit():
    thin = ModelConfig(layers=2, width=64, heads=1, head_size=64, vocab=2, ffn=1, decay_rank=1, iclr_rank=1,
                       value_rank=1, gate_rank=1)  # fmt: skip
    assert of_network("thin", thin).verdict == "poor fit"


def test_two_side_by_side():
    rwkv, llama = of_known("0.1B"), of_known("smollm2-135m")
    assert rwkv.verdict == "good fit"
    assert llama.verdict == "good fit for short texts"
    assert [f"{o.dynamic_share:.0%}" for o in llama.at.values()] == ["3%", "21%", "68%", "89%"]
    assert "5% at 204" in llama.reasons[0]


@pytest.mark.parametrize("content", [b"", b"hello world, this is text", b"\x08\x08\x3a\xff\xff\xff\xff\x0f"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "m.bin"
    path.write_bytes(content)
    with pytest.raises(ModelFileError):
        of_file(path)


def test_an_unknown_network_says_what_is_known(tmp_path):
    save_file({"h.0.attn.c_attn.weight": np.zeros((4, 4), np.float32)}, tmp_path / "gpt2.safetensors")
    with pytest.raises(ModelFileError, match=r"Known are RWKV-7 and Llama-style"):
        of_file(tmp_path / "gpt2.safetensors")
