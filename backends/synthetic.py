"""Seeded synthetic RWKV-7 weights of any shape, scaled so that activations stay alive through all layers."""

from __future__ import annotations

import numpy as np

from backends.base import ModelConfig, Weights
from backends.precisions import format_of
from backends.tensors import TensorLike, quantize_int8

TINY = ModelConfig(layers=2, width=128, heads=2, head_size=64, vocab=300, ffn=512,
                   decay_rank=16, iclr_rank=8, value_rank=8, gate_rank=24)  # fmt: skip
"""Small enough for a check of a moment, and with every part of the architecture."""


def synthetic_tensors(config: ModelConfig, seed: int = 0) -> dict[str, np.ndarray]:
    """Canonical float32 tensors: matrices ~ N(0, 1/in), norms near 1, mixes in [0, 1], decay biases spread."""
    rng = np.random.default_rng(seed)
    normal = lambda shape, scale: rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)  # noqa: E731
    tensors = {}
    for name, shape in config.tensor_shapes().items():
        leaf = name.rsplit(".", 2)[-1] if name.endswith(("0", "1", "2", "k", "a", "r", "w", "v", "g")) else name
        if name == "emb.weight":
            t = normal(shape, 1.0)
        elif len(shape) == 2 and leaf != "r_k":
            t = normal(shape, shape[1] ** -0.5)
        elif ".x_" in name:
            t = rng.random(shape, dtype=np.float32)
        elif leaf == "w0":
            t = rng.uniform(-6, 1, shape).astype(np.float32)
        elif "ln" in name and name.endswith("weight"):
            t = 1 + normal(shape, 0.1)
        elif leaf in ("k_k", "k_a"):
            t = 0.9 + normal(shape, 0.1)
        else:
            t = normal(shape, 0.1)
        tensors[name] = t
    return tensors


def synthetic_weights(config: ModelConfig, seed: int = 0) -> Weights:
    return Weights(synthetic_tensors(config, seed), "fp32", source_hash=f"synthetic-{seed}")


def in_int8(weights: Weights) -> Weights:
    """The same weights, with its matrices rounded to int8 (see backends.precisions.format_of)."""
    tensors: dict[str, TensorLike] = {}
    for name in weights:
        narrow = format_of(name, weights[name].shape, "int8") == "int8"
        tensors[name] = quantize_int8(weights[name]) if narrow else weights[name]
    return Weights(tensors, "int8", weights.source_hash)
