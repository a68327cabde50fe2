"""Tokens per second of every engine on the synthetic 0.1B checkpoint, interleaved, beside the read bandwidth.

`make bench ARGS=tests/bench/test_decode.py` prints the table; BENCH_WRITE=1 also writes docs/performance.json, the
table in docs/performance.md and docs/roofline.svg. ROUNDS=n sets the number of rounds (default 5).
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest

from backends.base import BackendUnavailable, State
from backends.census import pass_bytes
from backends.processor import processor_name
from tests.bench.peers import LLAMA_BENCH, Checkpoints, llama_bytes, llama_tok_s
from tests.bench.report import write_report

pytestmark = pytest.mark.bench
ROUNDS = int(os.environ.get("ROUNDS", "5"))
DECODE_TOKENS, PROMPT_TOKENS = 48, 512
THREADS = (1, 2)
BATCHES = (2, 4, 8, 16)


class Run:
    """One engine at one setting: `measure()` gives tokens per second of one round."""

    def __init__(self, engine: str, what: str, threads: int, bytes_per_token: float, measure: Callable[[], float]):
        self.engine, self.what, self.threads, self.bytes_per_token = engine, what, threads, bytes_per_token
        self.measure, self.tok_s = measure, []

    def row(self) -> dict:
        median = statistics.median(self.tok_s)
        return {"engine": self.engine, "what": self.what, "threads": self.threads, "tok_s": median,
                "min": min(self.tok_s), "max": max(self.tok_s), "mb_per_token": self.bytes_per_token / 1e6,
                "gb_s": median * self.bytes_per_token / 1e9}  # fmt: skip


def test_decode_and_prefill(tmp_path_factory):
    files = Checkpoints(tmp_path_factory.mktemp("bench"))
    runs, notes, load_s = [], [], {}
    for name in ("cpu", "onnx"):
        if entry := {e.name: e for e in entry_points(group="assistant.backends")}.get(name):
            runs += ours(entry.load(), files, load_s, notes)
    runs += llama(files, notes) + rwkv_pip(files, notes)
    for _ in range(ROUNDS):
        for run in runs:
            run.tok_s.append(run.measure())
    rows = [run.row() for run in runs]
    for row in rows:
        print("{engine:24} {what:12} {threads} thr  {tok_s:7.0f} tok/s [{min:.0f}-{max:.0f}]  "
              "{mb_per_token:6.1f} MB  {gb_s:5.1f} GB/s".format(**row))  # fmt: skip
    machine = {"cpu": processor_name(), "cores": os.cpu_count(), "python": platform.python_version()}
    result = {"machine": machine, "rounds": ROUNDS, "rows": rows, "load_s": load_s, "notes": notes}
    print(json.dumps({"load_s": load_s, "notes": notes}, indent=1))
    if os.environ.get("BENCH_WRITE"):
        write_report(result, Path(__file__).parents[2] / "docs")
    assert all(row["tok_s"] > 0 for row in rows)


def ours(kind, files: Checkpoints, load_s: dict, notes: list[str]) -> list[Run]:
    """Decode, batches and prefill of one backend at its quantized precisions and bf16, and its read bandwidth."""
    runs = []
    for precision in [p for p in ("int8", "int4", "bf16") if p in kind.info.precisions]:
        try:
            weights = files.ours(precision)
            started = time.perf_counter()
            backend = kind(threads=max(THREADS))
            backend.load(weights)
            first = backend.decode(np.zeros(1, np.int32), [State(weights.config)])
            load_s[f"{kind.info.name} {precision}"] = time.perf_counter() - started
        except BackendUnavailable as error:
            notes.append(f"SKIPPED: {error}")
            return runs
        assert np.isfinite(first.logits).all()
        config, name = weights.config, f"{kind.info.name} {precision}"
        moved = pass_bytes(config, 1, 1, precision)
        for threads in THREADS:
            runs.append(Run(name, "decode", threads, moved, lambda b=backend, t=threads: decode(b, t, 1)))
            if hasattr(backend, "read_bandwidth"):
                size = int(moved)
                runs.append(Run("memory", f"read {size >> 20} MiB", threads, moved,
                                lambda b=backend, t=threads, n=size: b.read_bandwidth(n, t) / n))  # fmt: skip
        for batch in BATCHES if precision != "bf16" else ():
            bytes_each = pass_bytes(config, 1, batch, precision) / batch
            runs.append(Run(name, f"batch {batch}", max(THREADS), bytes_each,
                            lambda b=backend, n=batch: decode(b, max(THREADS), n)))  # fmt: skip
        if hasattr(backend, "skipped_rows") and precision != "bf16":
            sparse = kind(threads=max(THREADS))
            sparse.load(files.sparse(precision))
            runs.append(
                Run(f"{name} sparse", "decode", max(THREADS), moved, lambda b=sparse: decode(b, max(THREADS), 1))
            )
        runs.append(Run(name, f"prefill {PROMPT_TOKENS}", max(THREADS), pass_bytes(config, 64, 1, precision) / 64,
                        lambda b=backend: prefill(b)))  # fmt: skip
    return runs


def decode(backend, threads: int, batch: int) -> float:
    if hasattr(backend, "set_threads"):
        backend.set_threads(threads)
    config = backend.config
    states = [State(config) for _ in range(batch)]
    tokens = np.random.default_rng(0).integers(0, config.vocab, (DECODE_TOKENS, batch)).astype(np.int32)
    for row in tokens[:4]:
        backend.decode(row, states)
    times = []
    for row in tokens:
        started = time.perf_counter()
        backend.decode(row, states)
        times.append(time.perf_counter() - started)
    return batch / statistics.median(times)


def prefill(backend) -> float:
    if hasattr(backend, "set_threads"):
        backend.set_threads(max(THREADS))
    config = backend.config
    tokens = np.random.default_rng(0).integers(0, config.vocab, PROMPT_TOKENS).astype(np.int32)
    started = time.perf_counter()
    backend.prefill(tokens, State(config))
    return PROMPT_TOKENS / (time.perf_counter() - started)


def llama(files: Checkpoints, notes: list[str]) -> list[Run]:
    if not LLAMA_BENCH:
        notes.append("SKIPPED: llama.cpp: no llama-bench (set LLAMA_BENCH to the program; docs/performance.md)")
        return []
    runs = []
    for kind in ("Q8_0", "Q4_0"):
        path = files.gguf(kind)
        for threads in THREADS:
            runs.append(Run(f"llama.cpp {kind}", "decode", threads, llama_bytes(path),
                            lambda p=path, t=threads: llama_tok_s(p, t, decode=DECODE_TOKENS)))  # fmt: skip
        runs.append(Run(f"llama.cpp {kind}", f"prefill {PROMPT_TOKENS}", max(THREADS), llama_bytes(path) / 512,
                        lambda p=path: llama_tok_s(p, max(THREADS), prompt=PROMPT_TOKENS)))  # fmt: skip
    return runs


def rwkv_pip(files: Checkpoints, notes: list[str]) -> list[Run]:
    try:
        import torch
    except ImportError:
        notes.append("SKIPPED: the rwkv package: torch is not installed")
        return []
    os.environ |= {"RWKV_V7_ON": "1", "RWKV_JIT_ON": "0", "RWKV_CUDA_ON": "0"}
    from rwkv.model import RWKV

    model = RWKV(model=str(files.pth().with_suffix("")), strategy="cpu fp32")

    def measure(threads: int) -> float:
        torch.set_num_threads(threads)
        state, times = None, []
        for token in range(12):
            started = time.perf_counter()
            _, state = model.forward([token], state)
            times.append(time.perf_counter() - started)
        return 1 / statistics.median(times)

    moved = pass_bytes(files.config, 1, 1, "fp32")
    return [Run("rwkv pip fp32", "decode", t, moved, lambda t=t: measure(t)) for t in THREADS]
