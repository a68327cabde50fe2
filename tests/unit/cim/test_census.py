"""Counts of operations: equal to the published totals to the digit, from shapes alone."""

from __future__ import annotations

import pytest

from backends.census import census
from backends.cim.operations import rwkv7_operations, transformer_operations
from backends.cim.shapes import UnknownModel, known, known_models, matrices

# Per token. M: millions with two decimals, K: thousands, MB: 1e6 bytes; counted by hand from the model's definition.
TABLE = {
    "0.1b": ("84.93", "5.26", "50.33", "2.36", "0.59", "0.51", "39", "2.43"),
    "0.4b": ("301.99", "14.09", "67.11", "6.29", "1.57", "1.36", "103", "6.49"),
    "1.5b": ("1207.96", "50.07", "134.22", "12.58", "3.15", "2.71", "205", "12.98"),
    "2.9b": ("2516.58", "94.04", "167.77", "20.97", "5.24", "4.52", "341", "21.63"),
}
PUBLISHED_PARAMETERS = {"0.1b": 191_034_624, "0.4b": 450_767_872, "1.5b": 1_527_404_544, "2.9b": 2_947_735_040}


@pytest.mark.parametrize("size", TABLE)
def test_the_table_to_the_digit(size):
    config = known(size)
    c, ops = census(config), rwkv7_operations(config)
    millions = (c.projection_macs, c.lora_macs, c.head_macs, ops.dynamic_macs, c.decay_macs,
                ops.elementwise_ops - c.decay_macs)  # fmt: skip
    row = [f"{value / 1e6:.2f}" for value in millions]
    row += [f"{ops.transcendental_ops / 1e3:.0f}", f"{ops.memory_bytes / 1e6:.2f}"]
    assert tuple(row) == TABLE[size]
    assert ops.stationary_macs == sum(m.weights for m in matrices(config))


@pytest.mark.parametrize("size", PUBLISHED_PARAMETERS)
def test_the_shapes_have_the_published_number_of_parameters(size):
    """BlinkDL's checkpoints carry dummies v0, v1, v2 in layer 0, which are not counted here."""
    config = known(size)
    ours = sum(_size(shape) for shape in config.tensor_shapes().values())
    dummies = config.width * (1 + 2 * config.value_rank)
    assert PUBLISHED_PARAMETERS[size] - ours in (0, dummies)


def _size(shape):
    total = 1
    for d in shape:
        total *= d
    return total


def test_every_matrix_of_the_model_is_mapped_once():
    config = known("0.1b")
    stored = {n: s for n, s in config.tensor_shapes().items() if len(s) == 2 and not n.endswith("r_k")}
    del stored["emb.weight"]  # a look-up
    assert {m.name: (m.outputs, m.inputs) for m in matrices(config)} == stored
    assert len({m.stage for m in matrices(config)}) == 5 * config.layers + 1


def test_a_transformers_dynamic_share_grows_with_the_text():
    small = known("smollm2-135m")
    assert f"{small.stationary_weights / 1e6:.1f}" == "134.5"
    assert transformer_operations(small, 1).dynamic_macs == 34_560
    shares = [transformer_operations(small, t).dynamic_share for t in (1024, 8192)]
    assert [f"{s:.0%}" for s in shares] == ["21%", "68%"]
    assert transformer_operations(small, 1000).memory_bytes == 11_520 * 1000 * 2


@pytest.mark.parametrize(
    ("name", "gb"), [("llama-3.2-1b", "1.2357"), ("llama-3.2-3b", "3.2126"), ("llama-3.1-8b", "7.5047")]
)
def test_llama_weights(name, gb):
    assert f"{known(name).stationary_weights / 1e9:.4f}" == gb


def test_names_are_guessed():
    assert known("1.5B") == known("rwkv7-1.5b")
    with pytest.raises(UnknownModel, match=r"did you mean 'llama-3\.2-1b'"):
        known("llama-3.2-1")
    assert "rwkv7-7.2b" in known_models()
