"""From logits to the next token: pure, seeded, and the same for every backend."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

NEGLIGIBLE = 2.0**-24
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
        self._scratch = np.empty(0, np.float32)

    def sample(self, logits: np.ndarray) -> int:
        """logits f32[V] (not modified) -> token id; records the choice for the penalties.

        Raises ValueError when no logit is finite: the model's state is broken and any choice would hide it.
        """
        if self._scratch.shape != logits.shape:
            self._scratch = np.empty_like(logits)
        token = choose(self._penalised(logits), self.params, self._drawn, self._scratch)
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


def choose(logits: np.ndarray, params: SamplingParams, draw: int, scratch: np.ndarray | None = None) -> int:
    """Token `draw` of a sequence: temperature, then top-k, then top-p (nucleus), then inverse CDF in order of ids."""
    best = int(np.argmax(logits))
    if not np.isfinite(logits[best]):
        raise ValueError("no finite logit: the model's state holds NaN or infinity")
    if params.temperature <= GREEDY_TEMPERATURE or params.top_k == 1:
        return best
    ids, probs = nucleus(logits, params, float(logits[best]), scratch)
    at = int(np.searchsorted(np.cumsum(probs), uniform(params.seed, draw), side="right"))
    return int(ids[min(at, len(ids) - 1)])


def uniform(seed: int, draw: int) -> float:
    """A number in [0, 1) that depends on (seed, draw) alone: a hash, because seeding a generator takes longer."""
    key = (seed & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "little") + draw.to_bytes(8, "little")
    return (int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little") >> 11) * 2.0**-53


def nucleus(
    logits: np.ndarray, params: SamplingParams, best: float, scratch: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The candidates that survive top-k and top-p: (ids in rising order, probabilities that sum to 1).

    A token less likely than 2^-24 of the best is none: float32 could not add it to the best one's weight. What is
    left is sorted only as far down as the limits can reach, so that a large vocabulary costs a few looks at each logit.
    scratch: an array like `logits` to work in, because a fresh one of 65,536 costs 64 page faults.
    """
    weights = np.subtract(logits, np.float32(best), out=scratch)
    weights *= np.float32(1 / params.temperature)
    np.exp(weights, out=weights)
    if params.top_k <= 0 and params.top_p >= 1.0:
        ids = np.flatnonzero(weights >= NEGLIGIBLE)
        return ids, weights[ids] / weights[ids].sum(dtype=np.float64)
    total, find = float(weights.sum()), _Finder(weights)
    for floor in (2.0**-3, 2.0**-6, 2.0**-12, NEGLIGIBLE):
        ids = find.at_least(np.float32(floor))
        likely = weights[ids]
        if len(ids) >= params.top_k and (params.top_k > 0 or likely.sum() >= params.top_p * total):
            break
    falling = np.sort(likely)[::-1]
    if params.top_k > 0:
        falling = falling[: params.top_k]
        total = float(falling.sum())
    n = len(falling)
    if params.top_p < 1.0:
        wanted = max(params.top_p, 0.0) * total
        n = min(int(np.searchsorted(np.cumsum(falling, dtype=np.float64), wanted, side="left")) + 1, n)
    above = np.flatnonzero(likely > falling[n - 1])
    ties = np.flatnonzero(likely == falling[n - 1])[: n - len(above)]  # lower ids win
    keep = np.sort(np.concatenate([above, ties]))
    return ids[keep], likely[keep] / likely[keep].sum(dtype=np.float64)


class _Finder:
    """Finds the ids of large weights again and again: the largest of every STRIDE-th weight is looked at first."""

    STRIDE = 1024

    def __init__(self, weights: np.ndarray):
        rows = len(weights) // self.STRIDE
        self._weights, self._table = weights, weights[: rows * self.STRIDE].reshape(rows, self.STRIDE)
        self._largest = self._table.max(axis=0) if rows else weights[:0]

    def at_least(self, floor: np.float32) -> np.ndarray:
        """Ids in rising order."""
        columns = np.flatnonzero(self._largest >= floor)
        if len(columns) > self.STRIDE // 4:  # too many to gain anything
            return np.flatnonzero(self._weights >= floor)
        rows, at = np.nonzero(self._table[:, columns] >= floor)
        rest = self._table.size + np.flatnonzero(self._weights[self._table.size :] >= floor)
        return np.concatenate([np.sort(rows * self.STRIDE + columns[at]), rest])
