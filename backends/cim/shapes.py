"""What a language model is made of, from its shape alone: stationary matrices in order, and known sizes."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import lru_cache

from backends.base import ModelConfig
from backends.networks import rwkv7_named
from backends.profiles import read

STAGES = ("mix in", "low rank out", "output", "channel key", "channel value")
"""The serial matrix-vector products of one RWKV-7 layer: what shares a stage needs nothing of another's result, and can
run at once."""


class UnknownModel(KeyError):
    """No model of that name is known; the message suggests the nearest."""

    def __str__(self) -> str:
        return self.args[0]


@dataclass(frozen=True, slots=True)
class Matrix:
    """A stationary matrix [outputs, inputs] and when it runs."""

    name: str
    outputs: int
    inputs: int
    stage: int  # serial position within one token: 5 * layer + index into STAGES; the head is the last

    @property
    def weights(self) -> int:
        return self.outputs * self.inputs


@dataclass(frozen=True, slots=True)
class Transformer:
    """The shape of a Llama-style decoder."""

    name: str
    layers: int
    width: int
    heads: int
    kv: int  # key/value heads
    head_size: int
    ffn: int
    vocab: int

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        q, kv, out = self.heads * self.head_size, self.kv * self.head_size, []
        for i in range(self.layers):
            b = f"layers.{i}."
            out += [Matrix(b + "q", q, self.width, 4 * i), Matrix(b + "k", kv, self.width, 4 * i),
                    Matrix(b + "v", kv, self.width, 4 * i), Matrix(b + "o", self.width, q, 4 * i + 1),
                    Matrix(b + "gate", self.ffn, self.width, 4 * i + 2),
                    Matrix(b + "up", self.ffn, self.width, 4 * i + 2),
                    Matrix(b + "down", self.width, self.ffn, 4 * i + 3)]  # fmt: skip
        return (*out, Matrix("head", self.vocab, self.width, 4 * self.layers))

    @property
    def stationary_weights(self) -> int:
        return sum(m.weights for m in self.matrices)


def known_models() -> tuple[str, ...]:
    table = read("networks/language.toml")
    return (*table["rwkv7"], *table["transformer"])


def known(name: str) -> ModelConfig | Transformer:
    """A published model by name; `0.1b` and `1.5B` mean the RWKV-7 of that size. Raises UnknownModel."""
    if (size := rwkv7_named(name)) is not None:
        return size
    table, key = read("networks/language.toml"), name.lower()
    if key in table["transformer"]:
        return Transformer(key, **table["transformer"][key])
    near = difflib.get_close_matches(key, known_models(), 1, 0.5)
    raise UnknownModel(f"no published model '{name}'" + (f": did you mean '{near[0]}'?" if near else ""))


@lru_cache(maxsize=64)
def matrices(config: ModelConfig) -> tuple[Matrix, ...]:
    """The stationary matrices of an RWKV-7 in order of execution; the embedding is a look-up and not among them."""
    D, out = config.width, []
    ranks = {"w": config.decay_rank, "a": config.iclr_rank, "v": config.value_rank, "g": config.gate_rank}
    for i in range(config.layers):
        b, s = f"blocks.{i}.", 5 * i
        low = [c for c in ranks if not (i == 0 and c == "v")]
        out += [Matrix(f"{b}att.{n}.weight", D, D, s) for n in ("receptance", "key", "value")]
        out += [Matrix(f"{b}att.{c}1", ranks[c], D, s) for c in low]
        out += [Matrix(f"{b}att.{c}2", D, ranks[c], s + 1) for c in low]
        out += [Matrix(f"{b}att.output.weight", D, D, s + 2)]
        out += [
            Matrix(f"{b}ffn.key.weight", config.ffn, D, s + 3),
            Matrix(f"{b}ffn.value.weight", D, config.ffn, s + 4),
        ]
    return (*out, Matrix("head.weight", config.vocab, D, 5 * config.layers))


def stage_name(stage: int, layers: int) -> str:
    return "head" if stage == 5 * layers else f"layer {stage // 5} {STAGES[stage % 5]}"
