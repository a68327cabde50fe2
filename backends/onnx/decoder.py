"""One session over RWKV-7 weights: states in, states out, in place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backends.base import ModelConfig, State
from backends.onnx.session import Binding, OnnxSession


class Decoder:
    """Runs the graph of `graph.build_model` on States."""

    def __init__(self, session: OnnxSession, config: ModelConfig):
        self.session, self.config = session, config
        self._bound: _Bound | None = None

    def __call__(self, tokens: np.ndarray, states: Sequence[State]) -> np.ndarray:
        """tokens i64[B, T] into `states`, in place -> logits f32[B, V] of the last token. Raises OnnxError."""
        if len(states) > 1:
            return self._side_by_side(tokens, states)
        # A lone sequence needs no copy: its own memory is bound, as input and as output (see `graph`).
        state = states[0]
        if self._bound is None or self._bound.state is not state or self._bound.tokens.shape != tokens.shape:
            self._bound = None  # lets go of the former state first
            self._bound = _Bound(self, tokens.shape, state)
        return self._bound.run(tokens)

    def _side_by_side(self, tokens: np.ndarray, states: Sequence[State]) -> np.ndarray:
        """The graph wants each layer's states next to each other."""
        shift_tmix, shift_cmix = (np.stack([getattr(s, n) for s in states], 1) for n in ("shift_tmix", "shift_cmix"))
        wkv = np.stack([s.wkv for s in states], 1)  # [L, B, H, N, N]
        logits = np.empty((len(states), self.config.vocab), np.float32)
        self.bind(np.ascontiguousarray(tokens, np.int64), logits, inputs_of(shift_tmix, wkv, shift_cmix)).run()
        for b, state in enumerate(states):
            state.shift_tmix[:], state.wkv[:], state.shift_cmix[:] = shift_tmix[:, b], wkv[:, b], shift_cmix[:, b]
        return logits

    def bind(self, tokens: np.ndarray, logits: np.ndarray, state: dict[str, np.ndarray]) -> Binding:
        outputs = {f"{name}.out": array for name, array in state.items()}
        return self.session.bind({"tokens": tokens, **state}, {"logits": logits, **outputs})


class _Bound:
    """One state bound to the session. Kept from token to token, because binding takes some 0.1 ms."""

    def __init__(self, decoder: Decoder, shape: tuple[int, int], state: State):
        self.state, self.tokens = state, np.empty(shape, np.int64)
        self._logits = np.empty((1, decoder.config.vocab), np.float32)
        views = inputs_of(state.shift_tmix[:, None], state.wkv[:, None], state.shift_cmix[:, None])
        self._binding = decoder.bind(self.tokens, self._logits, views)

    def run(self, tokens: np.ndarray) -> np.ndarray:
        self.tokens[:] = tokens
        self._binding.run()
        return self._logits.copy()


def inputs_of(shift_tmix: np.ndarray, wkv: np.ndarray, shift_cmix: np.ndarray) -> dict[str, np.ndarray]:
    """f32[L, B, D], f32[L, B, H, N, N], f32[L, B, D] under the names of the graph's inputs; views."""
    return {
        "shift_tmix": shift_tmix,
        "shift_cmix": shift_cmix,
        **{f"wkv.{i}": layer for i, layer in enumerate(wkv)},
    }
