"""The contract every device fulfils: configuration, weights, state, cost and the Backend protocol."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from backends.tensors import Int4Matrix, QuantizedMatrix, TensorLike, dequantize

Basis = Literal["measured", "modelled", "simulated"]
"""Where a number comes from. `simulated`: a model of hardware that is not present."""


class BackendUnavailable(Exception):
    """The device cannot be used on this machine; `reason` says why, in one sentence."""

    def __init__(self, backend: str, reason: str):
        super().__init__(f"backend '{backend}' is unavailable: {reason}")
        self.backend, self.reason = backend, reason


class BadWeights(ValueError):
    """The tensors do not form an RWKV-7 model; the message names the tensor, what it is and what was expected."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The shape of one RWKV-7 model, read from its tensors and never guessed."""

    layers: int  # L
    width: int  # D, the residual stream
    heads: int  # H
    head_size: int  # N; H * N == D
    vocab: int  # V
    ffn: int  # F, rows of channel-mix's key
    decay_rank: int  # LoRA ranks, one per low-rank pair: w
    iclr_rank: int  # a
    value_rank: int  # v (layers 1..L-1; layer 0 defines v_first); 0 when L == 1
    gate_rank: int  # g

    @property
    def state_floats(self) -> int:
        """Number of float32 values in one State: L * (D + H*N*N + D)."""
        return self.layers * (2 * self.width + self.heads * self.head_size**2)

    @staticmethod
    def from_shapes(shapes: Mapping[str, tuple[int, ...]]) -> ModelConfig:
        """Read the configuration from canonical tensor shapes (see `Weights`).

        Raises BadWeights naming the first tensor that is missing or does not fit.
        """

        def shape(name: str, ndim: int) -> tuple[int, ...]:
            if name not in shapes:
                raise BadWeights(f"tensor '{name}' is missing: this is not a complete RWKV-7 (x070) model")
            if len(shapes[name]) != ndim:
                raise BadWeights(f"tensor '{name}' has shape {list(shapes[name])}, expected {ndim} dimensions")
            return shapes[name]

        layer_ids = {int(m[1]) for name in shapes if (m := re.match(r"blocks\.(\d+)\.", name))}
        if not layer_ids or layer_ids != set(range(len(layer_ids))):
            raise BadWeights(f"layers are not numbered 0..L-1: found {sorted(layer_ids)[:8]}")
        layers = len(layer_ids)
        vocab, width = shape("emb.weight", 2)
        heads, head_size = shape("blocks.0.att.r_k", 2)
        rank = lambda x, layer=0: shape(f"blocks.{layer}.att.{x}1", 2)[0]  # noqa: E731
        config = ModelConfig(
            layers=layers, width=width, heads=heads, head_size=head_size, vocab=vocab,
            ffn=shape("blocks.0.ffn.key.weight", 2)[0],
            decay_rank=rank("w"), iclr_rank=rank("a"), gate_rank=rank("g"),
            value_rank=rank("v", 1) if layers > 1 else 0,
        )  # fmt: skip
        for name, expected in config.tensor_shapes().items():
            if shape(name, len(expected)) != expected:
                raise BadWeights(f"tensor '{name}' has shape {list(shapes[name])}, expected {list(expected)}")
        return config

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Every canonical tensor and its shape, in execution order. Matrices are [out, in]."""
        D, F = self.width, self.ffn
        shapes: dict[str, tuple[int, ...]] = {"emb.weight": (self.vocab, D)}
        for i in range(self.layers):
            b = f"blocks.{i}."
            if i == 0:
                shapes |= {b + "ln0.weight": (D,), b + "ln0.bias": (D,)}
            shapes |= {b + "ln1.weight": (D,), b + "ln1.bias": (D,)}
            shapes |= {b + f"att.x_{c}": (D,) for c in "rwkvag"}
            ranks = {"w": self.decay_rank, "a": self.iclr_rank, "v": self.value_rank, "g": self.gate_rank}
            if i == 0:
                del ranks["v"]
            for c, r in ranks.items():
                shapes |= {b + f"att.{c}1": (r, D), b + f"att.{c}2": (D, r)}
                if c != "g":
                    shapes[b + f"att.{c}0"] = (D,)
            shapes |= {b + "att.k_k": (D,), b + "att.k_a": (D,), b + "att.r_k": (self.heads, self.head_size)}
            shapes |= {b + f"att.{m}.weight": (D, D) for m in ("receptance", "key", "value", "output")}
            shapes |= {b + "att.ln_x.weight": (D,), b + "att.ln_x.bias": (D,)}
            shapes |= {b + "ln2.weight": (D,), b + "ln2.bias": (D,), b + "ffn.x_k": (D,)}
            shapes |= {b + "ffn.key.weight": (F, D), b + "ffn.value.weight": (D, F)}
        shapes |= {"ln_out.weight": (D,), "ln_out.bias": (D,), "head.weight": (self.vocab, D)}
        if self.heads * self.head_size != D:
            raise BadWeights(f"{self.heads} heads of {self.head_size} do not make a width of {D}")
        return shapes


class Weights(Mapping[str, np.ndarray]):
    """Read-only weights of one model in canonical form, possibly memory-mapped and quantized.

    Canonical form: BlinkDL's x070 names; vectors are 1-D; `r_k` is [H, N]; every matrix is [out, in], so
    that each product is `x @ W.T` (BlinkDL's LoRA factors `w1`, `w2`, ... are transposed on loading);
    layer 0 has no v0/v1/v2. `weights[name]` gives float32 (dequantized); `raw(name)` what is stored.
    Raises BadWeights when the tensors do not form a model.
    """

    def __init__(self, tensors: Mapping[str, TensorLike], precision: str, source_hash: str = ""):
        self.config = ModelConfig.from_shapes({n: tuple(t.shape) for n, t in tensors.items()})
        self.precision, self.source_hash = precision, source_hash
        self._tensors = {name: tensors[name] for name in self.config.tensor_shapes()}

    def raw(self, name: str) -> TensorLike:
        return self._tensors[name]

    def __getitem__(self, name: str) -> np.ndarray:
        return dequantize(self._tensors[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    @property
    def nbytes(self) -> int:
        """Bytes as stored (quantized), not as float32."""
        return sum(t.nbytes for t in self._tensors.values())


def _aligned_zeros(n: int) -> np.ndarray:
    """f32[n] that begins at a cache line: kernels read states in whole lines, and NumPy aligns to 16 bytes only."""
    raw = np.zeros(4 * n + 63, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + 4 * n].view(np.float32)


class State:
    """All that a conversation needs: one flat float32 buffer with three views.

    shift_tmix f32[L, D]: time-mix's previous input; wkv f32[L, H, N, N]: [key, value] memory (a row of values
    per key, so that kernels work on whole rows); shift_cmix f32[L, D]: channel-mix's previous input.
    A copy is a fork, a file is a checkpoint.
    """

    __slots__ = ("config", "data", "shift_cmix", "shift_tmix", "wkv")

    def __init__(self, config: ModelConfig, data: np.ndarray | None = None):
        if data is None:
            data = _aligned_zeros(config.state_floats)
        if data.shape != (config.state_floats,) or data.dtype != np.float32:
            raise ValueError(f"state buffer is {data.dtype}{list(data.shape)}, expected float32[{config.state_floats}]")
        L, D, H, N = config.layers, config.width, config.heads, config.head_size
        self.config, self.data = config, data
        self.shift_tmix = data[: L * D].reshape(L, D)
        self.wkv = data[L * D : L * D + L * H * N * N].reshape(L, H, N, N)
        self.shift_cmix = data[L * D + L * H * N * N :].reshape(L, D)

    def copy(self) -> State:
        twin = State(self.config)
        twin.assign(self)
        return twin

    def assign(self, other: State) -> None:
        """Overwrite this state in place (a roll-back)."""
        self.data[:] = other.data


@dataclass(frozen=True, slots=True)
class Workload:
    """One pass over the weights: `tokens` per sequence for `batch` sequences (decode is tokens=1)."""

    tokens: int = 1
    batch: int = 1
    precision: str = "fp32"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one pass costs on the device, by the device's own model; never host wall time.

    Real host backends report `modelled` (the engine measures their wall time beside it);
    chips that are not here report `simulated`.
    """

    latency_s: float = 0.0
    energy_j: float = 0.0
    macs: int = 0
    bytes_moved: int = 0
    basis: Basis = "modelled"

    def __add__(self, other: Cost) -> Cost:
        if self.basis != other.basis:
            raise ValueError(f"costs of different basis are never added: {self.basis} + {other.basis}")
        return Cost(self.latency_s + other.latency_s, self.energy_j + other.energy_j, self.macs + other.macs,
                    self.bytes_moved + other.bytes_moved, self.basis)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """The result of one pass. logits f32[V] after prefill, f32[B, V] after decode."""

    logits: np.ndarray
    cost: Cost


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """What is known of a device before anything is loaded."""

    name: str
    description: str
    simulated: bool
    precisions: tuple[str, ...]
    capacity_bytes: int | None = None  # None: bounded by host memory
    energy_model: str = ""  # how `Cost.energy_j` is made, in words, with its constants and their source
    preference: int = 0  # which real device is tried first where nobody has chosen; the higher the faster
    options: Mapping[str, object] = field(default_factory=dict)


@runtime_checkable
class Backend(Protocol):
    """One device that runs RWKV-7. States are updated in place; a failed pass leaves them unspecified.

    A constructor may take `threads: int | None` (None: its own choice) and `cache_dir: Path | None` (a folder of its
    own for what can be made again at any time, which it creates; None: keep nothing).
    """

    info: BackendInfo

    def load(self, weights: Weights) -> None:
        """Program the device, once. Raises BadWeights, BackendUnavailable (does not fit)."""

    def prefill(self, tokens: np.ndarray, state: State) -> Step:
        """Consume i32[T >= 1] into `state`; logits f32[V] of the last token."""

    def decode(self, tokens: np.ndarray, states: Sequence[State]) -> Step:
        """One token i32[B] for each of B distinct states in one pass over the weights; logits f32[B, V]."""

    def estimate(self, config: ModelConfig, workload: Workload) -> Cost:
        """Predict one pass without weights; the same function bills `Step.cost`."""

    def close(self) -> None:
        """Give the device back. Idempotent."""


__all__ = [
    "Backend", "BackendInfo", "BackendUnavailable", "BadWeights", "Basis", "Cost", "Int4Matrix",
    "ModelConfig", "QuantizedMatrix", "State", "Step", "Weights", "Workload",
]  # fmt: skip
