"""Small model files of every kind, made without the code under test and without torch."""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np

from backends.base import ModelConfig, State, Weights
from backends.reference import ReferenceBackend
from tests.synthetic import synthetic_tensors, to_blinkdl

SMALL = ModelConfig(layers=2, width=64, heads=4, head_size=16, vocab=257, ffn=96,
                    decay_rank=8, iclr_rank=4, value_rank=6, gate_rank=12)  # fmt: skip
KINDS = {"float32": "FloatStorage", "float16": "HalfStorage", "bfloat16": "BFloat16Storage"}
BF16 = np.dtype(ml_dtypes.bfloat16)
TOKENS = np.array([0, 72, 101, 108, 108, 111, 33, 250, 1, 99], np.int32)


def small_tensors(dtype=np.float32, config: ModelConfig = SMALL) -> dict[str, np.ndarray]:
    """Canonical tensors whose values the dtype holds exactly."""
    return {name: t.astype(dtype) for name, t in synthetic_tensors(config, seed=7).items()}


def logits(weights: Weights) -> np.ndarray:
    """f32[T, V] of the reference for a fixed prompt."""
    backend, state = ReferenceBackend(), State(weights.config)
    backend.load(weights)
    return np.stack([backend.decode(TOKENS[i : i + 1], [state]).logits[0] for i in range(len(TOKENS))])


# --- .pth ---


def text(value: str) -> bytes:
    return pickle.BINUNICODE + len(value.encode()).to_bytes(4, "little") + value.encode()


def number(value: int) -> bytes:
    return pickle.BININT + value.to_bytes(4, "little", signed=True)


def numbers(values) -> bytes:
    return pickle.MARK + b"".join(map(number, values)) + pickle.TUPLE


def tensor_pickle(key: str, kind: str, numel: int, shape, stride, offset: int = 0) -> bytes:
    """What torch.save writes for one tensor."""
    storage = pickle.MARK + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text(key) + text("cpu")
    storage += number(numel) + pickle.TUPLE + pickle.BINPERSID
    hooks = b"ccollections\nOrderedDict\n" + pickle.EMPTY_TUPLE + pickle.REDUCE
    arguments = storage + number(offset) + numbers(shape) + numbers(stride) + pickle.NEWFALSE + hooks
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + pickle.MARK + arguments + pickle.TUPLE + pickle.REDUCE


def dictionary(items: dict[str, bytes]) -> bytes:
    pairs = b"".join(text(name) + value for name, value in items.items())
    return pickle.EMPTY_DICT + pickle.MARK + pairs + pickle.SETITEMS


def state_dict_pickle(tensors: dict[str, np.ndarray], wrapper: str | None = None) -> bytes:
    items = {}
    for number_, (name, t) in enumerate(tensors.items()):
        stride = [s // t.itemsize for s in t.strides]
        items[name] = tensor_pickle(str(number_), KINDS[t.dtype.name], t.size, t.shape, stride)
    body = dictionary(items)
    return b"\x80\x02" + (dictionary({wrapper: body}) if wrapper else body) + pickle.STOP


def write_pth(
    path: Path, tensors: dict[str, np.ndarray], *, pickled: bytes | None = None, wrapper: str | None = None,
    compression: int = zipfile.ZIP_STORED,
) -> Path:  # fmt: skip
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("m/data.pkl", state_dict_pickle(tensors, wrapper) if pickled is None else pickled)
        archive.writestr("m/byteorder", "little")
        for number_, t in enumerate(tensors.values()):
            archive.writestr(f"m/data/{number_}", t.tobytes())
        archive.writestr("m/version", "3\n")
    return path


# --- fla and GGUF, from BlinkDL's names as their converters do ---


def to_fla(canonical: dict[str, np.ndarray], fused: bool = False) -> dict[str, np.ndarray]:
    """The Hugging Face names of flash-linear-attention's RWKV-7."""
    z, out = canonical, {}
    out["model.embeddings.weight"], out["lm_head.weight"] = z["emb.weight"], z["head.weight"]
    layers = 1 + max(int(n.split(".")[1]) for n in z if n.startswith("blocks."))
    for kind in ("weight", "bias"):
        out[f"model.norm.{kind}"] = z[f"ln_out.{kind}"]
        out[f"model.layers.0.pre_norm.{kind}"] = z[f"blocks.0.ln0.{kind}"]
    for i in range(layers):
        b, m = f"blocks.{i}.", f"model.layers.{i}."
        for kind in ("weight", "bias"):
            out[m + f"attn_norm.{kind}"] = z[b + f"ln1.{kind}"]
            out[m + f"ffn_norm.{kind}"] = z[b + f"ln2.{kind}"]
            out[m + f"attn.g_norm.{kind}"] = z[b + f"att.ln_x.{kind}"]
        if fused:
            out[m + "attn.x_x"] = np.stack([z[b + f"att.x_{c}"] for c in "rwkvag"])
        else:
            for c in "rwkvag":
                out[m + f"attn.x_{c}"] = z[b + f"att.x_{c}"].reshape(1, 1, -1)
        for c in "wavg":
            if c == "v" and i == 0:
                continue
            out[m + f"attn.{c}_lora.lora.0.weight"] = z[b + f"att.{c}1"]
            out[m + f"attn.{c}_lora.lora.2.weight"] = z[b + f"att.{c}2"]
            if c != "g":
                out[m + f"attn.{c}_lora.lora.2.bias"] = z[b + f"att.{c}0"]
        for leaf in ("k_k", "k_a", "r_k"):
            out[m + f"attn.{leaf}"] = z[b + f"att.{leaf}"]
        for theirs, ours in (("r", "receptance"), ("k", "key"), ("v", "value"), ("o", "output")):
            out[m + f"attn.{theirs}_proj.weight"] = z[b + f"att.{ours}.weight"]
        for leaf in ("key.weight", "value.weight", "x_k"):
            out[m + f"ffn.{leaf}"] = z[b + f"ffn.{leaf}"]
    return out


def _describe(writer, canonical: dict[str, np.ndarray]) -> None:
    """The keys of llama.cpp's `Rwkv7Model` converter."""
    writer.add_context_length(1 << 20)
    writer.add_embedding_length(canonical["ln_out.weight"].size)
    writer.add_feed_forward_length(len(canonical["blocks.0.ffn.key.weight"]))
    writer.add_layer_norm_eps(1e-5)
    writer.add_head_count(0)
    ranks = (("decay", "w"), ("iclr", "a"), ("value_residual_mix", "v"), ("gate", "g"))
    for name, letter in ranks:
        getattr(writer, f"add_{name}_lora_rank")(len(canonical[f"blocks.1.att.{letter}1"]))
    for name in ("bos", "eos", "unk"):
        getattr(writer, f"add_{name}_token_id")(0)


def write_gguf(path: Path, canonical: dict[str, np.ndarray], matrix_type: str = "F32",
               tokens: list[bytes] | None = None, arch: str = "rwkv7", runnable: bool = False) -> Path:  # fmt: skip
    """As llama.cpp's converter names them, with layer 0's dummy v tensors, written by the gguf package.

    runnable: with all metadata that llama.cpp asks for, and the LoRA pairs as float16, as its quantizer leaves them.
    """
    import gguf

    head_size = canonical["blocks.0.att.r_k"].shape[1]
    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(1 + max(int(n.split(".")[1]) for n in canonical if n.startswith("blocks.")))
    writer.add_wkv_head_size(head_size)
    if runnable:
        _describe(writer, canonical)
    if tokens:
        writer.add_tokenizer_model("rwkv")
        writer.add_token_list([b"<s>", *(repr(t)[2:-1].encode() for t in tokens[1:]), b"[PAD]"])
        writer.add_token_types([3] + [1] * (len(tokens) - 1) + [5])
    named = {}
    for name, t in canonical.items():
        part = name.split(".")
        leaf = part[-1]
        if part[0] in ("emb", "head", "ln_out"):
            named[{"emb": "token_embd", "head": "output", "ln_out": "output_norm"}[part[0]] + "." + leaf] = t
            continue
        prefix = f"blk.{part[1]}."
        if part[2] == "ln0":
            named["token_embd_norm." + leaf] = t
        elif part[2] in ("ln1", "ln2"):
            named[prefix + {"ln1": "attn_norm.", "ln2": "attn_norm_2."}[part[2]] + leaf] = t
        elif part[2] == "ffn":
            named[prefix + "channel_mix_" + ("lerp_k" if leaf == "x_k" else part[3]) + ".weight"] = t
        elif part[3] == "ln_x":
            named[prefix + "time_mix_ln." + leaf] = t
        elif len(part) == 5:
            named[prefix + f"time_mix_{part[3]}.weight"] = t
        elif not leaf.startswith("x_"):
            named[prefix + f"time_mix_{leaf}.weight"] = t.reshape(-1) if leaf == "r_k" else t
            if part[1] == "0" and leaf[0] == "a":
                named[prefix + f"time_mix_v{leaf[1]}.weight"] = t
        elif leaf == "x_r":
            stack = [canonical[name[:-1] + c].reshape(1, 1, -1) for c in "rwkvag"]
            named[prefix + "time_mix_lerp_fused.weight"] = np.stack(stack)
    kind = gguf.GGMLQuantizationType[matrix_type]
    for name, t in named.items():
        wide = t.astype(np.float32)
        if runnable and t.ndim == 2 and re.search(r"time_mix_[wavg][12]\.", name):
            writer.add_tensor(name, wide.astype(np.float16))
        elif t.ndim == 2 and t.shape[1] % 32 == 0 and matrix_type != "F32":
            writer.add_tensor(name, gguf.quants.quantize(wide, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, wide)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def blinkdl(canonical: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {n: np.ascontiguousarray(t) for n, t in to_blinkdl(canonical).items()}
