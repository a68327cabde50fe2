"""From weights to a ready session: the graph from the cache or built anew, and as many threads as pay."""

from __future__ import annotations

import logging
import os
import statistics
import time
from pathlib import Path

import numpy as np

from backends.base import State, Weights
from backends.onnx.cache import Cache
from backends.onnx.decoder import Decoder
from backends.onnx.layout import external_tensors
from backends.onnx.session import VERSION, OnnxError, OnnxSession

log = logging.getLogger(__name__)

SMALL_BYTES = 1 << 20  # weights that one thread has read before a second one is awake
PROBE_ROUNDS, PROBE_TOKENS = 5, 3
WORTH = 0.95
"""More threads must take less than this share of the time, or the fewer stay: the rest of the machine has work too."""


def open_decoder(weights: Weights, threads: int | None, cache_dir: Path | None) -> Decoder:
    """`threads`: None chooses by measurement, once per model, precision and machine. Raises OnnxError."""
    cache = Cache(cache_dir, weights, VERSION)
    if graph := cache.read_graph():
        try:
            return _open(graph, weights, threads, cache)
        except OnnxError as error:  # damaged: it can be made again
            log.warning("onnx: the cached graph is not usable and is built anew (%s)", error)
    from backends.onnx.graph import build_model  # needs the package onnx, which the cached graph does not

    graph = build_model(weights).SerializeToString()
    decoder = _open(graph, weights, threads, cache)
    cache.write_graph(graph)
    return decoder


def _open(graph: bytes, weights: Weights, threads: int | None, cache: Cache) -> Decoder:
    tensors = external_tensors(weights)

    def with_threads(count: int) -> Decoder:
        return Decoder(OnnxSession(graph, count, tensors), weights.config)

    threads = threads or cache.read_threads() or (1 if weights.nbytes < SMALL_BYTES else None)
    if threads:
        return with_threads(threads)
    best, measured = fastest(with_threads, available_threads())
    cache.write_threads(best.session.threads, measured)
    return best


def fastest(with_threads, candidates: list[int]) -> tuple[Decoder, dict[int, float]]:
    """(the best decoder, seconds per token by threads). Goes up until more threads do not pay; two are open at most."""
    best, measured = with_threads(candidates[0]), {}
    for count in candidates[1:]:
        more = with_threads(count)
        few_s, more_s = _duel(best, more)
        measured |= {best.session.threads: few_s, count: more_s}
        if more_s > few_s * WORTH:
            break
        best = more
    return best, measured


def _duel(*decoders: Decoder) -> list[float]:
    """Median seconds per token of each, in turns, so that a busy moment hits both."""
    state, token = State(decoders[0].config), np.zeros((1, 1), np.int64)
    taken: list[list[float]] = [[] for _ in decoders]
    for round_ in range(PROBE_ROUNDS + 1):
        for decoder, seconds in zip(decoders, taken, strict=True):
            started = time.perf_counter()
            for _ in range(PROBE_TOKENS):
                decoder(token, [state])
            if round_:  # the first warms up
                seconds.append((time.perf_counter() - started) / PROBE_TOKENS)
    return [statistics.median(seconds) for seconds in taken]


def available_threads() -> list[int]:
    """1, 2, 4, ... and the number of CPUs that this process may use."""
    cpus = len(os.sched_getaffinity(0))
    return [*(1 << i for i in range(cpus.bit_length()) if 1 << i < cpus), cpus]
