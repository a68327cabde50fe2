"""ONNX Runtime on the synthetic 0.1B: decode, batch, prefill, start from the cache, memory, and where the time goes."""

from __future__ import annotations

import collections
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from assistant.models.packed import save_packed
from assistant.models.quantize import pack
from backends.base import State
from backends.onnx import OnnxBackend
from backends.onnx.export import export
from tests.bench.peers import LLAMA_BENCH, Checkpoints, llama_tok_s
from tests.synthetic import RWKV7_0B1, synthetic_weights

ROUNDS, TOKENS = 7, 24
PRECISIONS = ["fp32", "int8", "int4"]
START = """
import sys, time
from pathlib import Path
from assistant.models.packed import load_packed
from backends.base import State
from backends.onnx import OnnxBackend
import numpy as np
started = time.perf_counter()
weights = load_packed(Path(sys.argv[1]))
backend = OnnxBackend(cache_dir=Path(sys.argv[2]))
backend.load(weights)
ready_s = time.perf_counter() - started
backend.decode(np.array([1]), [State(weights.config)])
pages = dict(line.split(":") for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
print(ready_s, backend.threads, *(int(pages[k].split()[0]) / 1024 for k in ("Anonymous", "Rss")), "onnx" in sys.modules)
"""

pytestmark = pytest.mark.bench


@pytest.fixture(scope="module")
def weights():
    full = synthetic_weights(RWKV7_0B1, seed=1)
    return {precision: pack(full, precision) for precision in PRECISIONS}


def decode_tok_s(backend: OnnxBackend, batch: int = 1) -> float:
    states, tokens = [State(RWKV7_0B1) for _ in range(batch)], np.arange(batch)
    backend.decode(tokens, states)
    started = time.perf_counter()
    for _ in range(TOKENS):
        backend.decode(tokens, states)
    return batch * TOKENS / (time.perf_counter() - started)


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):6.1f} [{min(values):.1f}-{max(values):.1f}]"


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_decode_against_llama_cpp(precision, threads, tmp_path):
    """In turns, so that what else the machine does hits both; the ratio is the median of each round's."""
    if not LLAMA_BENCH:
        pytest.skip("set LLAMA_BENCH to llama.cpp's llama-bench to compare")
    files = Checkpoints(tmp_path)
    peer = files.gguf({"int8": "Q8_0", "int4": "Q4_0"}[precision])
    backend = OnnxBackend(threads=threads)
    backend.load(files.ours(precision))
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(decode_tok_s(backend))
        theirs.append(llama_tok_s(peer, threads, decode=TOKENS))
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    print(f"\ndecode 0.1B {precision}, {threads} thread(s): onnx {spread(ours)}, llama.cpp {spread(theirs)} tok/s, "
          f"ratio {ratio:.2f} (goal >= 1.0)")  # fmt: skip


@pytest.mark.parametrize("precision", PRECISIONS)
def test_decode_batch_and_prefill(weights, precision):
    backends = {}
    for threads in (1, 2):
        backends[threads] = OnnxBackend(threads=threads)
        backends[threads].load(weights[precision])
    for batch in (1, 2, 4, 8):
        got = {t: spread([decode_tok_s(b, batch) for _ in range(3)]) for t, b in backends.items()}
        print(f"\ndecode 0.1B {precision}, batch {batch}: 1 thread {got[1]}, 2 threads {got[2]} tok/s in all", end="")
    for length in (64, 256):
        rates = {}
        for threads, backend in backends.items():
            taken = []
            for _ in range(3):
                started = time.perf_counter()
                backend.prefill(np.arange(length), State(RWKV7_0B1))
                taken.append(length / (time.perf_counter() - started))
            rates[threads] = spread(taken)
        print(f"\nprefill 0.1B {precision}, {length} tokens: 1 thread {rates[1]}, 2 threads {rates[2]} tok/s", end="")
    print()


def test_start_from_the_cache(weights, tmp_path):
    file, cache = tmp_path / "weights.safetensors", tmp_path / "cache"
    save_packed(file, weights["int4"], "bench")
    took = []
    for run in range(6):
        command = [sys.executable, "-c", START, str(file), str(cache)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        ready_s, threads, anonymous_mb, rss_mb, built = done.stdout.split()
        assert built == str(run == 0)
        if run:
            took.append(float(ready_s))
        else:
            print(f"\nfirst start of 0.1B int4, graph built and threads measured: {float(ready_s):.2f} s")
    print(
        f"start of 0.1B int4 from the cache: median {statistics.median(took):.2f} s [{min(took):.2f}-{max(took):.2f}]"
    )
    print(f"  goal < 1 s; threads: {threads}; {float(anonymous_mb):.0f} MB anonymous, {float(rss_mb):.0f} MB resident")


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_where_the_time_goes(weights, precision, tmp_path):
    """Microseconds per token by operator, from ONNX Runtime's own profiler (which itself costs a few per node)."""
    import onnxruntime

    export(weights[precision], tmp_path, "bench", "")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.enable_profiling = 1, True
    options.profile_file_prefix = str(tmp_path / "profile")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", options, providers=["CPUExecutionProvider"])
    shapes = {i.name: [n if isinstance(n, int) else 1 for n in i.shape] for i in session.get_inputs()}
    inputs = {n: np.zeros(s, np.int64 if n == "tokens" else np.float32) for n, s in shapes.items()}
    for _ in range(TOKENS):
        session.run(None, inputs)
    events = json.loads(Path(session.end_profiling()).read_text())
    spent, count = collections.Counter(), collections.Counter()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            kind = event["args"]["op_name"]
            spent[kind] += event["dur"] / TOKENS
            count[kind] += 1
    print(f"\n0.1B {precision}, 1 thread: {sum(count.values()) / TOKENS:.0f} nodes per token (Scan holds six of them)")
    for kind, us in spent.most_common(14):
        print(f"  {kind:26} {us:8.0f} us per token in {count[kind] / TOKENS:4.0f} nodes")
