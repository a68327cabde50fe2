"""A backend whose weights leave the memory when nobody has asked for a while, and come back with the next pass."""

from __future__ import annotations

import ctypes
import gc
import logging
import threading
import time
from collections.abc import Sequence

import numpy as np

from backends.base import Backend, BackendInfo, Cost, ModelConfig, State, Step, Weights, Workload
from backends.tensors import let_go

log = logging.getLogger(__name__)


class Resident:
    """Wraps the one device of a daemon. States and checkpoints are not the device's and stay where they are.

    What comes back is what was there: the same mapped file, on a device that keeps its choice of threads.
    """

    def __init__(self, device: Backend):
        self._device, self._weights, self._asleep = device, None, False
        self._lock = threading.Lock()
        self._scratch: State | None = None

    @property
    def info(self) -> BackendInfo:
        return self._device.info

    @property
    def threads(self) -> int | None:
        return getattr(self._device, "threads", None)

    @property
    def asleep(self) -> bool:
        """Whether the weights are out of memory. False before they were ever loaded."""
        return self._asleep

    def set_threads(self, threads: int) -> None:
        """Use this many from the next pass on. Raises AttributeError if the device has no such choice."""
        with self._lock:
            self._awake().set_threads(threads)

    def load(self, weights: Weights) -> None:
        with self._lock:
            self._device.load(weights)
            self._weights, self._asleep, self._scratch = weights, False, State(weights.config)

    def release(self) -> bool:
        """Give the weights' memory back; False if that was done already. Waits for a pass under way."""
        with self._lock:
            if self._weights is None or self._asleep:
                return False
            self._device.close()
            for name in self._weights:
                let_go(self._weights.raw(name))
            self._asleep = True
        gc.collect()  # a session of ONNX Runtime holds itself in a circle
        _trim()
        log.info("the weights were given back; the next request takes them again")
        return True

    def prefill(self, tokens: np.ndarray, state: State) -> Step:
        with self._lock:
            return self._awake().prefill(tokens, state)

    def decode(self, tokens: np.ndarray, states: Sequence[State]) -> Step:
        with self._lock:
            return self._awake().decode(tokens, states)

    def probe(self) -> None:
        """One real decode step on a state of its own, unless the device sleeps. Raises RuntimeError if it computes
        no numbers any more, and whatever the device raises."""
        with self._lock:
            if self._asleep or self._weights is None:
                return
            self._scratch.data[:] = 0
            logits = self._device.decode(np.zeros(1, np.int32), [self._scratch]).logits
        if not np.isfinite(logits).all():
            raise RuntimeError(f"the backend '{self.info.name}' computes no finite numbers any more")

    def estimate(self, config: ModelConfig, workload: Workload) -> Cost:
        return self._device.estimate(config, workload)

    def close(self) -> None:
        with self._lock:
            self._device.close()
            self._weights = None

    def _awake(self) -> Backend:
        if self._asleep:
            started = time.perf_counter()
            self._device.load(self._weights)
            self._asleep = False
            log.info("the weights are back after %.0f ms", 1e3 * (time.perf_counter() - started))
        return self._device


def _trim() -> None:
    """What was freed goes back to the system: the C library would keep it for later. Only glibc has the call."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)
