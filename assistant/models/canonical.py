"""From each kind of file's names and layouts to the canonical tensors of `backends.base`, and back.

Sources: BlinkDL's RWKV-LM `RWKV-v7/rwkv_v7_demo.py` and `rwkv/model.py` (0.8.32); fla's `models/rwkv7`
and `layers/rwkv7.py`; llama.cpp's converter (`Rwkv7Model`) and `gguf/constants.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from assistant.errors import ModelFileError
from backends.base import ModelConfig, Weights

Tensors = Mapping[str, np.ndarray]

MIX_ORDER = "rwkvag"  # rows of a fused token-shift mix: x_r, x_w, x_k, x_v, x_a, x_g
PREFIXES = ("_orig_mod.", "module.")  # left by torch.compile and DistributedDataParallel
LORA_FACTOR = re.compile(r"\.att\.[wavg][12]$")
UNUSED = re.compile(r"blocks\.0\.att\.v[012]$")  # layer 0 defines v_first; some files carry dummies

FLA_NAMES = [
    (r"^model\.embeddings\.", "emb."),
    (r"^lm_head\.", "head."),
    (r"^model\.norm\.", "ln_out."),
    (r"^model\.layers\.", "blocks."),
    (r"\.pre_norm\.", ".ln0."),
    (r"\.attn_norm\.", ".ln1."),
    (r"\.ffn_norm\.", ".ln2."),
    (r"\.attn\.g_norm\.", ".att.ln_x."),
    (r"\.attn\.([wavg])_lora\.lora\.0\.weight$", r".att.\g<1>1"),
    (r"\.attn\.([wavg])_lora\.lora\.2\.weight$", r".att.\g<1>2"),
    (r"\.attn\.([wav])_lora\.lora\.2\.bias$", r".att.\g<1>0"),
    (r"\.attn\.r_proj\.", ".att.receptance."),
    (r"\.attn\.k_proj\.", ".att.key."),
    (r"\.attn\.v_proj\.", ".att.value."),
    (r"\.attn\.o_proj\.", ".att.output."),
    (r"\.attn\.", ".att."),
]
GGUF_NAMES = [
    (r"^token_embd\.", "emb."),
    (r"^token_embd_norm\.", "blocks.0.ln0."),
    (r"^output_norm\.", "ln_out."),
    (r"^output\.", "head."),
    (r"^blk\.", "blocks."),
    (r"\.attn_norm\.", ".ln1."),
    (r"\.attn_norm_2\.", ".ln2."),
    (r"\.time_mix_ln\.", ".att.ln_x."),
    (r"\.time_mix_(receptance|key|value|output)\.", r".att.\1."),
    (r"\.time_mix_lerp_fused\.weight$", ".att.x_x"),
    (r"\.time_mix_([wav][012]|g[12]|k_k|k_a|r_k)\.weight$", r".att.\1"),
    (r"\.channel_mix_lerp_k\.weight$", ".ffn.x_k"),
    (r"\.channel_mix_(key|value)\.", r".ffn.\1."),
]


def from_blinkdl(tensors: Tensors, path: Path) -> dict[str, np.ndarray]:
    """BlinkDL's names; LoRA factors are [in, out] there; vectors are squeezed or [1, 1, D]."""
    named = {}
    for name, tensor in tensors.items():
        while prefix := next((p for p in PREFIXES if name.startswith(p)), None):
            name = name.removeprefix(prefix)
        named[name] = tensor.T if LORA_FACTOR.search(name) and tensor.ndim == 2 else tensor
    return _canonical(named, path)


def from_fla(tensors: Tensors, path: Path) -> dict[str, np.ndarray]:
    """The names of Hugging Face checkpoints (flash-linear-attention); matrices are [out, in] already."""
    return _canonical(_renamed(tensors, FLA_NAMES), path)


def from_gguf(tensors: Tensors, head_size: int, path: Path) -> dict[str, np.ndarray]:
    """llama.cpp's names; matrices are [out, in] already; r_k is flat: the head size is metadata."""
    return _canonical(_renamed(tensors, GGUF_NAMES), path, head_size)


def to_blinkdl(weights: Weights) -> dict[str, np.ndarray]:
    """Float32 tensors named and laid out as in BlinkDL's own files, for export."""
    out = {}
    for name, t in weights.items():
        leaf = name.rpartition(".")[2]
        if LORA_FACTOR.search(name):
            t = np.ascontiguousarray(t.T)
        elif leaf.startswith("x_") or leaf in ("w0", "a0", "v0", "k_k", "k_a"):
            t = t.reshape(1, 1, -1)
        out[name] = t
    return out


def naming_of(tensors: Tensors) -> str:
    """ "blinkdl", "fla" or "" for names that are neither."""
    if any(name.endswith("emb.weight") for name in tensors):
        return "blinkdl"
    return "fla" if "model.embeddings.weight" in tensors else ""


def _renamed(tensors: Tensors, rules: list[tuple[str, str]]) -> dict[str, np.ndarray]:
    named = {}
    for name, tensor in tensors.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        named[name] = tensor
    return named


def _canonical(named: Tensors, path: Path, head_size: int | None = None) -> dict[str, np.ndarray]:
    """Split fused mixes, squeeze vectors, shape r_k, drop layer 0's dummies; then check every shape."""
    out: dict[str, np.ndarray] = {}
    for name, tensor in named.items():
        if UNUSED.fullmatch(name):
            continue
        if not tensor.size or not tensor.ndim:
            raise _refusal(path, f"tensor {name!a} has the shape {list(tensor.shape)}")
        if name.endswith(".att.x_x"):
            if tensor.size % len(MIX_ORDER):
                raise _refusal(path, f"{name} {list(tensor.shape)} is not a stack of {len(MIX_ORDER)}")
            for letter, row in zip(MIX_ORDER, tensor.reshape(len(MIX_ORDER), -1), strict=True):
                out[name.removesuffix("x") + letter] = row
        elif name.endswith(".att.r_k"):
            out[name] = _heads(tensor, head_size, name, path)
        else:
            # Only leading ones: a matrix of one row must stay a matrix.
            vector = tensor.ndim > 2 or not (name.endswith(".weight") or LORA_FACTOR.search(name))
            out[name] = tensor.reshape(-1) if vector and tensor.size == max(tensor.shape) else tensor
    try:
        config = ModelConfig.from_shapes({name: tensor.shape for name, tensor in out.items()})
    except ValueError as error:  # BadWeights, or a layer number of a thousand digits
        raise _refusal(path, error, out) from error
    if extra := sorted(out.keys() - config.tensor_shapes().keys()):
        why = f"it has {len(extra)} tensors that RWKV-7 does not have: {', '.join(map(ascii, extra[:6]))}"
        raise _refusal(path, why, out)
    return out


def _heads(r_k: np.ndarray, head_size: int | None, name: str, path: Path) -> np.ndarray:
    """r_k as [H, N]; a squeezed one is one head, unless it is longer than any head is."""
    if head_size:
        if head_size < 1 or r_k.size % head_size:
            raise _refusal(path, f"{name} has {r_k.size} values, not whole heads of {head_size}")
        return r_k.reshape(-1, head_size)
    if r_k.ndim == 1 and r_k.size > 128:
        raise _refusal(path, f"{name} is flat, so the size of the {r_k.size} values' heads is unknown")
    return r_k.reshape(-1, r_k.shape[-1])


def _refusal(path: Path, why: object, tensors: Tensors | None = None) -> ModelFileError:
    names = tensors.keys() if tensors else ()
    hint = "RWKV-7 models are published as BlinkDL .pth, Hugging Face .safetensors (fla) or .gguf (rwkv7)"
    if any(".att.time_decay" in name or ".time_maa" in name for name in names):
        hint = "The tensor names are those of RWKV-4, 5 or 6; only RWKV-7 runs here"
    return ModelFileError("not an RWKV-7 model", where=path, why=why, hint=hint)
