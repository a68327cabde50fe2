"""BlinkDL's `.pth`: torch's zip archive of raw storages plus a pickle that says which tensor lies where.

Format: `torch/serialization.py` and `caffe2/serialize/inline_container.cc`. Entries are stored, not
compressed, so the tensors are views of the mapped file. Nothing from the file is ever executed.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from pathlib import Path
from typing import NoReturn

import numpy as np

from assistant.errors import ModelFileError
from assistant.models.mapped import DOWNLOAD_AGAIN, MAX_DIMS, map_file
from assistant.models.pickled import read_tensor_pickle
from assistant.models.torch_names import TensorRef

ZIP_MAGIC = b"PK\x03\x04"
LEGACY_MAGICS = (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", b"\x80\x02")
MAX_PICKLE_BYTES = 16 << 20
LOCAL_HEADER = struct.Struct("<4s5H3I2H")
WRAPPERS = ("state_dict", "model")
SAVE_AGAIN = "Save it again with a recent torch: torch.save(torch.load(old, weights_only=True), new)"


def read_pth(path: Path) -> dict[str, np.ndarray]:
    """Name -> read-only float32, float16 or bfloat16 array, mapped, as the file names and shapes them.

    Both `{name: tensor}` and `{"state_dict" | "model": {name: tensor}}` are read; other entries of the
    outer dictionary that are not tensors are left out. Raises ModelFileError.
    """
    archive = _Archive(Path(path), map_file(path))
    state = read_tensor_pickle(archive.pickle(), archive.path)
    if isinstance(state, dict):
        for wrapper in WRAPPERS:
            if isinstance(state.get(wrapper), dict):
                state = state[wrapper]
                break
    tensors = {}
    if isinstance(state, dict):
        tensors = {k: v for k, v in state.items() if isinstance(k, str) and isinstance(v, TensorRef)}
    if not tensors:
        found = ascii(list(state)[:6]) if isinstance(state, dict) else type(state).__name__
        raise ModelFileError("no tensors in the .pth file", where=path, why=f"it holds {found[:200]}")
    # Views may share storage, but a file that unfolds to far more than its size is an attack.
    if sum(math.prod(t.shape) * t.dtype.itemsize for t in tensors.values()) > 2 * archive.data.size:
        archive.damaged("its tensors would be more than twice as large as the file")
    return {name: archive.tensor(name, reference) for name, reference in tensors.items()}


class _Archive:
    def __init__(self, path: Path, data: np.ndarray):
        self.path, self.data = path, data
        if data[:4].tobytes() != ZIP_MAGIC:
            legacy = data[:32].tobytes().startswith(LEGACY_MAGICS)
            raise ModelFileError(
                "cannot read the .pth file",
                where=path,
                why="it has torch's format from before version 1.6" if legacy else "not a zip archive",
                hint=SAVE_AGAIN if legacy else DOWNLOAD_AGAIN,
            )
        try:
            with zipfile.ZipFile(path) as archive:
                infos = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, EOFError,
                struct.error, OSError, IndexError) as error:  # fmt: skip
            self.damaged(f"it is not a complete zip archive ({error})")
        self.entries = {info.filename: info for info in infos}
        if len(self.entries) != len(infos):
            self.damaged("two entries of the archive have the same name")
        pickles = [name for name in self.entries if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(pickles) != 1:
            why = f"the archive holds {len(pickles)} data.pkl, expected one"
            raise ModelFileError("not a torch file", where=path, why=why, hint=SAVE_AGAIN)
        self.root = pickles[0].removesuffix("data.pkl")
        self.storages: dict[str, np.ndarray] = {}
        if self.root + "byteorder" in self.entries and self.entry("byteorder").tobytes() != b"little":
            raise ModelFileError("cannot read the .pth file", where=path, why="it is big-endian")

    def damaged(self, why: str) -> NoReturn:
        raise ModelFileError("damaged .pth file", where=self.path, why=why, hint=DOWNLOAD_AGAIN)

    def pickle(self) -> bytes:
        if self.entries[self.root + "data.pkl"].file_size > MAX_PICKLE_BYTES:
            self.damaged("its index is larger than that of any model")
        return self.entry("data.pkl").tobytes()

    def entry(self, name: str) -> np.ndarray:
        """uint8[size] view of a stored entry, its checksum verified."""
        info = self.entries.get(self.root + name)
        if info is None:
            self.damaged(f"the archive has no entry {name!a}")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            why = f"entry {name!a} is compressed or encrypted, which torch never does"
            raise ModelFileError("cannot read the .pth file", where=self.path, why=why, hint=SAVE_AGAIN)
        at = info.header_offset
        if at < 0 or at + LOCAL_HEADER.size > self.data.size:
            self.damaged(f"entry {name!a} starts outside of the file")
        header = LOCAL_HEADER.unpack(self.data[at : at + LOCAL_HEADER.size].tobytes())
        start = at + LOCAL_HEADER.size + header[9] + header[10]
        end = start + info.file_size
        if header[0] != ZIP_MAGIC or end > self.data.size or info.file_size != info.compress_size:
            self.damaged(f"entry {name!a} reaches outside of the file")
        content = self.data[start:end]
        # torch writes 0 when it was told not to compute checksums.
        if info.CRC and zlib.crc32(content) != info.CRC:
            self.damaged(f"the checksum of entry {name!a} is wrong")
        return content

    def tensor(self, name: str, ref: TensorRef) -> np.ndarray:
        item = ref.dtype.itemsize
        if ref.storage.key not in self.storages:
            self.storages[ref.storage.key] = self.entry(f"data/{ref.storage.key}")
        storage = self.storages[ref.storage.key]
        declared = ref.storage.numel * (ref.storage.dtype.itemsize if ref.storage.dtype else 1)
        if storage.size != declared:
            self.damaged(f"storage of {name!a} has {storage.size} bytes, declared {declared}")
        if len(ref.shape) != len(ref.stride) or len(ref.shape) > MAX_DIMS:
            self.damaged(f"tensor {name!a} has {len(ref.shape)} dimensions, {len(ref.stride)} strides")
        last = ref.offset + sum((d - 1) * s for d, s in zip(ref.shape, ref.stride, strict=True))
        if 0 in ref.shape or (last + 1) * item > storage.size:
            self.damaged(f"tensor {name!a} {list(ref.shape)} is empty or reaches outside of its storage")
        if math.prod(ref.shape) * item > storage.size:
            self.damaged(f"tensor {name!a} {list(ref.shape)} repeats its storage")
        strides = tuple(s * item for s in ref.stride)
        return np.ndarray(ref.shape, ref.dtype, storage, ref.offset * item, strides)
