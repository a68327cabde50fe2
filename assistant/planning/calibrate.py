"""Measure this machine: how fast it reads, and how long passes take per backend, precision and number of threads.

Shapes of random weights stand for models that are not here; the models of the store are measured themselves as well.
Of random weights about half of channel-mix's value rows are zero and skipped by the native kernels, of trained ones
more, so the laws err on the slow side for those.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np

from assistant.meter.power import Found, Unreadable, find
from assistant.models.store import LoadedModel
from assistant.planning import devices
from assistant.planning.calibration import BUSY, PREFILL_CHUNK, Calibration, Point, fingerprint
from assistant.planning.survey import config_of
from backends.base import Backend, BackendUnavailable, ModelConfig, State, Weights
from backends.census import pass_bytes, pass_macs
from backends.precisions import format_of, is_matrix
from backends.tensors import GROUP, Int4Matrix, QuantizedMatrix

T = TypeVar("T")
TOKENS, MIN_TOKENS, WARM_UP = 24, 5, 3
ENOUGH_S = 1.0  # of measuring one setting


def shape(layers: int, width: int, vocab: int) -> ModelConfig:
    """RWKV-7 with the LoRA ranks of the 0.1B model, narrower where the width is."""
    rank = min(64, width // 4)
    return ModelConfig(layers=layers, width=width, heads=width // 64, head_size=64, vocab=vocab, ffn=4 * width,
                       decay_rank=rank, iclr_rank=rank, value_rank=rank // 2, gate_rank=2 * rank)  # fmt: skip


SHAPES = (shape(6, 192, 4096), shape(4, 512, 8192), shape(12, 384, 8192), shape(8, 768, 16384))
"""From the size of the embedded model to half of a 0.1B one, so that layers and bytes do not grow together."""
QUICK_SHAPES = SHAPES[:2]


def random_weights(config: ModelConfig, precision: str, seed: int = 0) -> Weights:
    """Weights of a shape in their stored form, drawn so that activations stay finite."""
    rng, tensors = np.random.default_rng(seed), {}
    for name, dims in config.tensor_shapes().items():
        form = format_of(name, dims, precision)
        if not is_matrix(name, dims):
            tensors[name] = rng.uniform(-0.5, 0.5, dims).astype(np.float32)
            continue
        scale = 1.0 / np.sqrt(dims[1])
        if form == "int8":
            q = rng.integers(-127, 128, dims, np.int8)
            tensors[name] = QuantizedMatrix(q, np.full(dims[0], scale / 73, np.float32))
        elif form == "int4":
            q = rng.integers(0, 256, (dims[0], dims[1] // 2), np.uint8)
            tensors[name] = Int4Matrix(q, np.full((dims[0], dims[1] // GROUP), scale / 4.6, np.float16))
        else:
            values = rng.standard_normal(dims, np.float32) * np.float32(scale)
            tensors[name] = values if form == "fp32" else values.astype(_dtype(form))
    return Weights(tensors, precision)


def _dtype(form: str) -> np.dtype:
    import ml_dtypes

    return np.dtype({"bf16": ml_dtypes.bfloat16, "fp16": np.float16}[form])


@dataclass(frozen=True)
class Task:
    """One backend at one precision, on some weights; `model`: sha256 of a stored model, or empty."""

    backend: str
    precision: str
    label: str
    config: ModelConfig
    weights: Callable[[], Weights]
    model: str = ""


def tasks(models: Sequence[Callable[[str], LoadedModel]], manifests: Sequence, shapes: Sequence[ModelConfig] = SHAPES,
          backends: Sequence[str] = (), precisions: Sequence[str] = ()) -> list[Task]:  # fmt: skip
    """Everything to measure; all real backends that work here unless some are named."""
    found = []
    for name, kind in devices.kinds().items():
        if kind.info.simulated or (backends and name not in backends) or devices.unavailable(name):
            continue
        for precision in kind.info.precisions:
            if precisions and precision not in precisions:
                continue
            for config in shapes:
                label = f"{config.layers} x {config.width}"
                found.append(Task(name, precision, label, config,
                                  lambda c=config, p=precision: random_weights(c, p)))  # fmt: skip
            for manifest, open_as in zip(manifests, models, strict=True):
                if precision in (*manifest.weights, "int8", "int4"):
                    found.append(Task(name, precision, manifest.name, config_of(manifest),
                                      lambda o=open_as, p=precision: o(p).weights, manifest.source.sha256))  # fmt: skip
    return found


def thread_counts(cores: int | None = None) -> list[int]:
    cores = cores or len(os.sched_getaffinity(0))
    return sorted({n for n in (1, 2, 4, 8, 16, cores) if n <= cores})


class Wattmeter:
    """Power above that of the idle machine, by the best sensor there is; None where none can be read."""

    def __init__(self, look: Callable[[], Found] = find, clock_s: Callable[[], float] = time.monotonic,
                 idle_s: float = 1.0):  # fmt: skip
        self._sensor, self._clock_s = look().sensor, clock_s
        self.idle_w = (self._while(lambda: time.sleep(idle_s))[1] or 0.0) if self._sensor else 0.0

    @property
    def covers(self) -> str:
        return f"{self._sensor.name}: {self._sensor.covers}, above idle" if self._sensor else ""

    def over(self, work: Callable[[], T]) -> tuple[T, float | None]:
        """What `work` gives, and the mean power meanwhile without the idle one."""
        result, watts = self._while(work)
        return result, None if watts is None else max(0.0, watts - self.idle_w)

    def _while(self, work: Callable[[], T]) -> tuple[T, float | None]:
        began_s = self._clock_s()
        began_j = self._read(began_s)
        result = work()
        ended_s = self._clock_s()
        ended_j = self._read(ended_s)
        known = began_j is not None and ended_j is not None and ended_s > began_s
        return result, (ended_j - began_j) / (ended_s - began_s) if known else None

    def _read(self, now_s: float) -> float | None:
        try:
            return self._sensor.energy_j(now_s) if self._sensor else None
        except Unreadable:
            return None


def calibrate(wanted: Sequence[Task], progress: Callable[[str], None] = lambda _text: None,
              threads: Sequence[int] | None = None, meter: Wattmeter | None = None) -> Calibration:  # fmt: skip
    """Measure it all, one setting after the other. A backend that refuses a model is left out, and told."""
    threads, meter = list(threads or thread_counts()), meter or Wattmeter()
    points: list[Point] = []
    reads: dict[int, list[tuple[int, float]]] = {}
    for task in wanted:
        progress(f"{task.backend} {task.precision}, {task.label}")
        backend = devices.make(task.backend, {"threads": threads[0]})
        try:
            backend.load(task.weights())
            for n in threads if devices.takes_threads(type(backend)) else (1,):
                if devices.takes_threads(type(backend)):
                    backend.set_threads(n)
                points += _measure(backend, task, n, meter)
                if hasattr(backend, "read_bandwidth") and not task.model:
                    size = int(pass_bytes(task.config, 1, 1, task.precision))
                    reads.setdefault(n, []).append((size, backend.read_bandwidth(size, n)))
        except BackendUnavailable as error:
            progress(f"left out: {error}")
        finally:
            backend.close()
    return Calibration(machine=fingerprint(), measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
                       points=points, read_bytes_s={n: sorted(rows) for n, rows in reads.items()},
                       sensor=meter.covers)  # fmt: skip


def _measure(backend: Backend, task: Task, threads: int, meter: Wattmeter) -> Iterator[Point]:
    for tokens, batch in ((1, 1), (1, BUSY), (PREFILL_CHUNK, 1)):
        (median_s, p95_s), watts = meter.over(lambda t=tokens, b=batch: time_pass(backend, task.config, t, b))
        yield Point(
            backend=task.backend, precision=task.precision, threads=threads, tokens=tokens, batch=batch,
            layers=task.config.layers, bytes_moved=pass_bytes(task.config, tokens, batch, task.precision),
            macs=pass_macs(task.config, tokens, batch), seconds=median_s, p95_s=p95_s, watts=watts,
            model=task.model,
        )  # fmt: skip


def time_pass(backend: Backend, config: ModelConfig, tokens: int, batch: int, times: int = TOKENS
              ) -> tuple[float, float]:  # fmt: skip
    """(median, 95th percentile) seconds of a decode step of `batch`, or of a prompt chunk of `tokens`."""
    states = [State(config) for _ in range(batch)]
    ids = np.random.default_rng(0).integers(0, config.vocab, (times + WARM_UP, max(tokens, batch))).astype(np.int32)
    taken: list[float] = []
    for i, row in enumerate(ids):
        began = time.perf_counter()
        if tokens > 1:
            backend.prefill(row, states[0])
        else:
            backend.decode(row, states)
        if i >= WARM_UP or tokens > 1:
            taken.append(time.perf_counter() - began)
        if len(taken) >= MIN_TOKENS and sum(taken) > ENOUGH_S:
            break
    return statistics.median(taken), float(np.quantile(taken, 0.95))
