"""Seeded synthetic RWKV-7 weights of any shape, scaled so that activations stay alive through all layers."""

from __future__ import annotations

import numpy as np

from backends.base import ModelConfig, Weights

TINY = ModelConfig(layers=2, width=128, heads=2, head_size=64, vocab=300, ffn=512,
                   decay_rank=16, iclr_rank=8, value_rank=8, gate_rank=24)  # fmt: skip
ONE_HEAD = ModelConfig(layers=3, width=64, heads=1, head_size=64, vocab=257, ffn=224,
                       decay_rank=8, iclr_rank=8, value_rank=4, gate_rank=16)  # fmt: skip
RWKV7_0B1 = ModelConfig(layers=12, width=768, heads=12, head_size=64, vocab=65536, ffn=3072,
                        decay_rank=64, iclr_rank=64, value_rank=32, gate_rank=128)  # fmt: skip


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


def to_blinkdl(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Canonical tensors in the layout of a BlinkDL .pth: LoRA factors [in, out], vectors [1, 1, D] where theirs are."""
    out = {}
    for name, t in tensors.items():
        leaf = name.rsplit(".", 1)[-1]
        if leaf in ("w1", "w2", "a1", "a2", "v1", "v2", "g1", "g2"):
            t = np.ascontiguousarray(t.T)
        elif leaf in ("w0", "a0", "v0", "k_k", "k_a") or leaf.startswith("x_"):
            t = t.reshape(1, 1, -1)
        out[name] = t
    return out
