"""The store's own file: one model in one precision as safetensors that a start maps in milliseconds.

A float tensor is stored under its canonical name; a QuantizedMatrix as int8 `name` and float32 `name.scale`,
an Int4Matrix as uint8 `name` (two columns a byte) and float16 `name.scale`.
Metadata: format, precision, source_sha256, model.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from assistant.errors import ModelFileError
from assistant.models.safetensors_file import SafetensorsFile, read_safetensors, write_safetensors
from backends.base import Weights
from backends.tensors import FLOAT_DTYPES, GROUP, Int4Matrix, QuantizedMatrix, TensorLike

FORMAT = "rwkv-assistant-weights-1"
SCALE = ".scale"
REBUILD = "Add the model again from its source file"


def save_packed(path: Path, weights: Weights, model: str = "") -> None:
    """Write the weights as they are stored; the file appears whole or not at all."""
    tensors: dict[str, np.ndarray] = {}
    for name in weights:
        tensor = weights.raw(name)
        if isinstance(tensor, QuantizedMatrix | Int4Matrix):
            tensors[name], tensors[name + SCALE] = tensor.q, tensor.scale
        else:
            tensors[name] = tensor
    metadata = {
        "format": FORMAT,
        "precision": weights.precision,
        "source_sha256": weights.source_hash,
        "model": model,
    }
    write_safetensors(path, tensors, metadata)


def load_packed(path: Path) -> Weights:
    """Map a file that `save_packed` wrote. Raises ModelFileError."""
    file = read_safetensors(path)
    if not is_packed(file):
        why = f"its format is {file.metadata.get('format')!a}, expected '{FORMAT}'"
        raise ModelFileError("not a packed model", where=path, why=why, hint=REBUILD)
    return unpack(file, path)


def is_packed(file: SafetensorsFile) -> bool:
    return file.metadata.get("format") == FORMAT


def unpack(file: SafetensorsFile, path: Path) -> Weights:
    """Pair quantized matrices with their scales and check every shape and type."""
    tensors: dict[str, TensorLike] = {}
    for name, tensor in file.tensors.items():
        if name.endswith(SCALE):
            if name.removesuffix(SCALE) not in file.tensors:
                raise _damaged(path, f"{name!a} has no matrix")
            continue
        scale = file.tensors.get(name + SCALE)
        if tensor.dtype == np.int8:
            if scale is None or tensor.ndim != 2 or scale.shape != tensor.shape[:1]:
                raise _damaged(path, f"int8 matrix {name!a} lacks a scale for each row")
            if scale.dtype != np.float32:
                raise _damaged(path, f"the scale of {name!a} is {scale.dtype}, not float32")
            tensors[name] = QuantizedMatrix(tensor, scale)
        elif tensor.dtype == np.uint8:
            groups = (len(tensor), 2 * tensor.shape[1] // GROUP) if tensor.ndim == 2 else None
            if scale is None or scale.shape != groups or 2 * tensor.shape[1] % GROUP:
                raise _damaged(path, f"int4 matrix {name!a} lacks a scale for each group of {GROUP}")
            if scale.dtype != np.float16:
                raise _damaged(path, f"the scale of {name!a} is {scale.dtype}, not float16")
            tensors[name] = Int4Matrix(tensor, scale)
        elif tensor.dtype in FLOAT_DTYPES.values() and scale is None:
            tensors[name] = tensor
        else:
            raise _damaged(path, f"tensor {name!a} has the type {tensor.dtype}")
    try:
        weights = Weights(tensors, file.metadata.get("precision", ""), file.metadata.get("source_sha256", ""))
    except ValueError as error:  # BadWeights, or a layer number of a thousand digits
        raise _damaged(path, error) from error
    if len(weights) != len(tensors):
        raise _damaged(path, f"{len(tensors) - len(weights)} tensors are unknown")
    return weights


def _damaged(path: Path, why: object) -> ModelFileError:
    return ModelFileError("damaged packed model", where=path, why=why, hint=REBUILD)
