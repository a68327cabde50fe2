"""Merging a fine-tuned adapter into a model: low-rank pairs, and whole tensors that replace the model's own.

An adapter file of RWKV-PEFT holds `<name>.lora_A` [rank, in] and `<name>.lora_B` [out, rank] for each matrix
`<name>.weight`, which becomes W + (alpha / rank) B A (Hu et al., 2021, arXiv 2106.09685), and may hold other tensors of
the model in full. Not to be confused with RWKV-7's own low-rank pairs (w1, w2, ...), which are part of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from assistant.errors import ModelFileError
from assistant.models.pth import read_pth
from assistant.models.safetensors_file import read_safetensors
from backends.base import Weights

DOWN, UP = ".lora_A", ".lora_B"
TRANSPOSED = ("w1", "w2", "a1", "a2", "v1", "v2", "g1", "g2")  # [in, out] in BlinkDL's files, [out, in] in ours


def read_adapter(path: Path) -> dict[str, np.ndarray]:
    """The tensors of an adapter, `.pth` or `.safetensors`. Raises ModelFileError."""
    if path.suffix == ".safetensors":
        return dict(read_safetensors(path).tensors)
    return read_pth(path)


def merged(weights: Weights, adapter: Mapping[str, np.ndarray], alpha: float, where: Path) -> Weights:
    """The model with the adapter in it, in the model's own precision for what is untouched and float32 for the rest.

    Raises ModelFileError if the adapter has a half pair, or a tensor that the model has not or in another shape.
    """
    tensors = {name: weights.raw(name) for name in weights}
    used = set()
    for name, down in adapter.items():
        if not name.endswith(DOWN):
            continue
        target, up = name.removesuffix(DOWN) + ".weight", adapter.get(name.removesuffix(DOWN) + UP)
        if up is None:
            raise _refusal(where, f"{name} has no {UP} beside it")
        if target not in tensors:
            raise _refusal(where, f"the model has no {target}")
        low, high = down.astype(np.float32), up.astype(np.float32)
        shape = tuple(tensors[target].shape)
        if low.ndim != 2 or high.ndim != 2 or low.shape[0] != high.shape[1] or (len(high), low.shape[1]) != shape:
            raise _refusal(where, f"{target} is {list(shape)}, the pair makes {[len(high), low.shape[-1]]}")
        tensors[target] = weights[target] + np.float32(alpha / low.shape[0]) * (high @ low)
        used |= {name, name.removesuffix(DOWN) + UP}
    for name, tensor in adapter.items():
        if name in used or name.endswith((DOWN, UP)):
            continue
        if name not in tensors:
            raise _refusal(where, f"the model has no {name}")
        whole = tensor.astype(np.float32)
        whole = whole.T if name.rpartition(".")[2] in TRANSPOSED else whole
        shape = tuple(tensors[name].shape)
        if whole.size != int(np.prod(shape)) or (
            len(shape) == 2 and whole.squeeze().shape != tuple(d for d in shape if d > 1)
        ):
            raise _refusal(where, f"{name} is {list(tensor.shape)}, the model's is {list(shape)}")
        tensors[name] = np.ascontiguousarray(whole).reshape(shape)
    if unpaired := sorted(name for name in adapter if name.endswith(UP) and name not in used):
        raise _refusal(where, f"{unpaired[0]} has no {DOWN} beside it")
    return Weights(tensors, weights.precision, weights.source_hash)


def _refusal(where: Path, why: str) -> ModelFileError:
    return ModelFileError(
        "the adapter does not fit the model", where=where, why=why, hint="Use the model it was trained on"
    )
