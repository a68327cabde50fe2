"""The living definition: RWKV-7 in float32 NumPy, slow, and what every other backend is held to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backends.base import BackendInfo, Cost, ModelConfig, State, Step, Weights, Workload
from backends.hostmodel import ENERGY_MODEL, HostModel
from backends.precisions import PRECISIONS
from backends.rwkv7 import forward
from backends.tensors import rows


class ReferenceBackend:
    """Computes in float32 whatever the stored precision; matrices are expanded to float32 once, on load."""

    info = BackendInfo(
        name="reference",
        description="NumPy float32, the living definition",
        simulated=False,
        precisions=PRECISIONS,
        energy_model=ENERGY_MODEL,
    )

    def __init__(self, threads: int | None = None, host: HostModel | None = None):
        """`threads` is accepted for symmetry; NumPy's BLAS chooses its own."""
        self._host = host or HostModel()
        self._weights: Weights | None = None
        self._float: dict[str, np.ndarray] = {}

    def load(self, weights: Weights) -> None:
        self._weights = weights
        self._float = {name: weights[name] for name in weights if name != "emb.weight"}

    def prefill(self, tokens: np.ndarray, state: State) -> Step:
        return Step(self._run(np.asarray(tokens)[None, :], [state])[0], self._bill(len(tokens), 1))

    def decode(self, tokens: np.ndarray, states: Sequence[State]) -> Step:
        return Step(self._run(np.asarray(tokens)[:, None], states), self._bill(1, len(states)))

    def estimate(self, config: ModelConfig, workload: Workload) -> Cost:
        return self._host.cost(config, workload)

    def close(self) -> None:
        self._weights, self._float = None, {}

    def _run(self, tokens: np.ndarray, states: Sequence[State]) -> np.ndarray:
        """tokens i32[B, T] -> logits f32[B, V]."""
        if self._weights is None:
            raise RuntimeError("no weights are loaded: call load() first")
        if tokens.size == 0 or tokens.min() < 0 or tokens.max() >= self._weights.config.vocab:
            raise ValueError(f"token ids must be a non-empty array in 0..{self._weights.config.vocab - 1}")
        embedded = rows(self._weights.raw("emb.weight"), tokens)
        return forward(embedded, states, self._float, lambda name, x: x @ self._float[name].T)

    def _bill(self, tokens: int, batch: int) -> Cost:
        # float32 is what really crosses the bus here, however the weights were stored
        return self._host.cost(self._weights.config, Workload(tokens, batch, "fp32"))
