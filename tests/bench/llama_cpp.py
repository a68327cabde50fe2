"""llama.cpp as the peer: canonical weights as GGUF, and tokens per second by its own `llama-bench`.

Set LLAMA_BENCH to the binary (`cmake -DGGML_NATIVE=ON`, target llama-bench); without it comparisons are skipped.
Names and order of the tensors: llama.cpp's convert_hf_to_gguf.py, class Rwkv7Model.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import gguf
import numpy as np

from backends.base import ModelConfig

RENAMED = {"receptance.weight": "receptance.weight", "key.weight": "key.weight", "value.weight": "value.weight",
           "output.weight": "output.weight", "ln_x.weight": "ln.weight", "ln_x.bias": "ln.bias"}  # fmt: skip
BITS = {"int8": gguf.GGMLQuantizationType.Q8_0, "int4": gguf.GGMLQuantizationType.Q4_0}


def binary() -> Path | None:
    path = Path(os.environ.get("LLAMA_BENCH", ""))
    return path if path.is_file() else None


def name_of(name: str) -> str:
    fixed = {"emb.weight": "token_embd.weight", "head.weight": "output.weight", "ln_out.weight": "output_norm.weight",
             "ln_out.bias": "output_norm.bias"}  # fmt: skip
    if name in fixed:
        return fixed[name]
    _, block, part, *rest = name.split(".")
    leaf = ".".join(rest)
    if part == "ln0":
        return f"token_embd_norm.{leaf}"
    if part in ("ln1", "ln2"):
        return f"blk.{block}.attn_norm{'_2' if part == 'ln2' else ''}.{leaf}"
    if part == "ffn":
        return f"blk.{block}.channel_mix_{'lerp_k.weight' if leaf == 'x_k' else leaf}"
    return f"blk.{block}.time_mix_{RENAMED.get(leaf, leaf + '.weight')}"


def write_gguf(path: Path, config: ModelConfig, tensors: dict[str, np.ndarray], precision: str) -> None:
    """`precision`: int8 (Q8_0) or int4 (Q4_0) for every large matrix, the head too; the LoRA pairs float16."""
    writer = gguf.GGUFWriter(str(path), "rwkv7")
    writer.add_context_length(1 << 20)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.ffn)
    writer.add_layer_norm_eps(1e-5)
    writer.add_wkv_head_size(config.head_size)
    writer.add_decay_lora_rank(config.decay_rank)
    writer.add_iclr_lora_rank(config.iclr_rank)
    writer.add_value_residual_mix_lora_rank(config.value_rank)
    writer.add_gate_lora_rank(config.gate_rank)
    writer.add_head_count(0)
    writer.add_tokenizer_model("rwkv")
    writer.add_token_list([b"<s>", *(f"[{i}]".encode() for i in range(1, config.vocab))])
    writer.add_token_types([gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * (config.vocab - 1))
    for token in ("bos", "eos", "unk"):
        getattr(writer, f"add_{token}_token_id")(0)

    named = {name_of(n): t for n, t in tensors.items() if ".x_" not in n or ".ffn." in n}
    for i in range(config.layers):
        mixes = [tensors[f"blocks.{i}.att.x_{c}"].reshape(1, 1, -1) for c in "rwkvag"]
        named[f"blk.{i}.time_mix_lerp_fused.weight"] = np.stack(mixes)
    for part in "012":  # llama.cpp wants a value residual in layer 0 as well, and does not use it
        named[f"blk.0.time_mix_v{part}.weight"] = named[f"blk.0.time_mix_a{part}.weight"]
    for name, tensor in named.items():
        kind = gguf.GGMLQuantizationType.F32
        if name.endswith("r_k.weight"):
            tensor = tensor.reshape(-1)
        elif tensor.ndim == 2:
            lora = name.split("time_mix_")[-1][:2] in {a + b for a in "wavg" for b in "12"}
            kind = gguf.GGMLQuantizationType.F16 if lora else BITS[precision]
        data = gguf.quants.quantize(np.ascontiguousarray(tensor, np.float32), kind)
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tokens_per_second(path: Path, threads: int, prompt: int = 0, generate: int = 0) -> float:
    """Of a prompt, or of tokens one by one."""
    command = [binary(), "-m", path, "-t", threads, "-p", prompt, "-n", generate, "-r", 3, "-o", "json"]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True)
    (result,) = json.loads(done.stdout)
    return result["avg_ts"]
