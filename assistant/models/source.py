"""Any supported model file, recognised by its first bytes, as canonical weights."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from assistant.errors import ModelFileError
from assistant.models import canonical
from assistant.models.gguf_file import MAGIC as GGUF_MAGIC
from assistant.models.gguf_file import GgufFile, read_gguf
from assistant.models.mapped import map_file
from assistant.models.packed import is_packed, unpack
from assistant.models.pth import LEGACY_MAGICS, ZIP_MAGIC, read_pth
from assistant.models.safetensors_file import MAX_HEADER_BYTES, read_safetensors
from backends.base import Weights
from backends.tensors import FLOAT_DTYPES

PRECISIONS = {dtype: name for name, dtype in FLOAT_DTYPES.items()}


class Source(NamedTuple):
    """format: pth, safetensors, safetensors-fla, gguf or packed; gguf: the file, for its vocabulary."""

    format: str
    weights: Weights
    gguf: GgufFile | None = None


def read_source(path: Path) -> Source:
    """Map the file; its tensors are views where the format allows. Raises ModelFileError."""
    head = map_file(path)[:16].tobytes()
    if head.startswith((ZIP_MAGIC, *LEGACY_MAGICS)):
        return _source("pth", canonical.from_blinkdl(read_pth(path), path))
    if head.startswith(GGUF_MAGIC):
        return _from_gguf(path)
    if int.from_bytes(head[:8], "little") <= MAX_HEADER_BYTES and head[8:9] == b"{":
        return _from_safetensors(path)
    raise ModelFileError(
        "not a model file",
        where=path,
        why=f"it starts with {head[:8]!r}",
        hint="Supported: BlinkDL .pth, .safetensors, .gguf",
    )


def _from_safetensors(path: Path) -> Source:
    file = read_safetensors(path)
    if is_packed(file):
        return Source("packed", unpack(file, path))
    naming = canonical.naming_of(file.tensors)
    if naming == "fla":
        return _source("safetensors-fla", canonical.from_fla(file.tensors, path))
    return _source("safetensors", canonical.from_blinkdl(file.tensors, path))


def _from_gguf(path: Path) -> Source:
    file = read_gguf(path)
    architecture = file.metadata.get("general.architecture")
    if architecture != b"rwkv7":
        why = f"its architecture is {ascii(architecture)[:40]}, not rwkv7"
        raise ModelFileError("not an RWKV-7 model", where=path, why=why)
    head_size = file.metadata.get("rwkv7.wkv.head_size")
    if type(head_size) is not int or head_size < 1:
        why = f"its metadata gives the head size as {ascii(head_size)[:40]}"
        raise ModelFileError("not an RWKV-7 model", where=path, why=why)
    source = _source("gguf", canonical.from_gguf(file.tensors, head_size, path), file.quantized)
    return source._replace(gguf=file)


def _source(kind: str, tensors: dict[str, np.ndarray], quantized: bool = False) -> Source:
    """`precision` is what loses nothing (or little, from 4 and 8-bit blocks): the type of the matrices."""
    stored = PRECISIONS.get(tensors["blocks.0.att.key.weight"].dtype, "fp32")
    return Source(kind, Weights(tensors, "int8" if quantized else stored))
