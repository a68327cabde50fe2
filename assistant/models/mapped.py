"""A file as read-only memory, and tensor views of it that cannot reach outside."""

from __future__ import annotations

import math
import mmap
import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from assistant.errors import ModelFileError

MAX_DIMS = 8
MAX_ELEMENTS = 1 << 56
DOWNLOAD_AGAIN = "The file is damaged or incomplete: copy or download it again"


def map_file(path: Path) -> np.ndarray:
    """The whole file as uint8[bytes], read-only and mapped: pages are read when they are touched.

    Raises ModelFileError if there is no such regular file, it is empty, or it may not be read.
    """
    try:
        with Path(path).open("rb") as file:
            info = Path(path).stat()
            if not stat.S_ISREG(info.st_mode):
                raise ModelFileError("not a model file", where=path, why="it is not a regular file")
            if info.st_size == 0:
                raise ModelFileError("the file is empty", where=path, hint=DOWNLOAD_AGAIN)
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except OSError as error:
        raise ModelFileError("cannot read the file", where=path, why=error.strerror) from error


def element_count(shape: Sequence[int], what: str, path: Path) -> int:
    """How many elements the shape declares; refuses what no tensor can be."""
    sane = len(shape) <= MAX_DIMS and all(type(d) is int and d >= 0 for d in shape)
    # A zero makes the product harmless, but NumPy still refuses the other axes.
    if not sane or math.prod(d or 1 for d in shape) > MAX_ELEMENTS:
        why = f"tensor {what!r} declares an impossible shape"
        raise ModelFileError("damaged model file", where=path, why=why, hint=DOWNLOAD_AGAIN)
    return math.prod(shape)


def view(
    data: np.ndarray,
    offset: int,
    dtype: np.dtype,
    shape: Sequence[int],
    what: str,
    path: Path,
) -> np.ndarray:
    """dtype[shape] at the byte offset of data uint8[N], without a copy.

    Raises ModelFileError, before anything is allocated, if it would reach outside of the data.
    """
    nbytes = element_count(shape, what, path) * dtype.itemsize
    if offset < 0 or offset + nbytes > data.size:
        why = f"tensor {what!r} needs bytes {offset}..{offset + nbytes} of {data.size}"
        raise ModelFileError("damaged model file", where=path, why=why, hint=DOWNLOAD_AGAIN)
    return data[offset : offset + nbytes].view(dtype).reshape(shape)
