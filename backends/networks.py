"""Published RWKV-7 sizes by name, so that a question about one needs no weights."""

from __future__ import annotations

from backends.base import ModelConfig
from backends.profiles import read

WORLD_VOCABULARY = 65536
RWKV7_HEAD_SIZE = 64


def rwkv7(layers: int, width: int, lora: tuple[int, int, int, int], vocab: int = WORLD_VOCABULARY) -> ModelConfig:
    """BlinkDL's x070 shape: heads of 64, channel-mix of 4 x width; `lora` ranks of w, a, v, g."""
    w, a, v, g = lora
    return ModelConfig(layers=layers, width=width, heads=width // RWKV7_HEAD_SIZE, head_size=RWKV7_HEAD_SIZE,
                       vocab=vocab, ffn=4 * width, decay_rank=w, iclr_rank=a, value_rank=v, gate_rank=g)  # fmt: skip


def rwkv7_sizes() -> dict[str, ModelConfig]:
    """`rwkv7-0.1b` and so on -> shape, smallest first."""
    table = read("networks/language.toml")["rwkv7"]
    return {name: rwkv7(**entry | {"lora": tuple(entry["lora"])}) for name, entry in table.items()}


def rwkv7_named(name: str) -> ModelConfig | None:
    """The size of that name; `0.1b` and `1.5B` do as well. None if there is none."""
    sizes, key = rwkv7_sizes(), name.lower()
    return sizes.get(key) or sizes.get(f"rwkv7-{key}")
