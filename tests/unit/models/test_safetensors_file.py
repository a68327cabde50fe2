"""Our safetensors reader and writer against the safetensors library, and headers that lie."""

import json

import numpy as np
import pytest
import safetensors.numpy

from assistant.errors import ModelFileError
from assistant.models.safetensors_file import NAMES, read_safetensors, write_safetensors
from tests.unit.models.files import BF16

RNG = np.random.default_rng(0)
TENSORS = {
    "odd": RNG.standard_normal(7).astype(np.float32),
    "half": RNG.standard_normal((3, 5)).astype(np.float16),
    "wide": RNG.standard_normal((64, 33)).astype(BF16),
    "quantized": RNG.integers(-127, 128, (16, 64), np.int8),
    "scalar": np.array(2.5, np.float32),
    "transposed": RNG.standard_normal((8, 4)).astype(np.float32).T,
    "empty": np.zeros((0, 4), np.float32),
}


def test_the_library_reads_what_we_write(tmp_path):
    write_safetensors(tmp_path / "m", TENSORS, {"a": "b"})
    found = dict(safetensors.deserialize((tmp_path / "m").read_bytes()))
    assert found.keys() == TENSORS.keys()
    for name, t in TENSORS.items():
        assert (found[name]["dtype"], found[name]["shape"]) == (NAMES[t.dtype], list(t.shape))
        assert bytes(found[name]["data"]) == t.tobytes()
    with safetensors.safe_open(tmp_path / "m", "numpy") as file:
        assert file.metadata() == {"a": "b"}


def test_we_read_what_the_library_writes(tmp_path):
    contiguous = {name: np.ascontiguousarray(t) for name, t in TENSORS.items()}
    contiguous["scalar"] = TENSORS["scalar"]  # which ascontiguousarray makes a vector
    (tmp_path / "m").write_bytes(safetensors.numpy.save(contiguous, {"k": "v"}))
    tensors, metadata = read_safetensors(tmp_path / "m")
    assert metadata == {"k": "v"}
    assert tensors.keys() == TENSORS.keys()
    for name, t in TENSORS.items():
        assert tensors[name].dtype == t.dtype
        assert np.array_equal(tensors[name], t)


def test_views_are_mapped_aligned_and_read_only(tmp_path):
    write_safetensors(tmp_path / "m", TENSORS, {})
    data = (tmp_path / "m").read_bytes()
    assert (8 + int.from_bytes(data[:8], "little")) % 4096 == 0
    for t in read_safetensors(tmp_path / "m").tensors.values():
        assert not t.flags.owndata
        assert not t.flags.writeable
        if t.nbytes and t.nbytes % 64 == 0:
            assert t.ctypes.data % 64 == 0


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    write_safetensors(tmp_path / "m", {"a": np.ones(3, np.float32)}, {})
    before = (tmp_path / "m").read_bytes()

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_safetensors(tmp_path / "m", {"a": np.ones(5, np.float32)}, {})
    assert (tmp_path / "m").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def lying(header: object, data: bytes = bytes(8), length: int | None = None) -> bytes:
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(encoded) if length is None else length).to_bytes(8, "little") + encoded + data


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (lying({"a": F32}, length=1 << 62), "header would be"),
        (lying({"a": F32}, length=101_000_000), "header would be"),
        (lying(b"[" * 100_000), "not JSON"),
        (lying(b"{"), "not JSON"),
        (lying([]), "not a JSON object"),
        (lying(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":0}'), "twice"),
        (lying(b'{"a":' + b"9" * 5000 + b"}"), "not JSON"),
        (lying({"__metadata__": {"a": 1}}), "metadata"),
        (lying({"a": 1}), "described by"),
        (lying({"a": {**F32, "dtype": "F31"}}), "unknown type"),
        (lying({"a": {**F32, "shape": [1 << 55, 1]}}), "needs bytes"),
        (lying({"a": {**F32, "shape": [1 << 62, 1 << 62]}}), "impossible shape"),
        (lying({"a": {**F32, "shape": [0, 1 << 62]}}), "impossible shape"),
        (lying({"a": {**F32, "shape": [-2]}}), "impossible shape"),
        (lying({"a": {**F32, "shape": [2.0]}}), "impossible shape"),
        (lying({"a": {**F32, "shape": [1] * 99}}), "impossible shape"),
        (lying({"a": {**F32, "data_offsets": [-8, 0]}}), "needs bytes"),
        (lying({"a": {**F32, "data_offsets": [4, 12]}}), "needs bytes"),
        (lying({"a": {**F32, "data_offsets": [0, 4]}}), "its shape needs 8"),
        (lying({"a": F32, "b": F32}), "hole or an overlap"),
        (lying({"a": {**F32, "shape": [1], "data_offsets": [4, 8]}}), "hole or an overlap"),
        (lying({"a": F32}, bytes(9)), "9 bytes of data, its tensors have 8"),
    ],
)
def test_lies_are_refused(tmp_path, content, match):
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(ModelFileError, match=match):
        read_safetensors(tmp_path / "m")
