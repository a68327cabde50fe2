"""From logits to the next token: pure, seeded, and the same for every backend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GREEDY_TEMPERATURE = 1e-3
"""At or below this temperature the choice is the arg max: dividing by less would overflow float32."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the next token is chosen. Temperature 0 is greedy; top_k 0 and top_p 1 are off.

    Penalties follow OpenAI's definition (logit -= presence * [seen] + frequency * count) with RWKV's decay:
    every count is multiplied by `penalty_decay` per token (BlinkDL's chat demos use 0.996), so that a long
    reply may use its words again.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    penalty_decay: float = 0.996
    seed: int = 0


class Sampler:
    """The choice of tokens for one sequence: parameters plus the counts that its penalties need.

    The same (params, logits) always give the same tokens: token number i is drawn with a generator keyed
    by (seed, i), so a retry, another batch or another backend with equal logits does not change the text.
    """

    def __init__(self, params: SamplingParams):
        self.params = params
        self._counts: dict[int, float] = {}
        self._drawn = 0

    def sample(self, logits: np.ndarray) -> int:
        """logits f32[V] (not modified) -> token id; records the choice for the penalties.

        Raises ValueError when no logit is finite: the model's state is broken and any choice would hide it.
        """
        token = choose(self._penalised(logits), self.params, self._drawn)
        self._drawn += 1
        if self.params.presence_penalty or self.params.frequency_penalty:
            for seen in self._counts:
                self._counts[seen] *= self.params.penalty_decay
            self._counts[token] = self._counts.get(token, 0.0) + 1.0
        return token

    def _penalised(self, logits: np.ndarray) -> np.ndarray:
        if not self._counts:
            return logits
        out = logits.copy()
        ids = np.fromiter(self._counts, np.int64, len(self._counts))
        counts = np.fromiter(self._counts.values(), np.float32, len(self._counts))
        out[ids] -= np.float32(self.params.presence_penalty) + np.float32(self.params.frequency_penalty) * counts
        return out


def choose(logits: np.ndarray, params: SamplingParams, draw: int) -> int:
    """Token `draw` of a sequence: temperature, then top-k, then top-p (nucleus), then inverse CDF."""
    best = int(np.argmax(logits))
    if not np.isfinite(logits[best]):
        raise ValueError("no finite logit: the model's state holds NaN or infinity")
    if params.temperature <= GREEDY_TEMPERATURE or params.top_k == 1:
        return best
    ids, probs = nucleus(logits, params, float(logits[best]))
    # SeedSequence spreads neighbouring (seed, draw) pairs; a per-draw key makes draws independent of history
    uniform = np.random.default_rng((params.seed & 0xFFFFFFFFFFFFFFFF, draw)).random()
    return int(ids[min(int(np.searchsorted(np.cumsum(probs), uniform, side="right")), len(ids) - 1)])


def nucleus(logits: np.ndarray, params: SamplingParams, best: float) -> tuple[np.ndarray, np.ndarray]:
    """The candidates that survive top-k and top-p: (ids by falling probability, probabilities that sum to 1)."""
    scaled = (logits.astype(np.float64) - best) / params.temperature
    weights = np.exp(scaled, out=np.zeros_like(scaled), where=np.isfinite(scaled))
    keep = np.flatnonzero(weights)
    if 0 < params.top_k < len(keep):
        kth = np.partition(weights[keep], len(keep) - params.top_k)[len(keep) - params.top_k]
        keep = keep[weights[keep] >= kth]
    order = keep[np.argsort(-weights[keep], kind="stable")]
    if 0 < params.top_k < len(order):  # ties at the k-th place: lower ids win
        order = order[: params.top_k]
    probs = weights[order] / weights[order].sum()
    if params.top_p < 1.0:
        n = int(np.searchsorted(np.cumsum(probs), max(params.top_p, 0.0), side="left")) + 1
        order, probs = order[:n], probs[:n] / probs[:n].sum()
    return order, probs
