"""The simulated backends beyond the contract: what noise does, what turns it off, and that costs obey their laws."""

from __future__ import annotations

import numpy as np
import pytest

from assistant.models.quantize import pack
from backends.base import State, Workload
from backends.cim import AxeleraMetis, MythicM1076, metis, mythic
from backends.cim.noise import NoiseSettings
from backends.cim.shapes import known
from backends.profiles import profile
from backends.reference import ReferenceBackend
from tests.contract.budgets import BUDGET, relative_error
from tests.synthetic import ONE_HEAD, TINY, synthetic_weights

CHIP = profile("mythic-m1076")


@pytest.fixture(scope="module", params=[TINY, ONE_HEAD], ids=["tiny", "one-head"])
def int8(request):
    return pack(synthetic_weights(request.param, seed=3), "int8")


def logits(backend, weights) -> np.ndarray:
    backend.load(weights)
    state = State(weights.config)
    tokens = np.random.default_rng(5).integers(0, weights.config.vocab, 24)
    return np.stack([backend.decode(tokens[i : i + 1], [state]).logits[0] for i in range(24)])


@pytest.mark.parametrize("make", [AxeleraMetis, lambda: MythicM1076(noise=NoiseSettings(level=0))],
                         ids=["metis", "mythic without noise"])  # fmt: skip
def test_without_noise_it_equals_the_int8_reference(int8, make):
    assert relative_error(logits(make(), int8), logits(ReferenceBackend(), int8)) <= BUDGET["int8"]


def test_with_fine_converters_too_it_is_the_int8_reference_itself(int8):
    """What is left without noise is the 8-bit converters: with more bits and a wider range it all but vanishes."""
    fine = CHIP.replaced(converters__adc_bits=15, converters__dac_bits=15, converters__adc_headroom=3)
    got = logits(MythicM1076(noise=NoiseSettings(level=0), chip=fine), int8)
    assert relative_error(got, logits(ReferenceBackend(), int8)) <= 2e-3


def test_more_noise_and_more_age_are_further_from_the_reference(int8):
    reference = logits(ReferenceBackend(), int8)
    settings = (NoiseSettings(0), NoiseSettings(1), NoiseSettings(1, days=1), NoiseSettings(1, days=30))
    errors = [relative_error(logits(MythicM1076(noise=n), int8), reference) for n in settings]
    assert errors == sorted(errors)
    assert errors[1] > 1.5 * errors[0]


def test_the_seed_decides_the_noise(int8):
    first, again, other = (logits(MythicM1076(noise=NoiseSettings(seed=s)), int8) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert relative_error(other, first) > 0.01


def test_fewer_adc_bits_are_worse(int8):
    reference = logits(ReferenceBackend(), int8)
    chips = [CHIP.replaced(converters__adc_bits=bits) for bits in (10, 8, 6, 4)]
    errors = [relative_error(logits(MythicM1076(noise=NoiseSettings(0), chip=c), int8), reference) for c in chips]
    assert errors == sorted(errors)


def test_the_bill_is_the_estimate_and_is_simulated(int8):
    for backend in (MythicM1076(), AxeleraMetis()):
        backend.load(int8)
        step = backend.prefill(np.arange(7), State(int8.config))
        assert step.cost == backend.estimate(int8.config, Workload(tokens=7))
        assert step.cost.basis == "simulated"


@pytest.mark.parametrize("size", ["0.1b", "0.4b", "1.5b", "2.9b"])
def test_bands_are_ordered_and_parts_add_up(size):
    config = known(size)
    for cost in (mythic.cost(config, CHIP, mythic.lay_out(config, CHIP)), metis.cost(config, profile("axelera-metis"))):
        for total, parts in ((cost.latency_s, cost.latency_parts_s), (cost.energy_j, cost.energy_parts_j)):
            assert 0 < total.low <= total.mid <= total.high
            assert total.mid == pytest.approx(sum(p.mid for p in parts.values()))


def test_mythic_latency_ceiling():
    """(5 L + 1) serial products of 6.38-9.60 us when every block has its tile."""
    product = mythic.tile_product_s(CHIP)
    assert (round(product.mid * 1e6, 2), round(product.high * 1e6, 2)) == (6.38, 9.60)
    for size, low, high in (("0.1b", 1700, 2570), ("1.5b", 860, 1300), ("2.9b", 645, 975)):
        config = known(size)
        serial = mythic.lay_out(config, CHIP, "naive").serial_products
        assert 1 / (serial * product.high) == pytest.approx(low, rel=0.01)
        assert 1 / (serial * product.mid) == pytest.approx(high, rel=0.01)


def test_mythic_a_pipeline_is_faster_than_one_after_the_other():
    config, mapping = TINY, mythic.lay_out(TINY, CHIP)
    one = mythic.cost(config, CHIP, mapping).latency_s.mid
    assert mythic.cost(config, CHIP, mapping, tokens=64).latency_s.mid < 32 * one
    assert mythic.cost(config, CHIP, mapping, batch=4).latency_s.mid < 3 * one


def test_mythic_weights_on_the_host_cost_time():
    config = known("0.4b")
    full, short = (mythic.cost(config, CHIP, mythic.lay_out(config, CHIP, chips=n)) for n in (None, 2))
    assert short.latency_s.mid > 3 * full.latency_s.mid
    assert "matrices on the host" in short.latency_parts_s


@pytest.mark.parametrize(
    ("size", "low", "high"), [("0.1b", 55, 61), ("0.4b", 25, 27), ("1.5b", 12, 13), ("2.9b", 6.8, 7.0)]
)
def test_metis_rates(size, low, high):
    rate = 1 / metis.cost(known(size), profile("axelera-metis")).latency_s.mid
    assert low * 0.99 <= rate <= high * 1.01


def test_metis_streams_what_does_not_fit_and_only_that():
    chip = profile("axelera-metis")
    assert metis.cost(TINY, chip).latency_parts_s.keys() >= {"array products"}
    big = metis.cost(known("0.1b"), chip)
    assert big.latency_parts_s["weights from DRAM"].mid == pytest.approx(140_525_568 / 24.148e9)
    batch = metis.cost(known("0.1b"), chip, batch=4)
    assert batch.energy_parts_j["DRAM"] == big.energy_parts_j["DRAM"], "a batch carries the weights once"
    roomy = chip.replaced(chip__on_chip_bytes=2e8)
    assert "weights from DRAM" not in metis.cost(known("0.1b"), roomy).latency_parts_s
