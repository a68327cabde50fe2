"""The 1.5B shape (24 x 2048) in int4 on the native backend: memory, load time and tokens per second."""

from __future__ import annotations

import re
import statistics
import time
from pathlib import Path

import numpy as np
import pytest

from assistant.models.packed import load_packed, save_packed
from backends.base import ModelConfig, State, Weights
from backends.census import pass_bytes
from backends.cpu import CpuBackend
from backends.precisions import format_of
from backends.tensors import GROUP, Int4Matrix, QuantizedMatrix

pytestmark = pytest.mark.bench
RWKV7_1B5 = ModelConfig(layers=24, width=2048, heads=32, head_size=64, vocab=65536, ffn=8192,
                        decay_rank=96, iclr_rank=96, value_rank=64, gate_rank=256)  # fmt: skip


def random_weights(config: ModelConfig) -> Weights:
    """Stored int4 drawn at random: quantizing 1.5 billion drawn floats would take minutes."""
    rng, tensors = np.random.default_rng(0), {}
    for name, shape in config.tensor_shapes().items():
        form = format_of(name, shape, "int4")
        if form == "int4":
            scale = np.full((shape[0], shape[1] // GROUP), 0.25 * shape[1] ** -0.5, np.float16)
            tensors[name] = Int4Matrix(rng.integers(0, 256, (shape[0], shape[1] // 2), np.uint8), scale)
        elif form == "int8":
            q = rng.integers(-127, 128, shape, np.int8)
            tensors[name] = QuantizedMatrix(q, np.full(shape[0], 0.014 * shape[1] ** -0.5, np.float32))
        else:
            tensors[name] = np.full(shape, 1.0 if "ln" in name and name.endswith("weight") else 0.1, np.float32)
    return Weights(tensors, "int4")


def test_one_and_a_half_billion(tmp_path):
    path = tmp_path / "large.safetensors"
    save_packed(path, random_weights(RWKV7_1B5))
    weights = load_packed(path)
    started = time.perf_counter()
    backend = CpuBackend(threads=2)
    backend.load(weights)
    load_s = time.perf_counter() - started
    state, token, times = State(RWKV7_1B5), np.zeros(1, np.int32), []
    for _ in range(24):
        started = time.perf_counter()
        logits = backend.decode(token, [state]).logits
        times.append(time.perf_counter() - started)
    assert np.isfinite(logits).all()
    moved = pass_bytes(RWKV7_1B5, 1, 1, "int4")
    anonymous = int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[1]) << 10
    token_s = statistics.median(times)
    print(f"1.5B int4: {weights.nbytes / 1e9:.2f} GB stored, {anonymous / 1e9:.2f} GB of memory, load {load_s:.1f} s")
    print(f"{1 / token_s:.1f} tok/s, {moved / token_s / 1e9:.1f} GB/s of {backend.read_bandwidth(moved, 2) / 1e9:.1f}")
    assert weights.nbytes < 1.6e9
