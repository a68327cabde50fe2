"""From a checkpoint to BlinkDL's `.pth` in float32 and bfloat16, GGUF, the vocabulary and the numbers of the run."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from assistant.training.documents import load_rows
from assistant.training.gguf_export import write_gguf
from assistant.training.model import from_weights
from assistant.training.plot import write_loss_plot
from assistant.training.trainer import CHECKPOINT_FILE, held_out_loss

PARITY_TOKENS = 48


def blinkdl_weights(weights: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """The tensors in the order and layouts of BlinkDL's files, which are those of our own state dict."""
    return {name: tensor.to(dtype).contiguous().clone() for name, tensor in weights.items()}


def load_pth(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.pth` file, nothing else unpickled."""
    return torch.load(path, map_location="cpu", weights_only=True)


def tokens_seen(data: Path, history: list[dict]) -> int:
    """How many tokens the steps read, padding not counted."""
    tokens = load_rows(data, "train").tokens
    sample = tokens[:: max(1, len(tokens) // 2000)]
    filled = np.count_nonzero(sample) / sample.size
    return int(history[-1]["tokens"] * filled) if history else 0


def metrics_of(run: Path, data: Path, weights: dict[str, Tensor], checkpoint: dict) -> dict:
    """What a reader needs to judge the model: size, data, time and held-out loss."""
    summary = json.loads((data / "data.json").read_text())
    history = checkpoint["history"]
    loss, count = held_out_loss(from_weights(weights), load_rows(data, "held_out"))
    return {
        "parameters": sum(tensor.numel() for tensor in weights.values()),
        "vocabulary": summary["vocabulary"],
        "tokens_seen": tokens_seen(data, history),
        "unique_tokens": summary["tokens"],
        "tokens_by_source": summary["tokens_by_source"],
        "wall_hours": round(checkpoint["seconds"] / 3600, 3),
        "held_out_assistant_tokens": count,
        "held_out_loss": round(loss, 4),
        "held_out_perplexity": round(math.exp(loss), 4),
        "steps": checkpoint["step"],
        "decay_steps": checkpoint["step"] - (checkpoint["decay_from"] or checkpoint["step"]),
        "mean_of": checkpoint.get("mean_of", []),
        "data_began": checkpoint["data_began"],
        "seed": checkpoint["seed"],
        "sources": summary["sources"],
        "loss_curve": history,
    }


def write_metrics(out: Path, metrics: dict) -> dict:
    """Write all of `metrics.json` and, as `numbers.json`, its plain numbers under flat names; return the latter."""
    (out / "metrics.json").write_text(json.dumps(metrics, indent=1))
    numbers = {}
    for key, value in metrics.items():
        parts = {f"{key}.{name}": part for name, part in value.items()} if isinstance(value, dict) else {key: value}
        numbers |= {name: part for name, part in parts.items() if isinstance(part, int | float | str)}
    (out / "numbers.json").write_text(json.dumps(numbers, indent=1))
    return numbers


def export(run: Path, data: Path, out: Path) -> dict:
    """Write `model.pth`, `model.bf16.pth`, `model.gguf`, `vocab.txt`, `loss.svg`, metrics; return those in short."""
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = torch.load(run / CHECKPOINT_FILE, weights_only=True)
    weights = checkpoint["weights"]
    torch.save(blinkdl_weights(weights, torch.float32), out / "model.pth")
    torch.save(blinkdl_weights(weights, torch.bfloat16), out / "model.bf16.pth")
    shutil.copyfile(data / "vocab.txt", out / "vocab.txt")
    plain = {name: tensor.numpy() for name, tensor in blinkdl_weights(weights, torch.float32).items()}
    write_gguf(plain, out / "vocab.txt", out / "model.gguf")
    write_loss_plot(checkpoint["history"], out / "loss.svg")
    metrics = metrics_of(run, data, weights, checkpoint)
    metrics["parity_with_rwkv_package"] = difference_from_rwkv_package(
        out / "model.pth", load_rows(data, "held_out").tokens[0]
    )
    return write_metrics(out, metrics)


def difference_from_rwkv_package(path: Path, tokens: np.ndarray) -> float:
    """The largest difference of our logits to those of the `rwkv` package in float32, on the first tokens of a row."""
    import os

    os.environ |= {"RWKV_V7_ON": "1", "RWKV_JIT_ON": "0", "RWKV_CUDA_ON": "0"}  # read when the package is imported
    from rwkv.model import RWKV

    ids = [int(token) for token in tokens[:PARITY_TOKENS]]
    theirs, _ = RWKV(str(path.with_suffix("")), strategy="cpu fp32").forward(ids, None, full_output=True)
    with torch.no_grad():
        ours = from_weights(load_pth(path))(torch.tensor([ids]))[0]
    return float((ours - theirs.float()).abs().max())
