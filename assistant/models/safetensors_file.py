"""safetensors: a bounds-checked reader that copies nothing, and an atomic writer with aligned data.

Format: https://github.com/huggingface/safetensors#format (u64 header length, JSON header, data; no holes,
no duplicate names, header at most 100 MB).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from assistant.errors import ModelFileError
from assistant.models.atomic import replacing
from assistant.models.mapped import DOWNLOAD_AGAIN, map_file, view

MAX_HEADER_BYTES = 100_000_000
DATA_ALIGNMENT_BYTES = 4096  # a page: the data region can be mapped or registered on its own
TENSOR_ALIGNMENT_BYTES = 64  # a cache line, and the widest vector load
DTYPES = {
    "F64": np.dtype(np.float64), "F32": np.dtype(np.float32), "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16), "I64": np.dtype(np.int64), "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16), "I8": np.dtype(np.int8), "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}  # fmt: skip
NAMES = {dtype: name for name, dtype in DTYPES.items()}


class SafetensorsFile(NamedTuple):
    """Tensors are read-only views of the mapped file."""

    tensors: dict[str, np.ndarray]
    metadata: dict[str, str]


def read_safetensors(path: Path) -> SafetensorsFile:
    """Map the file; no tensor data is read until it is used. Raises ModelFileError."""
    data = map_file(path)

    def damaged(why: str) -> ModelFileError:
        return ModelFileError("damaged safetensors file", where=path, why=why, hint=DOWNLOAD_AGAIN)

    header_bytes = int.from_bytes(data[:8].tobytes(), "little")
    if data.size < 8 or header_bytes > MAX_HEADER_BYTES or 8 + header_bytes > data.size:
        raise damaged(f"its header would be {header_bytes} bytes long, the file is {data.size}")
    try:
        header = json.loads(data[8 : 8 + header_bytes].tobytes(), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise damaged(f"its header is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise damaged("its header is not a JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise damaged("its metadata is not a table of texts")
    content = data[8 + header_bytes :]
    tensors, spans = {}, []
    for name, entry in header.items():
        dtype, shape, begin, end = _entry(name, entry, damaged)
        tensors[name] = array = view(content, begin, dtype, shape, name, path)
        if end - begin != array.nbytes:
            raise damaged(f"tensor {name!a} has {end - begin} bytes, its shape needs {array.nbytes}")
        spans.append((begin, end))
    at = 0
    for begin, end in sorted(spans):
        if begin != at:
            raise damaged(f"its data has a hole or an overlap at byte {min(at, begin)}")
        at = end
    if at != content.size:
        raise damaged(f"{content.size} bytes of data, its tensors have {at}")
    return SafetensorsFile(tensors, metadata)


def write_safetensors(path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write the file whole or not at all: temporary file, fsync, rename.

    The data region starts at a multiple of 4096. The format allows no holes, so tensors whose size is a
    multiple of 64 come first and are all aligned to 64; the others follow, the most even sizes first.
    """
    evenness = {name: math.gcd(t.nbytes, TENSOR_ALIGNMENT_BYTES) for name, t in tensors.items()}
    order = sorted(tensors, key=lambda name: -evenness[name])
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for name in order:
        t = tensors[name]
        header[name] = {"dtype": NAMES[t.dtype], "shape": list(t.shape), "data_offsets": [at, at + t.nbytes]}
        at += t.nbytes
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-(8 + len(encoded)) % DATA_ALIGNMENT_BYTES)
    with replacing(path) as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for name in order:
            file.write(np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8))


def _entry(name: str, entry: Any, damaged: Callable[[str], ModelFileError]) -> tuple[np.dtype, list[int], int, int]:
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(begin), int(end)]}:
            if dtype not in DTYPES:
                raise damaged(f"tensor {name!a} has the unknown type {dtype!a}")
            return DTYPES[dtype], shape, begin, end
    raise damaged(f"tensor {name!a} is described by {ascii(entry)[:80]}")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name appears twice")
    return table
