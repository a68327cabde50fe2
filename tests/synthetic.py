"""Shapes for tests, with weights from backends.synthetic, and their tensors in BlinkDL's layout."""

from __future__ import annotations

import numpy as np

from backends.base import ModelConfig
from backends.synthetic import TINY, synthetic_tensors, synthetic_weights

__all__ = ["ONE_HEAD", "RWKV7_0B1", "TINY", "synthetic_tensors", "synthetic_weights", "to_blinkdl"]

ONE_HEAD = ModelConfig(layers=3, width=64, heads=1, head_size=64, vocab=257, ffn=224,
                       decay_rank=8, iclr_rank=8, value_rank=4, gate_rank=16)  # fmt: skip
RWKV7_0B1 = ModelConfig(layers=12, width=768, heads=12, head_size=64, vocab=65536, ffn=3072,
                        decay_rank=64, iclr_rank=64, value_rank=32, gate_rank=128)  # fmt: skip


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
