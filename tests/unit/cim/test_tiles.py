"""The tiles against their equations, written out cell by cell, and against IBM's aihwkit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backends.cim.analog_tile import AnalogMatrix
from backends.cim.converters import adc, adc_step, dac, levels
from backends.cim.digital_tile import DigitalTile, bit_serial_product
from backends.cim.noise import NoiseSettings, cell_model, programmed, read_variance
from backends.profiles import profile

CHIP = profile("mythic-m1076")
RECORDED = Path(__file__).parents[2] / "data" / "aihwkit_1_2_0_tile.npz"


def codes_like_trained(rng, outputs=64, inputs=256) -> np.ndarray:
    return np.clip(np.rint(rng.normal(0, 35, (outputs, inputs))), -127, 127).astype(np.int8)


# --- digital ---


def test_bit_serial_is_the_product():
    rng = np.random.default_rng(0)
    w, x = rng.integers(-128, 128, (32, 512)).astype(np.int8), rng.integers(-128, 128, 512).astype(np.int8)
    assert np.array_equal(bit_serial_product(w, x), w.astype(np.int64) @ x.astype(np.int64))


@pytest.mark.parametrize("inputs", [7, 512, 1024, 3000])
def test_the_fast_digital_product_is_exact_in_the_worst_case(inputs):
    w = np.full((3, inputs), 127, np.int8)
    w[1] = -127
    w[2, ::2] = -127
    x = np.full((2, inputs), 127, np.float32)
    expected = x.astype(np.int64) @ w.T.astype(np.int64)
    assert np.array_equal(DigitalTile(w).product(x).astype(np.int64), expected)


# --- converters ---


def test_dac_and_adc():
    codes, scale = dac(np.array([[1.0, -0.5, 0.25], [0, 0, 0]], np.float32), 8)
    assert codes.tolist() == [[127, -64, 32], [0, 0, 0]]
    assert scale[0] * 127 == pytest.approx(1.0)
    step = adc_step(1270.0, 8)
    assert adc(np.array([0.0, 14.9, 15.1, 99999, -99999]), step, 8).tolist() == [0, 10, 20, 1270, -1270]
    assert [levels(b) for b in (4, 8)] == [7, 127]
    with pytest.raises(ValueError, match="2 to 16 bits"):
        levels(1)


# --- analog, equation by equation ---


def test_cells_follow_the_published_curves():
    """sigma(I) = a (1 - exp(-I / b)), mean(I) = I + polynomial(I), in float64, from the source's numbers."""
    current = np.arange(128) * 1600.0 / 127
    fresh = cell_model(CHIP, NoiseSettings())
    assert fresh.spread * 1600 / 127 == pytest.approx(19.88665 * (1 - np.exp(-current / 176.3115)), abs=1e-3)
    assert fresh.read * 1600 / 127 == pytest.approx(12.58037 * (1 - np.exp(-current / 215.36557)), abs=1e-3)
    assert np.array_equal(fresh.mean, np.arange(128, dtype=np.float32))
    day5 = cell_model(CHIP, NoiseSettings(days=5))
    shift = CHIP.table("drift")["shift_na"][5]
    moved = current + sum(c * current**i for i, c in enumerate(shift))
    assert day5.mean * 1600 / 127 == pytest.approx(moved, abs=1e-2)
    assert day5.spread * 1600 / 127 == pytest.approx(34.57909 * (1 - np.exp(-moved / 207.34309)), abs=1e-2)


def test_age_only_makes_it_worse():
    spreads = [cell_model(CHIP, NoiseSettings(days=d)).spread[127] for d in (0, 1 / 24, 1, 3, 5, 30)]
    assert spreads == sorted(spreads)
    assert spreads[-1] < 2 * spreads[-2], "the extrapolation stays sane"


def test_programmed_weights_have_the_spread_of_their_cells():
    settings = NoiseSettings(seed=3)
    cells = cell_model(CHIP, settings)
    for code in (10, 64, 127):
        codes = np.full((100, 200), code, np.int8)
        held = programmed(codes, cells, settings, CHIP, key=1)
        assert held.std() == pytest.approx(cells.spread[code], rel=0.03)
        assert held.mean() == pytest.approx(code, abs=0.05)
        assert np.array_equal(programmed(-codes, cells, settings, CHIP, key=1), -held)
    again = programmed(codes, cells, settings, CHIP, key=1)
    assert np.array_equal(held, again), "seeded"
    assert not np.array_equal(held, programmed(codes, cells, settings, CHIP, key=2))


def test_read_noise_has_the_spread_of_its_cells_added_up():
    """Against every cell drawn on its own in float64, inputs with outliers as after a squared ReLU."""
    rng = np.random.default_rng(1)
    settings, codes = NoiseSettings(), codes_like_trained(rng)
    cells = cell_model(CHIP, settings)
    x = np.maximum(rng.standard_normal(256), 0) ** 2
    x = np.rint(x / x.max() * 127)
    sigma_cell = cells.read.astype(np.float64)[np.abs(codes.astype(int))]
    exact = np.sqrt((sigma_cell**2) @ (x**2))
    drawn = np.stack([(sigma_cell * rng.standard_normal(codes.shape)) @ x for _ in range(300)]).std(axis=0)
    assert np.median(drawn / exact) == pytest.approx(1, abs=0.03), "the sum of independent cells"
    u, c = read_variance(codes, cells)
    factored = np.sqrt(u * (x**2 @ c))
    assert np.median(factored / exact) == pytest.approx(1, abs=0.03)
    assert np.sqrt(np.mean((factored / exact - 1) ** 2)) < 0.12, "what the factoring costs on such inputs"

    matrix = AnalogMatrix(codes, CHIP, settings, key=5)
    inputs = np.repeat(x[None].astype(np.float32), 400, axis=0)
    clean = matrix.product(inputs[:1])
    noisy = matrix.product(inputs, rng.standard_normal((400, 1, 64), np.float32))
    assert (noisy - clean).std(axis=0) == pytest.approx(factored, rel=0.2)
    assert (noisy - clean).mean() == pytest.approx(0, abs=3 * factored.mean() / 150)


def test_the_whole_product_is_the_equation_in_float64():
    """Two tiles of 1024 inputs: y = W x + z sigma, rounded and clipped per tile, then added."""
    rng = np.random.default_rng(2)
    settings, codes = NoiseSettings(seed=9), codes_like_trained(rng, 40, 1500)
    matrix = AnalogMatrix(codes, CHIP, settings, key=7)
    seen = np.clip(np.rint(rng.normal(0, 40, (16, 1500))), -127, 127).astype(np.float32)
    matrix.product(seen)
    matrix.calibrate()
    x = np.clip(np.rint(rng.normal(0, 45, (5, 1500))), -127, 127).astype(np.float32)
    z = rng.standard_normal((5, 2, 40)).astype(np.float32)
    cells, expected = cell_model(CHIP, settings), np.zeros((5, 40))
    for s, part in enumerate((slice(0, 1024), slice(1024, 1500))):
        held = programmed(codes[:, part], cells, settings, CHIP, 7 + part.start).astype(np.float64)
        u, c = read_variance(codes[:, part], cells)
        step = np.abs(seen[:, part].astype(np.float64) @ held.T).max() / 127
        y = x[:, part].astype(np.float64) @ held.T
        y += z[:, s] * np.sqrt(u.astype(np.float64) * ((x[:, part].astype(np.float64) ** 2) @ c)[:, None])
        expected += np.clip(np.rint(y / step), -127, 127) * step
    assert np.abs(matrix.product(x, z) - expected).max() < 1e-4 * np.abs(expected).max()


def test_ir_drop_weakens_the_far_end_of_a_busy_line():
    codes = np.full((2, 100), 127, np.int8)
    codes[1] = 20
    settings = NoiseSettings(level=0, ir_drop=0.2)
    held = programmed(codes, cell_model(CHIP, settings), settings, CHIP, key=0)
    assert held[0, 0] == pytest.approx(127 * (1 - 0.2 / 100), abs=0.1)
    assert held[0, -1] == pytest.approx(127 * 0.8, abs=0.1)
    assert held[1, -1] / 20 > held[0, -1] / 127


# --- against an independent implementation ---


def test_quantization_equals_aihwkit():
    """Recorded from IBM aihwkit 1.2.0, `AnalogMVM.matmul` (float64), by tests/data/record_aihwkit_tile.py: ABS_MAX
    noise management, inp_res 1/254, out_res 1/254 and 1/62, out_bound at 0.8 of the largest output so that some clip.
    """
    with np.load(RECORDED) as r:
        codes, x, limit, results = r["codes"], r["x"], float(r["adc_range"]), {8: r["result8"], 6: r["result6"]}
    x_codes, scale = dac(x, 8)
    y = DigitalTile(codes).product(x_codes).astype(np.float64)
    for bits, theirs in results.items():
        step = limit / levels(bits)
        ours = adc(y, step, bits) * scale / 127
        assert np.abs(ours - theirs).max() < 1e-5 * np.abs(theirs).max(), f"{bits} bits"
        assert (np.abs(adc(y, step, bits)) >= limit * 0.999).any(), "some of it clips"


def test_output_noise_has_aihwkits_statistics():
    """400 reads of its tile with out_noise; ours with the same standard deviation before the ADC."""
    with np.load(RECORDED) as r:
        codes, x, limit, sigma = r["codes"], r["x"], float(r["adc_range"]), float(r["noise_sigma"])
        their_mean, their_std = r["noise_mean"], r["noise_std"]
    rng = np.random.default_rng(0)
    x_codes, scale = dac(x, 8)
    y = DigitalTile(codes).product(x_codes).astype(np.float64)
    reads = np.stack([adc(y + sigma * rng.standard_normal(y.shape), limit / levels(16), 16) for _ in range(400)])
    ours_mean, ours_std = reads.mean(axis=0) * scale / 127, reads.std(axis=0) * scale / 127
    free = np.abs(y) < limit - 4 * sigma  # what does not clip
    assert np.median(ours_std[free] / their_std[free]) == pytest.approx(1, abs=0.02)
    standard_error = their_std[free] / np.sqrt(400)
    assert np.std((ours_mean - their_mean)[free] / standard_error) == pytest.approx(np.sqrt(2), rel=0.15)
