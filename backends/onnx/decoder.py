"""One session over RWKV-7 weights: states in, states out, in place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backends.base import ModelConfig, State
from backends.onnx.session import OnnxSession


class Decoder:
    """Runs the graph of `graph.build_model` on States."""

    def __init__(self, session: OnnxSession, config: ModelConfig):
        self.session, self.config = session, config

    def __call__(self, tokens: np.ndarray, states: Sequence[State]) -> np.ndarray:
        """tokens i64[B, T] into `states`, in place -> logits f32[B, V] of the last token. Raises OnnxError."""
        logits = np.empty((len(states), self.config.vocab), np.float32)
        tokens = np.ascontiguousarray(tokens, np.int64)
        if len(states) == 1:
            # A lone sequence needs no copy: its own memory is bound, as input and as output (see `graph`).
            self._run(tokens, logits, self._views(states[0].shift_tmix, states[0].wkv, states[0].shift_cmix))
            return logits
        # The graph wants each layer's states side by side.
        shift_tmix, shift_cmix = (np.stack([getattr(s, n) for s in states], 1) for n in ("shift_tmix", "shift_cmix"))
        wkv = np.stack([s.wkv for s in states], 1)  # [L, B, H, N, N]
        self._run(tokens, logits, {"shift_tmix": shift_tmix, "shift_cmix": shift_cmix,
                                   **{f"wkv.{i}": layer for i, layer in enumerate(wkv)}})  # fmt: skip
        for b, state in enumerate(states):
            state.shift_tmix[:], state.wkv[:], state.shift_cmix[:] = shift_tmix[:, b], wkv[:, b], shift_cmix[:, b]
        return logits

    def _views(self, shift_tmix: np.ndarray, wkv: np.ndarray, shift_cmix: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "shift_tmix": shift_tmix[:, None],
            "shift_cmix": shift_cmix[:, None],
            **{f"wkv.{i}": layer[None] for i, layer in enumerate(wkv)},
        }

    def _run(self, tokens: np.ndarray, logits: np.ndarray, state: dict[str, np.ndarray]) -> None:
        outputs = {f"{name}.out": array for name, array in state.items()}
        self.session.bind({"tokens": tokens, **state}, {"logits": logits, **outputs}).run()
