"""Truncated and corrupted files of every format end in ModelFileError and allocate little."""

import contextlib
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.errors import ModelFileError
from assistant.models.manifest import read_manifest
from assistant.models.packed import save_packed
from assistant.models.pickled import read_tensor_pickle
from assistant.models.quantize import pack
from assistant.models.safetensors_file import write_safetensors
from assistant.models.source import read_source
from assistant.models.vocabulary import read_vocabulary, write_vocabulary
from backends.base import Weights
from tests.unit.models.files import (
    BF16,
    SMALL,
    blinkdl,
    small_tensors,
    state_dict_pickle,
    to_fla,
    write_gguf,
    write_pth,
)

MAX_EXTRA_BYTES = 8 << 20
TOKENS = [b"", *(bytes([b]) for b in range(256))]


def _make(folder: Path) -> dict[str, bytes]:
    tensors = small_tensors(BF16)
    write_pth(folder / "pth", blinkdl(tensors))
    write_safetensors(folder / "safetensors", to_fla(tensors), {"format": "pt"})
    write_gguf(folder / "gguf", tensors, "BF16", TOKENS)
    write_gguf(folder / "gguf-q8", small_tensors(), "Q8_0", TOKENS)
    save_packed(folder / "packed", pack(Weights(tensors, "bf16"), "int8"))
    return {p.name: p.read_bytes() for p in folder.iterdir()}


with tempfile.TemporaryDirectory() as _folder:
    FILES = _make(Path(_folder))
FORMATS = sorted(FILES)
HEADER_BYTES = {"pth": 20_000, "safetensors": 12_288, "gguf": 12_000, "gguf-q8": 12_000, "packed": 12_288}


def attempt(data: bytes, path: Path) -> bool:
    """Read and convert as the store does; True if it was accepted."""
    path.write_bytes(data)
    tracemalloc.start()
    try:
        pack(read_source(path).weights, "int8")
        return True
    except ModelFileError:
        return False
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 * len(data) + MAX_EXTRA_BYTES


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("damage") / "file"


@pytest.mark.parametrize("kind", FORMATS)
def test_whole_files_are_accepted(kind, place):
    assert attempt(FILES[kind], place)


@pytest.mark.parametrize("kind", FORMATS)
def test_truncated_anywhere(kind, place):
    data = FILES[kind]
    # The last bytes of a GGUF file may be padding, without which nothing is lost.
    padding = len(data) - len(data.rstrip(b"\0")) if kind.startswith("gguf") else 0
    data = data[: len(data) - min(padding, 31)]
    cuts = {*range(40), *np.geomspace(40, len(data), 60).astype(int), *(len(data) - np.arange(1, 40))}
    for cut in sorted(int(c) for c in cuts if c < len(data)):
        assert not attempt(data[:cut], place), f"cut at {cut} of {len(data)}"


@pytest.mark.parametrize("kind", FORMATS)
def test_zeros_where_a_download_stopped(kind, place):
    data = FILES[kind]
    for cut in (1, 9, 100, 5_000):
        assert not attempt(data[:cut] + bytes(len(data) - cut), place), f"zeros from {cut}"


flips = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4)


def corrupted(data: bytes, changes, limit: int) -> bytes:
    damaged = bytearray(data)
    for position, mask in changes:
        damaged[int(position * min(limit, len(data)))] ^= mask
    return bytes(damaged)


@pytest.mark.parametrize("kind", FORMATS)
@given(changes=flips)
@settings(max_examples=120, deadline=None)
def test_flipped_bits_in_the_header(kind, place, changes):
    attempt(corrupted(FILES[kind], changes, HEADER_BYTES[kind]), place)


@given(changes=flips)
@settings(max_examples=60, deadline=None)
def test_flipped_bits_at_the_end_of_a_zip(place, changes):
    """Where a zip keeps its directory."""
    attempt(corrupted(FILES["pth"][::-1], changes, 6_000)[::-1], place)


@given(changes=flips)
@settings(max_examples=300, deadline=None)
def test_flipped_bits_in_the_pickle(changes):
    damaged = corrupted(state_dict_pickle(blinkdl(small_tensors())), changes, 1 << 30)
    with contextlib.suppress(ModelFileError):
        read_tensor_pickle(damaged, Path("m.pth"))


@given(data=st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_as_a_pickle(data):
    with contextlib.suppress(ModelFileError):
        read_tensor_pickle(b"\x80\x02" + data, Path("m.pth"))


@given(data=st.binary(max_size=300), magic=st.sampled_from([b"", b"PK\x03\x04", b"GGUF\x03\0\0\0", b"{}"]))
@settings(max_examples=200, deadline=None)
def test_any_bytes_as_a_model(place, data, magic):
    assert not attempt(magic + data, place)


def test_flipped_weights_are_found_by_the_checksum(place):
    data = bytearray(FILES["pth"])
    data[len(data) // 2] ^= 1
    place.write_bytes(data)
    with pytest.raises(ModelFileError, match="checksum"):
        read_source(place)


@given(changes=flips)
@settings(max_examples=150, deadline=None)
def test_flipped_bits_in_a_vocabulary(place, changes):
    place.write_bytes(corrupted(write_vocabulary(TOKENS), changes, 1 << 30))
    with contextlib.suppress(ModelFileError):
        read_vocabulary(place)


@given(text=st.binary(max_size=100))
def test_any_bytes_as_a_manifest(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("manifest")
    (folder / "manifest.json").write_bytes(text)
    with pytest.raises(ModelFileError):
        read_manifest(folder)


def test_missing_files_folders_and_empty_files(tmp_path):
    (tmp_path / "empty").touch()
    for path, match in (
        (tmp_path / "none", "No such file"),
        (tmp_path, "directory|regular"),
        (tmp_path / "empty", "empty"),
    ):
        with pytest.raises(ModelFileError, match=match):
            read_source(path)


def test_the_small_model_is_the_one_meant(place):
    place.write_bytes(FILES["gguf"])
    assert read_source(place).weights.config == SMALL
