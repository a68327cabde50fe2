"""The synthetic 0.1B checkpoint of the true shape in every peer's format, and what each peer needs to run it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

import numpy as np

from assistant.models.packed import load_packed, save_packed
from assistant.models.quantize import pack
from backends.base import ModelConfig, Weights
from tests.synthetic import RWKV7_0B1, synthetic_tensors, to_blinkdl
from tests.unit.models.files import write_gguf

LLAMA_BENCH = os.environ.get("LLAMA_BENCH") or shutil.which("llama-bench")
"""Built from llama-cpp-python's source package: see docs/performance.md."""


class Checkpoints:
    """Files are made on first use, in a folder that the caller owns."""

    def __init__(self, folder: Path, config: ModelConfig = RWKV7_0B1):
        self.folder, self.config = folder, config

    @lru_cache(maxsize=1)  # noqa: B019 (one per run)
    def tensors(self) -> dict[str, np.ndarray]:
        return synthetic_tensors(self.config, seed=7)

    def ours(self, precision: str) -> Weights:
        """Mapped from the store's own file, as a start of the daemon does."""
        path = self.folder / f"{precision}.safetensors"
        if not path.exists():
            save_packed(path, pack(Weights(self.tensors(), "fp32"), precision))
        return load_packed(path)

    def sparse(self, precision: str) -> Weights:
        """Channel-mix as sparse as a trained one's: five keys of eight never fire, of the rest a random half does."""
        tensors = {name: t.copy() if name.endswith("ffn.key.weight") else t for name, t in self.tensors().items()}
        for name in tensors:
            if name.endswith("ffn.key.weight"):
                tensors[name].reshape(-1, 8, self.config.width)[:, :5] = 0
        return pack(Weights(tensors, "fp32"), precision)

    def gguf(self, kind: str) -> Path:
        path = self.folder / f"{kind}.gguf"
        if not path.exists():
            tokens = [b"\0", *(b"%d " % i for i in range(1, self.config.vocab - 1))]
            write_gguf(path, self.tensors(), kind, tokens=tokens, runnable=True)
        return path

    def pth(self) -> Path:
        path = self.folder / "model.pth"
        if not path.exists():
            import torch

            torch.save({k: torch.from_numpy(v.copy()) for k, v in to_blinkdl(self.tensors()).items()}, path)
        return path


def llama_tok_s(path: Path, threads: int, *, prompt: int = 0, decode: int = 0) -> float:
    """One run of llama-bench: tokens per second of a prompt, or of decode. CPU only, weights repacked as it likes."""
    command = [
        LLAMA_BENCH,
        "-m",
        path,
        "-t",
        str(threads),
        "-p",
        str(prompt),
        "-n",
        str(decode),
        "-r",
        "1",
        "-o",
        "json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)[0]["avg_ts"]


def llama_bytes(path: Path) -> int:
    """Weights that one token reads: the file without its embedding, of which a row is read."""
    import gguf

    return sum(int(t.n_bytes) for t in gguf.GGUFReader(path).tensors if t.name != "token_embd.weight")
