"""What the native core promises beside its answers: rows left unread, idle threads, memory, and calls from anywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from assistant.models.quantize import pack
from backends.base import State, Weights
from backends.cpu import CpuBackend
from backends.reference import ReferenceBackend
from tests.contract.budgets import relative_error
from tests.synthetic import TINY, synthetic_tensors, synthetic_weights

ROOT = Path(__file__).parents[2]
TOKENS = np.arange(12, dtype=np.int32)


def environment() -> dict[str, str]:
    """Without PYTHONSAFEPATH, so that a helper of the tests can be run as a module of the checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}


def loaded(weights: Weights, threads: int = 2) -> CpuBackend:
    backend = CpuBackend(threads=threads)
    backend.load(weights)
    return backend


def sparse_tensors() -> dict[str, np.ndarray]:
    """Channel-mix keys of which half look the other way: those inputs of its value matrix are always zero."""
    tensors = synthetic_tensors(TINY, seed=3)
    for i in range(TINY.layers):
        tensors[f"blocks.{i}.ffn.key.weight"][::2] = 0
    return tensors


@pytest.mark.skipif(shutil.which("cc") is None and shutil.which("gcc") is None, reason="no C compiler here")
def test_where_there_is_a_compiler_the_core_is_built():
    CpuBackend()


@pytest.mark.parametrize("precision", ["fp32", "int8", "int4"])
def test_rows_of_zero_inputs_are_not_read_and_not_missed(precision):
    tensors = sparse_tensors()
    weights = pack(Weights(tensors, "fp32"), precision)
    backend, reference = loaded(weights), ReferenceBackend()
    reference.load(weights)
    mine, theirs = State(TINY), State(TINY)
    for token in TOKENS:
        one = np.array([token], np.int32)
        step, expected = backend.decode(one, [mine]), reference.decode(one, [theirs])
    assert relative_error(step.logits, expected.logits) < 5e-2
    rows, skipped = TINY.layers * TINY.ffn, backend.skipped_rows
    assert rows / 2 <= skipped < rows * 0.9  # the silent half, and of the others those below zero
    dense = backend.estimate(TINY, backend.workload(1, 1)).bytes_moved
    assert step.cost.bytes_moved == dense - round(skipped * backend.value_row_bytes)


def test_a_poisoned_row_that_is_never_needed_changes_nothing():
    """Not read, not merely multiplied by zero: 0 * NaN would show."""
    tensors = sparse_tensors()
    clean = loaded(Weights(tensors, "fp32")).decode(TOKENS[:1], [State(TINY)]).logits
    poisoned = {name: t.copy() for name, t in tensors.items()}
    for i in range(TINY.layers):
        poisoned[f"blocks.{i}.ffn.value.weight"][:, ::2] = np.nan
    assert np.array_equal(loaded(Weights(poisoned, "fp32")).decode(TOKENS[:1], [State(TINY)]).logits, clean)


def test_idle_threads_use_no_processor():
    backend = loaded(synthetic_weights(TINY), threads=4)
    backend.decode(TOKENS[:1], [State(TINY)])
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(1.0)
    assert time.process_time() - before < 0.02


def test_more_threads_than_processors_come_to_an_end():
    """Threads that wait must let the others run."""
    weights = synthetic_weights(TINY)
    backend, expected = loaded(weights, threads=16), loaded(weights, threads=1)
    a, b = State(TINY), State(TINY)
    for token in TOKENS:
        one = np.array([token], np.int32)
        assert relative_error(backend.decode(one, [a]).logits, expected.decode(one, [b]).logits) < 1e-4


def test_two_python_threads_may_use_one_backend():
    backend = loaded(pack(synthetic_weights(TINY), "int8"))
    alone = State(TINY)
    expected = [backend.decode(TOKENS[i : i + 1], [alone]).logits[0] for i in range(len(TOKENS))]
    failures = []

    def converse() -> None:
        for _ in range(20):
            state = State(TINY)
            got = [backend.decode(TOKENS[i : i + 1], [state]).logits[0] for i in range(len(TOKENS))]
            if not np.array_equal(got, expected):
                failures.append("answers were mixed up")

    threads = [threading.Thread(target=converse) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_threads_are_chosen_by_measurement():
    backend = CpuBackend()
    backend.load(synthetic_weights(TINY))
    assert 1 <= backend.threads <= (os.cpu_count() or 1)


def test_memory_is_the_packed_weights_and_little_more(tmp_path):
    """Peak resident memory of a process that maps, loads and decodes, over one that loads a tiny model."""
    peaks = {}
    for size in ("tiny", "large"):
        command = [sys.executable, "-m", "tests.native.peak_memory", size, tmp_path]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment())
        peaks[size], weights = map(int, done.stdout.split())
    assert peaks["large"] - peaks["tiny"] < weights + (60 << 20)


def test_logits_that_somebody_holds_are_not_overwritten():
    backend, state = loaded(synthetic_weights(TINY)), State(TINY)
    first = backend.decode(TOKENS[:1], [state]).logits
    row = backend.prefill(TOKENS[:3], state).logits  # a view
    kept = first.copy(), row.copy()
    for token in TOKENS:
        backend.decode(np.array([token], np.int32), [state])
        backend.prefill(TOKENS[:2], state)
    assert np.array_equal(first, kept[0])
    assert np.array_equal(row, kept[1])
