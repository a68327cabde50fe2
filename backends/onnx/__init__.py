"""ONNX Runtime: RWKV-7 on every machine that has a wheel of it; no compiler, and not one packet."""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from backends.base import BackendInfo, BackendUnavailable, Cost, ModelConfig, State, Step, Weights, Workload
from backends.census import census
from backends.hostmodel import ENERGY_MODEL, HostModel
from backends.tensors import GROUP

log = logging.getLogger(__name__)

PREFILL_CHUNK = 256  # tokens per run: bounds the memory of a long prompt's activations
SCALE_BYTES = {"int8": 4, "int4": 2}
"""Per 32 weights, on top of what is stored: a float32 scale for each block, where we store one a row or float16."""


class OnnxBackend:
    """float32, int8 and int4 products in ONNX Runtime; matrices of other formats are expanded to float32 on load."""

    info = BackendInfo(
        name="onnx",
        description="ONNX Runtime on the CPU",
        simulated=False,
        precisions=("fp32", "int8", "int4"),
        preference=10,
        energy_model=ENERGY_MODEL,
    )

    def __init__(self, threads: int | None = None, cache_dir: Path | None = None, host: HostModel | None = None):
        """`threads`: None measures on load what is fastest. `cache_dir`: keeps the graph and that number for the next
        start. Raises BackendUnavailable."""
        if importlib.util.find_spec("onnxruntime") is None:
            raise BackendUnavailable("onnx", "the package onnxruntime is not installed")
        self._threads, self._cache_dir, self._host = threads, cache_dir, host or HostModel()
        self._weights: Weights | None = None
        self._decoder = None

    @property
    def threads(self) -> int | None:
        """Threads in use; None before `load`."""
        return self._decoder.session.threads if self._decoder else None

    @property
    def config(self) -> ModelConfig | None:
        """Of the loaded weights."""
        return self._weights.config if self._weights else None

    def set_threads(self, threads: int) -> None:
        """Opens the session anew if it has another number of threads: they are fixed when it is made."""
        if threads != self.threads:
            self._threads = threads
            self.load(self._weights)

    def load(self, weights: Weights) -> None:
        """Raises BackendUnavailable when ONNX Runtime cannot be loaded or refuses the graph."""
        started = time.perf_counter()
        try:
            from backends.onnx.loading import open_decoder
            from backends.onnx.session import OnnxError
        except ImportError as error:
            raise BackendUnavailable("onnx", f"ONNX Runtime cannot be loaded ({error})") from error
        try:
            self._decoder = open_decoder(weights, self._threads, self._cache_dir)
        except OnnxError as error:
            raise BackendUnavailable("onnx", str(error)) from error
        self._weights, self._threads = weights, self.threads  # what was measured holds for the next load too
        took_s = time.perf_counter() - started
        log.info("onnx: %s ready in %.2f s, threads: %d", weights.precision, took_s, self.threads)

    def prefill(self, tokens: np.ndarray, state: State) -> Step:
        tokens = self._checked(tokens)
        for start in range(0, len(tokens), PREFILL_CHUNK):
            logits = self._decoder(tokens[None, start : start + PREFILL_CHUNK], [state])
        return Step(logits[0], self._bill(len(tokens), 1))

    def decode(self, tokens: np.ndarray, states: Sequence[State]) -> Step:
        return Step(self._decoder(self._checked(tokens)[:, None], states), self._bill(1, len(states)))

    def estimate(self, config: ModelConfig, workload: Workload) -> Cost:
        precision = workload.precision if workload.precision in SCALE_BYTES else "fp32"
        more = SCALE_BYTES.get(precision, 0) * (census(config).stationary_macs // GROUP)
        return self._host.cost(config, replace(workload, precision=precision), skipped_bytes=-more)

    def close(self) -> None:
        self._weights = self._decoder = None

    def _checked(self, tokens: np.ndarray) -> np.ndarray:
        if self._weights is None:
            raise RuntimeError("no weights are loaded: call load() first")
        tokens = np.asarray(tokens)
        if tokens.size == 0 or tokens.min() < 0 or tokens.max() >= self._weights.config.vocab:
            raise ValueError(f"token ids must be a non-empty array in 0..{self._weights.config.vocab - 1}")
        return tokens

    def _bill(self, tokens: int, batch: int) -> Cost:
        return self.estimate(self._weights.config, Workload(tokens, batch, self._weights.precision))
