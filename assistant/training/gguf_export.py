"""A GGUF file that llama.cpp loads: architecture `rwkv7`, float16 matrices, the vocabulary as tokenizer model `rwkv`.

Names, layouts and metadata follow llama.cpp's converter (`Rwkv7Model` of `convert_hf_to_gguf.py`).
"""

from pathlib import Path

import numpy as np

from assistant.training.vocabulary import read_vocabulary

CONTEXT_LENGTH = 1 << 20  # a recurrent model has no limit of its own; llama.cpp wants a number
MIXES = "rwkvag"  # the order of llama.cpp's fused token shift
ATTENTION = {"receptance": "receptance", "key": "key", "value": "value", "output": "output", "ln_x": "ln"}
NORMS = {"ln1": "attn_norm", "ln2": "attn_norm_2"}


def _name(name: str) -> str:
    """llama.cpp's name of a BlinkDL tensor; the token-shift mixes are fused and have none of their own."""
    whole = {"emb.weight": "token_embd.weight", "head.weight": "output.weight"}
    if name in whole:
        return whole[name]
    if name.startswith("ln_out."):
        return name.replace("ln_out", "output_norm")
    _, layer, part, rest = name.split(".", 3)
    if part == "ln0":
        return f"token_embd_norm.{rest}"
    if part in NORMS:
        return f"blk.{layer}.{NORMS[part]}.{rest}"
    leaf, _, kind = rest.partition(".")
    if part == "ffn":
        return f"blk.{layer}.channel_mix_{'lerp_k' if leaf == 'x_k' else leaf}.weight"
    return (
        f"blk.{layer}.time_mix_{ATTENTION[leaf]}.{kind}" if leaf in ATTENTION else f"blk.{layer}.time_mix_{leaf}.weight"
    )


def gguf_tensors(weights: dict[str, np.ndarray], layers: int) -> dict[str, np.ndarray]:
    """BlinkDL tensors (float32, LoRA factors [in, out]) under llama.cpp's names and layouts."""
    tensors: dict[str, np.ndarray] = {}
    for name, value in weights.items():
        leaf = name.split(".")[-1]
        if ".att.x_" in name:
            continue
        turned = value.T if ".att." in name and leaf[:1] in "wavg" and leaf[1:] in ("1", "2") else value
        if leaf == "r_k":
            turned = turned.reshape(-1)
        tensors[_name(name)] = np.ascontiguousarray(turned.squeeze())
    # llama.cpp asks layer 0 for a value-residual pair as well and never uses it.
    for suffix in ("0", "1", "2"):
        tensors[f"blk.0.time_mix_v{suffix}.weight"] = tensors[f"blk.0.time_mix_a{suffix}.weight"]
    for layer in range(layers):
        rows = [weights[f"blocks.{layer}.att.x_{mix}"].reshape(1, 1, -1) for mix in MIXES]
        tensors[f"blk.{layer}.time_mix_lerp_fused.weight"] = np.stack(rows)
    return tensors


def _is_wide(name: str, tensor: np.ndarray) -> bool:
    small = ("time_mix_w", "time_mix_a", "time_mix_v0", "time_mix_v1", "time_mix_v2", "time_mix_g")
    return tensor.ndim == 2 and not any(part in name for part in small)


def write_gguf(weights: dict[str, np.ndarray], vocabulary: Path, out: Path, name: str = "embedded") -> None:
    """Write `out`. The vocabulary is padded with unused tokens up to the model's rows."""
    import gguf

    rows, width = weights["emb.weight"].shape
    layers = 1 + max(int(key.split(".")[1]) for key in weights if key.startswith("blocks."))
    writer = gguf.GGUFWriter(out, "rwkv7")
    writer.add_name(name)
    writer.add_context_length(CONTEXT_LENGTH)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(weights["blocks.0.ffn.key.weight"].shape[0])
    writer.add_head_count(0)
    writer.add_layer_norm_eps(1e-5)
    writer.add_wkv_head_size(weights["blocks.0.att.r_k"].shape[-1])
    last = f"blocks.{layers - 1}.att."
    writer.add_decay_lora_rank(weights[last + "w1"].shape[1])
    writer.add_iclr_lora_rank(weights[last + "a1"].shape[1])
    writer.add_value_residual_mix_lora_rank(weights[last + "v1"].shape[1])
    writer.add_gate_lora_rank(weights[last + "g1"].shape[1])
    tokens, kinds = [b"<s>"], [gguf.TokenType.CONTROL]
    for _, data in sorted(read_vocabulary(vocabulary).items()):
        tokens.append(repr(data)[2:-1].encode())  # escaped as the converter does it
        kinds.append(gguf.TokenType.NORMAL)
    tokens += [f"[PAD{index}]".encode() for index in range(len(tokens), rows)]
    kinds += [gguf.TokenType.UNUSED] * (rows - len(kinds))
    writer.add_tokenizer_model("rwkv")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    for add in (writer.add_bos_token_id, writer.add_eos_token_id, writer.add_unk_token_id):
        add(0)
    for key, tensor in gguf_tensors(weights, layers).items():
        writer.add_tensor(key, tensor.astype(np.float16 if _is_wide(key, tensor) else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
