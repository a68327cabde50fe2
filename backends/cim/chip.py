"""What both simulated chips share: quantized stationary matrices on tiles, everything else in float32 beside them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np

from backends.base import BackendInfo, BadWeights, Cost, ModelConfig, State, Step, Weights, Workload
from backends.cim.converters import dac
from backends.cim.cost import ChipCost
from backends.rwkv7 import forward
from backends.tensors import QuantizedMatrix, quantize_int8, rows


class Tiles(Protocol):
    """One stationary matrix on a chip: input codes f32[n, in] -> sums f32[n, out] in weight step x input step."""

    def product(self, codes: np.ndarray) -> np.ndarray: ...


class SimulatedChip:
    """Base of the simulated backends. A subclass says how a matrix becomes tiles and what a pass costs."""

    info: BackendInfo
    input_bits = 8

    def __init__(self) -> None:
        self._weights: Weights | None = None
        self._tiles: dict[str, tuple[Tiles, np.ndarray]] = {}  # name -> (tiles, scale f32[out] of a weight step)
        self._vectors: dict[str, np.ndarray] = {}
        self._bill = lru_cache(maxsize=256)(self._price)

    # --- for subclasses ---

    def _make_tiles(self, name: str, codes: np.ndarray) -> Tiles:
        raise NotImplementedError

    def _calibrate(self) -> None:
        """Called once after loading, when products can be computed."""

    def chip_cost(self, config: ModelConfig, tokens: int = 1, batch: int = 1) -> ChipCost:
        """The simulated bill of a pass, with its bands and parts."""
        raise NotImplementedError

    # --- the Backend interface ---

    def load(self, weights: Weights) -> None:
        self.close()
        for name, shape in weights.config.tensor_shapes().items():
            if name == "emb.weight":
                continue
            if len(shape) == 1 or name.endswith(".r_k"):
                self._vectors[name] = weights[name]
                continue
            stored = weights.raw(name)
            matrix = stored if isinstance(stored, QuantizedMatrix) else quantize_int8(weights[name])
            if not np.isfinite(matrix.scale).all():
                raise BadWeights(f"tensor '{name}' holds values that are not finite")
            self._tiles[name] = (self._make_tiles(name, matrix.q), np.asarray(matrix.scale, np.float32))
        self._weights = weights
        self._calibrate()

    def prefill(self, tokens: np.ndarray, state: State) -> Step:
        return Step(self._run(np.asarray(tokens)[None, :], [state])[0], self._step_cost(len(tokens), 1))

    def decode(self, tokens: np.ndarray, states: Sequence[State]) -> Step:
        return Step(self._run(np.asarray(tokens)[:, None], states), self._step_cost(1, len(states)))

    def estimate(self, config: ModelConfig, workload: Workload) -> Cost:
        return self._bill(config, workload.tokens, workload.batch)

    def close(self) -> None:
        self._weights, self._tiles, self._vectors = None, {}, {}

    def _run(self, tokens: np.ndarray, states: Sequence[State]) -> np.ndarray:
        """tokens i32[B, T] -> logits f32[B, V]."""
        if self._weights is None:
            raise RuntimeError("no weights are loaded: call load() first")
        if tokens.size == 0 or tokens.min() < 0 or tokens.max() >= self._weights.config.vocab:
            raise ValueError(f"token ids must be a non-empty array in 0..{self._weights.config.vocab - 1}")
        return forward(rows(self._weights.raw("emb.weight"), tokens), states, self._vectors, self._matmul)

    def _matmul(self, name: str, x: np.ndarray) -> np.ndarray:
        tiles, scale = self._tiles[name]
        codes, step = dac(x.reshape(-1, x.shape[-1]), self.input_bits)
        y = tiles.product(codes) * step * scale
        return y.astype(np.float32, copy=False).reshape(*x.shape[:-1], -1)

    def _step_cost(self, tokens: int, batch: int) -> Cost:
        return self._bill(self._weights.config, tokens, batch)

    def _price(self, config: ModelConfig, tokens: int, batch: int) -> Cost:
        return self.chip_cost(config, tokens, batch).mid


def key_of(name: str) -> int:
    """A stable number for a tensor's name."""
    return zlib.crc32(name.encode())
