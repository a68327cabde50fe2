"""State-tuned files: a starting memory that turns a model into a character or a skill, without touching its weights.

RWKV-PEFT and RWKV-LM's state tuning write `blocks.<i>.att.time_state` [heads, value, key] for each layer; for RWKV-7
the matrix stands in the file as the recurrence uses it (older versions stored its transpose). Ours is key-major, so it
is turned. Token shifts start at zero.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from assistant.errors import ModelFileError
from assistant.models.pth import read_pth
from backends.base import ModelConfig, State

NAME = re.compile(r"(?:module\.|_orig_mod\.)*blocks\.(\d+)\.att\.time_state")


def load_state(path: Path, config: ModelConfig) -> State:
    """A state as the store keeps it. Raises ModelFileError."""
    expected = io.BytesIO()
    npy.write_array_header_1_0(expected, {"descr": "<f4", "fortran_order": False, "shape": (config.state_floats,)})
    header = expected.getvalue()
    try:
        content = Path(path).read_bytes()
        # There is one right header, so it is compared: NumPy's reader raises whatever its parts do on a damaged one.
        if not content.startswith(header):
            raise ValueError(f"it does not begin as float32[{config.state_floats}] does")
        return State(config, np.frombuffer(content, np.float32, offset=len(header)).copy())
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
