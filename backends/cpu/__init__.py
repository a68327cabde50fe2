"""The native CPU backend: one call per pass into a small C core that reads every weight byte once."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Sequence

import numpy as np

from backends.base import BackendInfo, BackendUnavailable, BadWeights, Cost, ModelConfig, State, Step, Weights, Workload
from backends.cpu.bandwidth import host_read_bandwidth
from backends.cpu.library import Shape, instruction_sets, load_library
from backends.hostmodel import ENERGY_MODEL, HostModel
from backends.precisions import PRECISIONS
from backends.tensors import GROUP, Int4Matrix, QuantizedMatrix, TensorLike, let_go

MAX_COLUMNS = 64  # native/rwkv7.h
FORMATS = {"float32": 0, "bfloat16": 1, "float16": 2, "int8": 3, "int4": 4}
VALUE_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1, "int4": 0.5}  # of one value; int4's scales are read anyway
MAC_RATE_MACS_S = 150e9  # int8 products of one core with AVX-512 VNNI, measured (docs/performance.md)
TRIAL_PASSES = 4


class CpuBackend:
    """Decode of B <= 64 sequences, or prefill in chunks of 64 tokens, on threads that sleep when idle."""

    info = BackendInfo(
        name="cpu",
        description="native kernels (C, AVX-512/AVX2/NEON)",
        simulated=False,
        precisions=PRECISIONS,
        preference=20,
        energy_model=ENERGY_MODEL,
    )
    host_read_bandwidth = staticmethod(host_read_bandwidth)

    def __init__(self, threads: int | None = None, host: HostModel | None = None, isa: str | None = None):
        """threads: 0 or None measures a few counts on load and keeps the fastest. isa: a name from instruction_sets().

        Raises BackendUnavailable when the native library is missing or knows no instruction set of this machine.
        """
        try:
            usable = [name for name, here in instruction_sets().items() if here]
            self._lib = load_library()
        except OSError as error:
            raise BackendUnavailable("cpu", f"the native core cannot be loaded: {error}") from error
        if isa is not None and isa not in usable:
            raise BackendUnavailable("cpu", f"this machine does not have '{isa}', only {', '.join(usable)}")
        self.isa = isa or usable[0]
        self.threads = threads or 0
        self._host = host or HostModel(mac_rate_macs_s=MAC_RATE_MACS_S)
        self._model: int | None = None
        self._weights: Weights | None = None
        self._lock = threading.Lock()
        self._last_logits = np.empty((0, 0), np.float32)
        self.skipped_rows = 0
        """Rows of channel-mix's value matrices which the last pass did not read, because their inputs were zero."""
        self.value_row_bytes = 0.0

    def load(self, weights: Weights) -> None:
        self.close()
        config = weights.config
        if config.head_size % GROUP or config.ffn % GROUP:
            raise BadWeights(f"the cpu backend needs heads and channel-mix in multiples of {GROUP}, "
                             f"not {config.head_size} and {config.ffn}")  # fmt: skip
        shape = Shape(*(getattr(config, name) for name, _ in Shape._fields_))
        quantized = weights.precision in ("int8", "int4")
        self._model = self._lib.rwkv7_new(ctypes.byref(shape), quantized, self.isa.encode())
        if not self._model:
            raise BackendUnavailable("cpu", "there is not enough memory for the model")
        self._weights = weights
        self.value_row_bytes = config.width * VALUE_BYTES[weights.precision]
        self._lib.rwkv7_threads(self._model, self.threads or os.cpu_count() or 1)
        for name in weights:
            self._put(name, weights.raw(name))
            if name != "emb.weight":
                let_go(weights.raw(name))
        self.threads = self.threads or self._measure_threads()
        self._lib.rwkv7_threads(self._model, self.threads)

    def prefill(self, tokens: np.ndarray, state: State) -> Step:
        tokens = self._checked(tokens)
        with self._lock:
            logits = self._room_for_logits(1)[0]
            for start in range(0, len(tokens), MAX_COLUMNS):
                self._pass(tokens[start : start + MAX_COLUMNS], [state], logits, sequence=True)
            return Step(logits, self._bill(len(tokens), 1))

    def decode(self, tokens: np.ndarray, states: Sequence[State]) -> Step:
        tokens = self._checked(tokens)
        with self._lock:
            logits = self._room_for_logits(len(tokens))
            for start in range(0, len(tokens), MAX_COLUMNS):
                part = slice(start, start + MAX_COLUMNS)
                self._pass(tokens[part], states[part], logits[part])
            return Step(logits, self._bill(1, len(tokens)))

    def estimate(self, config: ModelConfig, workload: Workload) -> Cost:
        return self._host.cost(config, workload)

    def close(self) -> None:
        with self._lock:
            if self._model:
                self._lib.rwkv7_free(self._model)
            self._model = self._weights = None

    @property
    def config(self) -> ModelConfig:
        return self._weights.config

    def set_threads(self, threads: int) -> None:
        """Use this many threads from the next pass on; fewer if the system gives no more."""
        with self._lock:
            self.threads = self._lib.rwkv7_threads(self._model, threads)

    def read_bandwidth(self, size: int, threads: int) -> float:
        """Bytes per second (measured) of reading `size` bytes of other memory in order: the wall for a pass that long.

        The median of five readings after one that warms the caches, as decode after decode does.
        """
        self.set_threads(threads)
        with self._lock:
            readings = [self._lib.rwkv7_read_seconds(self._model, size) for _ in range(6)]
        return size / float(np.median(readings[1:]))

    # --- the native side ---

    def _put(self, name: str, tensor: TensorLike) -> None:
        shape, scale = tensor.shape, None
        if isinstance(tensor, QuantizedMatrix | Int4Matrix):
            form = "int8" if isinstance(tensor, QuantizedMatrix) else "int4"
            tensor, scale = tensor.q, np.ascontiguousarray(tensor.scale)
        else:
            form = tensor.dtype.name
            if len(shape) == 1 or name.endswith(".r_k"):
                tensor, shape, form = np.ravel(tensor).astype(np.float32), (tensor.size, 1), "float32"
        tensor = np.ascontiguousarray(tensor)
        if name == "emb.weight":
            self._embedding = tensor, scale  # rows are read where they are
        done = self._lib.rwkv7_put(self._model, name.encode(), FORMATS[form], shape[0], shape[1], tensor.ctypes.data,
                                   None if scale is None else scale.ctypes.data)  # fmt: skip
        if done == -1:
            raise BackendUnavailable("cpu", "there is not enough memory for the model")
        if done:
            raise BadWeights(f"tensor '{name}' is unknown to the native core")

    def _pass(self, tokens: np.ndarray, states: Sequence[State], logits: np.ndarray, sequence: bool = False) -> None:
        pointers = (ctypes.c_void_p * len(states))(*(s.data.ctypes.data for s in states))
        self.skipped_rows = self._lib.rwkv7_pass(
            self._model, len(tokens), sequence, 0, tokens.ctypes.data, pointers, None, logits.ctypes.data
        )

    def _room_for_logits(self, rows: int) -> np.ndarray:
        """f32[rows, V]: the last array if nobody holds it any more, because a fresh one costs 64 page faults a row."""
        shape = (rows, self._weights.config.vocab)
        if self._last_logits.shape != shape or sys.getrefcount(self._last_logits) > 2:
            self._last_logits = np.empty(shape, np.float32)
        return self._last_logits

    def _checked(self, tokens: np.ndarray) -> np.ndarray:
        if self._weights is None:
            raise RuntimeError("no weights are loaded: call load() first")
        tokens = np.ascontiguousarray(tokens, np.int32)
        vocab = self._weights.config.vocab
        if tokens.size == 0 or tokens.min() < 0 or tokens.max() >= vocab:
            raise ValueError(f"token ids must be a non-empty array in 0..{vocab - 1}")
        return tokens

    def _measure_threads(self) -> int:
        """The fastest thread count for decode on this machine, as it is now."""
        count, best, best_s = os.cpu_count() or 1, 1, float("inf")
        state, tokens = State(self._weights.config), np.zeros(1, np.int32)
        logits = np.empty(self._weights.config.vocab, np.float32)
        for n in sorted({1, 2, 3, 4, 6, 8, 12, 16, count // 2, count} & set(range(1, count + 1))):
            self._lib.rwkv7_threads(self._model, n)
            times = []
            for _ in range(TRIAL_PASSES):
                started = time.perf_counter()
                self._pass(tokens, [state], logits)
                times.append(time.perf_counter() - started)
            if min(times) < best_s * 0.97:  # more threads have to earn their place
                best, best_s = n, min(times)
        return best

    def workload(self, tokens: int, batch: int) -> Workload:
        """A pass at the loaded precision."""
        return Workload(tokens, batch, self._weights.precision)

    def _bill(self, tokens: int, batch: int) -> Cost:
        skipped = round(self.skipped_rows * self.value_row_bytes) if tokens == 1 else 0
        return self._host.cost(self._weights.config, self.workload(tokens, batch), skipped)
