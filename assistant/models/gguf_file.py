"""GGUF version 2 and 3, little-endian: metadata and tensors, bounds-checked and mapped.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; block types: `ggml-common.h` of ggml.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import ml_dtypes
import numpy as np

from assistant.errors import ModelFileError
from assistant.models.mapped import DOWNLOAD_AGAIN, element_count, map_file, view

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT_BYTES = 32
BLOCK = 32  # weights that share one scale, in Q4_0 and Q8_0
FLOAT_TYPES = {0: np.dtype(np.float32), 1: np.dtype(np.float16), 30: np.dtype(ml_dtypes.bfloat16)}
Q4_0, Q8_0 = 2, 8
BLOCK_TYPES = {
    Q4_0: np.dtype([("scale", "<f2"), ("quants", np.uint8, BLOCK // 2)]),
    Q8_0: np.dtype([("scale", "<f2"), ("quants", np.int8, BLOCK)]),
}
OTHER_TYPES = {
    3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K",
    14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL",
    21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64",
    29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip
SCALARS = dict(enumerate(map(np.dtype, ("<u1", "<i1", "<u2", "<i2", "<u4", "<i4", "<f4", "?"))))
SCALARS |= {10: np.dtype("<u8"), 11: np.dtype("<i8"), 12: np.dtype("<f8")}
STRING, ARRAY = 8, 9


class GgufFile(NamedTuple):
    """metadata: numbers, bools, bytes for texts, lists of bytes or arrays; quantized: any block type."""

    metadata: dict[str, Any]
    tensors: dict[str, np.ndarray]
    quantized: bool


def read_gguf(path: Path) -> GgufFile:
    """Float tensors are views of the mapped file; Q8_0 and Q4_0 are expanded to float32.

    Shapes are NumPy's (slowest axis first, the reverse of the file's). Raises ModelFileError.
    """
    cursor = _Cursor(Path(path), map_file(path))
    metadata, infos = _header(cursor)
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT_BYTES)
    if type(alignment) is not int or not 8 <= alignment <= 1 << 20 or alignment & (alignment - 1):
        cursor.damaged(f"its alignment is {ascii(alignment)[:20]}")
    data = cursor.data[cursor.at + -cursor.at % alignment :]
    return GgufFile(metadata, *_tensors(cursor, data, infos, alignment))


def read_gguf_shapes(path: Path) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    """Metadata and the shape of each tensor, whatever its type: no tensor is read. Raises ModelFileError."""
    cursor = _Cursor(Path(path), map_file(path))
    metadata, infos = _header(cursor)
    for name, (shape, _, _) in infos.items():
        element_count(shape, name, cursor.path)
    return metadata, {name: shape for name, (shape, _, _) in infos.items()}


def _header(cursor: _Cursor) -> tuple[dict[str, Any], dict[str, tuple]]:
    """(metadata, name -> (shape, type, offset)); the cursor stands behind it."""
    path = cursor.path
    if cursor.take(4) != MAGIC:
        raise ModelFileError("not a GGUF file", where=path, why="its first four bytes are not 'GGUF'")
    version = cursor.number(4)
    if version not in VERSIONS:
        why = "it is big-endian" if version >= 1 << 24 else f"version {version} is not 2 or 3"
        raise ModelFileError("cannot read the GGUF file", where=path, why=why)
    tensor_count, pair_count = cursor.number(8), cursor.number(8)
    metadata: dict[str, Any] = {}
    for _ in range(pair_count):
        key = cursor.text().decode("utf-8", "backslashreplace")
        if key in metadata:
            cursor.damaged(f"metadata key {key!a} appears twice")
        metadata[key] = cursor.value(cursor.number(4))
    infos = {}
    for _ in range(tensor_count):
        name = cursor.text().decode("utf-8", "backslashreplace")
        dims = [cursor.number(8) for _ in range(cursor.number(4, limit=4))]
        kind, offset = cursor.number(4), cursor.number(8)
        if name in infos:
            cursor.damaged(f"tensor {name!a} appears twice")
        infos[name] = (tuple(reversed(dims)), kind, offset)
    return metadata, infos


def _tensors(
    cursor: _Cursor, data: np.ndarray, infos: dict[str, tuple], alignment: int
) -> tuple[dict[str, np.ndarray], bool]:
    stored, spans, quantized = {}, [], False
    for name, (shape, kind, offset) in infos.items():
        if offset % alignment:
            cursor.damaged(f"tensor {name!a} is not aligned")
        if kind in FLOAT_TYPES:
            stored[name] = view(data, offset, FLOAT_TYPES[kind], shape, name, cursor.path)
        elif kind in BLOCK_TYPES:
            element_count(shape, name, cursor.path)
            if not shape or shape[-1] % BLOCK:
                cursor.damaged(f"rows of tensor {name!a} are not whole blocks of {BLOCK}")
            blocks = (*shape[:-1], shape[-1] // BLOCK)
            stored[name] = view(data, offset, BLOCK_TYPES[kind], blocks, name, cursor.path)
            quantized = True
        else:
            raise ModelFileError(
                "cannot read the GGUF file",
                where=cursor.path,
                why=f"tensor {name!a} has the type {OTHER_TYPES.get(kind, f'number {kind}')}",
                hint="Readable types: F32, F16, BF16, Q8_0, Q4_0. Get or make such a file",
            )
        spans.append((offset, offset + stored[name].nbytes))
    # Without overlaps, what is expanded is bounded by the size of the file.
    spans.sort()
    for (_, end), (begin, _) in itertools.pairwise(spans):
        if begin < end:
            cursor.damaged(f"two tensors overlap at byte {begin} of the data")
    return {name: _floats(t) for name, t in stored.items()}, quantized


def _floats(stored: np.ndarray) -> np.ndarray:
    """Blocks [..., B] -> float32 [..., 32 * B]; floats are returned as they are."""
    if stored.dtype.names is None:
        return stored
    quants = stored["quants"]
    if quants.dtype == np.uint8:  # low nibbles are the first 16 weights of a block, high ones the others
        quants = np.concatenate([quants & 15, quants >> 4], axis=-1).astype(np.int8) - np.int8(8)
    with np.errstate(invalid="ignore"):  # a damaged scale may be infinite; packing refuses the result
        values = quants.astype(np.float32) * stored["scale"].astype(np.float32)[..., None]
    return values.reshape(*stored.shape[:-1], stored.shape[-1] * BLOCK)


class _Cursor:
    def __init__(self, path: Path, data: np.ndarray):
        self.path, self.data, self.at = path, data, 0
        self.bytes = memoryview(data)

    def damaged(self, why: str) -> NoReturn:
        raise ModelFileError("damaged GGUF file", where=self.path, why=why, hint=DOWNLOAD_AGAIN)

    def take(self, count: int) -> bytes:
        if count > self.data.size - self.at:
            self.damaged(f"it ends before byte {self.at + count}, in its header")
        self.at += count
        return bytes(self.bytes[self.at - count : self.at])

    def number(self, count: int, limit: int = 1 << 60) -> int:
        value = int.from_bytes(self.take(count), "little")
        if value > limit:
            self.damaged(f"it declares {value} where at most {limit} is possible")
        return value

    def text(self) -> bytes:
        return self.take(self.number(8))

    def value(self, kind: int) -> Any:
        if kind in SCALARS:
            return np.frombuffer(self.take(SCALARS[kind].itemsize), SCALARS[kind])[0].item()
        if kind == STRING:
            return self.text()
        if kind != ARRAY:
            self.damaged(f"it has a metadata value of unknown type {kind}")
        kind, count = self.number(4), self.number(8)
        if kind == STRING:
            return [self.text() for _ in range(count)]
        if kind not in SCALARS:
            self.damaged("it has an array of arrays in its metadata")
        return np.frombuffer(self.take(count * SCALARS[kind].itemsize), SCALARS[kind])
