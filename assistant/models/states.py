"""State-tuned files: a starting memory that turns a model into a character or a skill, without touching its weights.

RWKV-PEFT and RWKV-LM's state tuning write `blocks.<i>.att.time_state` [heads, value, key] for each layer; for RWKV-7
the matrix stands in the file as the recurrence uses it (older versions stored its transpose). Ours is key-major, so it
is turned. Token shifts start at zero.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from assistant.errors import ModelFileError
from assistant.models.pth import read_pth
from backends.base import ModelConfig, State

NAME = re.compile(r"(?:module\.|_orig_mod\.)*blocks\.(\d+)\.att\.time_state")


def load_state(path: Path, config: ModelConfig) -> State:
    """A state as the store keeps it. Raises ModelFileError."""
    try:
        return State(config, np.load(path, allow_pickle=False))
    except (OSError, ValueError) as error:
        raise ModelFileError("damaged starting state", where=path, why=error, hint="Add the model again") from error


def read_tuned_state(path: Path, config: ModelConfig) -> State:
    """The starting state that a state-tuned `.pth` describes. Raises ModelFileError if it is for another shape of
    model.
    """
    tensors = read_pth(path)
    found = {int(match[1]): tensor for name, tensor in tensors.items() if (match := NAME.fullmatch(name))}
    if not found:
        raise ModelFileError("not a state-tuned file", where=path, why="it has no tensor blocks.<i>.att.time_state")
    if set(found) != set(range(config.layers)):
        why = f"it has {len(found)} layers, the model {config.layers}"
        raise ModelFileError("the state does not fit the model", where=path, why=why)
    state, shape = State(config), (config.heads, config.head_size, config.head_size)
    for layer, tensor in found.items():
        if tensor.shape != shape:
            why = f"layer {layer} is {list(tensor.shape)}, the model's is {list(shape)}"
            raise ModelFileError("the state does not fit the model", where=path, why=why)
        values = tensor.astype(np.float32)
        if not np.isfinite(values).all():
            raise ModelFileError("the state holds infinite values or NaN", where=path, why=f"in layer {layer}")
        state.wkv[layer] = values.transpose(0, 2, 1)
    return state
