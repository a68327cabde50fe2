"""What a model file is made of, from its header alone: kind of network and shapes, with no weight read or computed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from assistant.errors import ModelFileError
from assistant.models import canonical
from assistant.models.gguf_file import MAGIC as GGUF_MAGIC
from assistant.models.gguf_file import read_gguf_shapes
from assistant.models.mapped import map_file
from assistant.models.onnx_file import OnnxGraph, looks_like_onnx, read_onnx
from assistant.models.packed import is_packed, unpack
from assistant.models.pth import LEGACY_MAGICS, ZIP_MAGIC, read_pth
from assistant.models.safetensors_file import MAX_HEADER_BYTES, read_safetensors
from backends.base import ModelConfig

Shapes = Mapping[str, tuple[int, ...]]
HF_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.self_attn\.q_proj\.weight$")
GGUF_LAYER = re.compile(r"^blk\.(\d+)\.attn_q\.weight$")


class DecoderShape(NamedTuple):
    """A Llama-style decoder. heads is None where the file does not tell."""

    layers: int
    width: int
    query_width: int
    kv_width: int
    heads: int | None
    ffn: int
    vocab: int


class Found(NamedTuple):
    """format: pth, safetensors, gguf or onnx; network: what it holds."""

    format: str
    network: ModelConfig | DecoderShape | OnnxGraph


def inspect(path: Path) -> Found:
    """Raises ModelFileError if the file cannot be read, or its network is of no known kind."""
    head = map_file(path)[:16].tobytes()
    if head.startswith(GGUF_MAGIC):
        metadata, shapes = read_gguf_shapes(path)
        return Found("gguf", _from_gguf(metadata, shapes, path))
    if head.startswith((ZIP_MAGIC, *LEGACY_MAGICS)):
        return Found("pth", _from_names(read_pth(path), path))
    if int.from_bytes(head[:8], "little") <= MAX_HEADER_BYTES and head[8:9] == b"{":
        file = read_safetensors(path)
        network = unpack(file, path).config if is_packed(file) else _from_names(file.tensors, path)
        return Found("safetensors", network)
    if looks_like_onnx(head):
        return Found("onnx", read_onnx(path))
    raise ModelFileError("not a model file", where=path, why=f"it starts with {head[:8]!r}",
                         hint="Supported: BlinkDL .pth, .safetensors, .gguf, .onnx")  # fmt: skip


def _from_names(tensors: Mapping, path: Path) -> ModelConfig | DecoderShape:
    shapes = {name: tuple(t.shape) for name, t in tensors.items()}
    if layers := {int(m[1]) for name in shapes if (m := HF_LAYER.search(name))}:
        prefix = next(n for n in shapes if HF_LAYER.search(n)).split("layers.")[0]
        b = f"{prefix}layers.0."
        return _decoder(
            shapes, path, len(layers), embedding=prefix + "embed_tokens.weight", query=b + "self_attn.q_proj.weight",
            key=b + "self_attn.k_proj.weight", up=b + "mlp.up_proj.weight", heads=_heads_beside(path),
        )  # fmt: skip
    convert = canonical.from_fla if canonical.naming_of(tensors) == "fla" else canonical.from_blinkdl
    try:
        return ModelConfig.from_shapes({name: t.shape for name, t in convert(tensors, path).items()})
    except ModelFileError as error:
        raise ModelFileError(
            "no network of a known kind", where=path, why=error.why,
            hint="Known are RWKV-7 and Llama-style decoders (self_attn.q_proj ...); for others give an .onnx export",
        ) from error  # fmt: skip


def _decoder(shapes: Shapes, path: Path, layers: int, *, embedding: str, query: str, key: str, up: str,
             heads: int | None) -> DecoderShape:  # fmt: skip
    for name in (embedding, query, key, up):
        if len(shapes.get(name, ())) != 2:
            raise ModelFileError("not a complete Llama-style model", where=path, why=f"tensor {name!a} is missing",
                                 hint="Of a model in several files, join them first")  # fmt: skip
    (vocab, width), q, kv, ffn = shapes[embedding], shapes[query][0], shapes[key][0], shapes[up][0]
    return DecoderShape(layers, width, q, kv, heads, ffn, vocab)


def _heads_beside(path: Path) -> int | None:
    """Hugging Face keeps the number of heads in a config.json beside the weights."""
    try:
        heads = json.loads((Path(path).parent / "config.json").read_text("utf-8"))["num_attention_heads"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return heads if type(heads) is int and heads > 0 else None


def _from_gguf(metadata: Mapping, shapes: Shapes, path: Path) -> ModelConfig | DecoderShape:
    architecture = metadata.get("general.architecture", b"?")
    name = architecture.decode("ascii", "replace") if isinstance(architecture, bytes) else "?"
    if name == "rwkv7":
        return _rwkv7_gguf(metadata, shapes, path)
    if layers := {int(m[1]) for n in shapes if (m := GGUF_LAYER.match(n))}:
        heads = metadata.get(f"{name}.attention.head_count")
        return _decoder(shapes, path, len(layers), embedding="token_embd.weight", query="blk.0.attn_q.weight",
                        key="blk.0.attn_k.weight", up="blk.0.ffn_up.weight",
                        heads=heads if type(heads) is int and heads > 0 else None)  # fmt: skip
    raise ModelFileError("no network of a known kind", where=path, why=f"its architecture is {name!a}",
                         hint="Known are rwkv7 and decoders with attn_q, attn_k, ffn_up tensors")  # fmt: skip


def _rwkv7_gguf(metadata: Mapping, shapes: Shapes, path: Path) -> ModelConfig:
    layers = {int(m[1]) for n in shapes if (m := re.match(r"blk\.(\d+)\.", n))}
    rank = lambda c, layer=0: min(shapes[f"blk.{layer}.time_mix_{c}1.weight"])  # noqa: E731
    try:
        vocab, width = shapes["token_embd.weight"]
        head = int(metadata["rwkv7.wkv.head_size"])
        return ModelConfig(
            layers=len(layers), width=width, heads=width // head, head_size=head, vocab=vocab,
            ffn=max(shapes["blk.0.channel_mix_key.weight"]), decay_rank=rank("w"), iclr_rank=rank("a"),
            gate_rank=rank("g"), value_rank=rank("v", 1) if len(layers) > 1 else 0,
        )  # fmt: skip
    except (KeyError, ValueError, TypeError, ZeroDivisionError) as error:
        raise ModelFileError("not a complete RWKV-7 model", where=path, why=f"missing or odd: {error}") from error
