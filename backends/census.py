"""Counts of one RWKV-7 pass: multiply-accumulates and bytes, by class of operation, from shapes alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod

from backends.base import ModelConfig
from backends.precisions import is_matrix, stored_bytes


@dataclass(frozen=True, slots=True)
class Census:
    """MACs of one token by class (a MAC of a stationary matrix touches exactly one weight)."""

    projection_macs: int  # receptance, key, value, output, channel-mix key and value
    lora_macs: int  # w, a, v, g pairs; layer 0 has no v
    head_macs: int
    state_macs: int  # S kk, two rank-1 updates, S r
    decay_macs: int  # S diag(w)
    vector_weights: int  # weights that are not matrices (norms, mixes, biases), each read once

    @property
    def stationary_macs(self) -> int:
        return self.projection_macs + self.lora_macs + self.head_macs

    @property
    def macs(self) -> int:
        return self.stationary_macs + self.state_macs + self.decay_macs


@lru_cache(maxsize=64)  # asked for with every pass
def census(config: ModelConfig) -> Census:
    """Exact counts per token."""
    L, D, N = config.layers, config.width, config.head_size
    ranks = config.decay_rank + config.iclr_rank + config.gate_rank
    return Census(
        projection_macs=L * (4 * D * D + 2 * D * config.ffn),
        lora_macs=2 * D * (L * ranks + (L - 1) * config.value_rank),
        head_macs=D * config.vocab,
        state_macs=4 * L * D * N,
        decay_macs=L * D * N,
        vector_weights=sum(prod(s) for n, s in config.tensor_shapes().items() if not is_matrix(n, s)),
    )


def pass_macs(config: ModelConfig, tokens: int, batch: int) -> int:
    """MACs of a pass of `tokens` x `batch`; the head runs once per sequence (logits of the last token only)."""
    c = census(config)
    return batch * (tokens * (c.macs - c.head_macs) + c.head_macs)


@lru_cache(maxsize=1024)
def pass_bytes(config: ModelConfig, tokens: int, batch: int, precision: str) -> int:
    """Bytes a dense pass must move: each weight once, embedding rows, and every state read and written once."""
    shapes = config.tensor_shapes()
    embedding = stored_bytes("emb.weight", shapes.pop("emb.weight"), precision) / config.vocab
    weights = sum(stored_bytes(name, shape, precision) for name, shape in shapes.items())
    return int(weights + tokens * batch * embedding + batch * 2 * config.state_floats * 4)
