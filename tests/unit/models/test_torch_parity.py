"""What torch itself saves is read as torch reads it."""

import numpy as np
import pytest

from assistant.errors import ModelFileError
from assistant.models.pth import read_pth

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.live


def tensors() -> dict:
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(6, 8, generator=generator)
    return {
        "fp32": wide,
        "fp16": wide.half(),
        "bf16": wide.bfloat16(),
        "transposed": wide.t(),
        "row of a larger storage": wide[3],
        "strided": wide[1::2, ::3],
        "parameter": torch.nn.Parameter(wide.clone()),
        "three": wide[None, None, 0],
    }


def assert_same(path, expected) -> None:
    found = read_pth(path)
    assert found.keys() == expected.keys()
    for name, t in expected.items():
        assert found[name].shape == tuple(t.shape)
        assert found[name].dtype.name == str(t.dtype).removeprefix("torch.")
        assert np.array_equal(found[name].astype(np.float32), t.detach().float().numpy()), name


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol(tmp_path, protocol):
    torch.save(tensors(), tmp_path / "m", pickle_protocol=protocol)
    assert_same(tmp_path / "m", tensors())


def test_state_dict_of_a_module_inside_a_training_checkpoint(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4))
    torch.save({"model": module.state_dict(), "step": 3, "loss": 1.5, "args": ["a", (1, 2**40)]}, tmp_path / "m")
    assert_same(tmp_path / "m", module.state_dict())


def test_without_checksums(tmp_path):
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(tensors(), tmp_path / "m")
    finally:
        torch.serialization.set_crc32_options(before)
    assert_same(tmp_path / "m", tensors())


def test_the_format_before_1_6_is_refused_with_a_remedy(tmp_path):
    torch.save(tensors(), tmp_path / "m", _use_new_zipfile_serialization=False)
    with pytest.raises(ModelFileError, match=r"before version 1.6.*torch.save\(torch.load"):
        read_pth(tmp_path / "m")


def test_whole_modules_are_refused_by_their_class(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "m")
    with pytest.raises(ModelFileError, match=r"would run torch\.nn\.modules\.linear\.Linear"):
        read_pth(tmp_path / "m")


def test_other_types_are_refused_by_name(tmp_path):
    torch.save({"a": torch.zeros(3, dtype=torch.float64)}, tmp_path / "m")
    with pytest.raises(ModelFileError, match="DoubleStorage"):
        read_pth(tmp_path / "m")
