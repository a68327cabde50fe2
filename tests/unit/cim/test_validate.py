"""The table of published figures is recomputed, and what is called calibrated really is what was fitted."""

from __future__ import annotations

import numpy as np
import pytest

from backends.cim import metis
from backends.cim.shapes import known
from backends.cim.validate import dense_bytes, products, rows, summaries
from backends.profiles import CONFIDENCES, Profile, profile, read, root

ROWS = rows()
CHIP = profile("axelera-metis")


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.what)
def test_every_held_out_figure_stays_in_its_band(row):
    assert row.role in ("calibrated", "held out", "not modelled")
    assert (row.band is not None) == (row.role == "held out")
    assert row.source
    assert row.confidence in CONFIDENCES
    assert row.within, f"{row.what}: {row.error:+.1%}, allowed {row.band:.0%}"
    if row.role == "calibrated":
        assert abs(row.error) < 0.04
    if row.band is not None and row.band > 0.12:
        assert row.note or abs(row.error) > 0.1, "a wide band needs its reason"


def test_a_figure_outside_of_its_band_is_noticed():
    from dataclasses import replace

    row = next(r for r in ROWS if r.what == "M1108, peak")
    assert not replace(row, predicted=row.published * 1.03).within


@pytest.mark.parametrize(
    ("what", "limit"),
    [("M1108, peak", 0.02), ("Llama-3.2-3B, device, 4 cores", 0.09), ("Llama-3.2-1B, device, 4 cores", 0.045),
     ("Llama-3.2-3B, end to end, 4 cores", 0.095), ("Llama-3.1-8B, end to end, 4 cores", 0.02)],
)  # fmt: skip
def test_the_promised_errors(what, limit):
    row = next(r for r in ROWS if r.what == what)
    assert row.role == "held out"
    assert abs(row.error) <= limit


def test_products_held_out():
    found = {s.what: s for s in summaries()}
    assert all(s.within for s in found.values())
    assert found["resident products"].count == 41
    assert found["resident products"].median <= 0.06
    assert found["spilled products"].count == 6
    assert len(products()) == 41 + 4 + 6 + 1 + 16


def test_the_product_law_is_the_fit_on_its_four_points_and_no_other():
    table = read("published/axelera-metis.toml")["gemv"]
    points = [(k * n, us) for k, n, us in table["points"] if [k, n] in table["fit_on"]]
    size, us = np.array(points).T
    # Relative least squares: short products weigh as much as long ones.
    (base, slope), *_ = np.linalg.lstsq(np.column_stack([1 / us, size / us]), np.ones(len(us)), rcond=None)
    assert CHIP.value("gemv.base_s") * 1e6 == pytest.approx(base, rel=0.01)
    assert CHIP.value("gemv.per_weight_s") * 1e6 == pytest.approx(slope, rel=0.01)


def test_the_other_laws_follow_from_their_calibration_points():
    table = read("published/axelera-metis.toml")
    (k, n, us) = next(p for p in table["gemv"]["points"] if p[:2] == table["gemv"]["spill_fit_on"][0])
    assert CHIP.value("gemv.spill_bytes_s") == pytest.approx(k * n / us * 1e6, rel=0.002)
    a, b = (p for p in table["gemm"]["points"] if p[0] in table["gemm"]["fit_on"])
    slope = (b[1] - a[1]) / (b[0] - a[0])
    assert CHIP.value("gemm.per_token_s") * 1e6 == pytest.approx(slope, rel=0.002)
    assert CHIP.value("gemm.base_s") * 1e6 == pytest.approx(a[1] - slope * a[0], rel=0.002)
    assert CHIP.value("stream.bandwidth_bytes_s") == pytest.approx(
        known("llama-3.1-8b").stationary_weights / 0.3108, rel=0.001)  # fmt: skip
    assert CHIP.value("host.per_layer_s") == pytest.approx((1 / 14.77 - 0.0535) / 16, rel=0.002)
    images = {net["name"]: dense_bytes(net) for net in read("networks/image.toml")["network"]}
    assert CHIP.value("cnn.pcie_stream_bytes_s") == pytest.approx(493 * images["ResNet-152"], rel=0.002)
    assert CHIP.value("cnn.m2_stream_bytes_s") == pytest.approx(261 * images["ResNet-152"], rel=0.003)
    assert CHIP.value("cnn.pcie_on_chip_bytes_s") == pytest.approx(1946 * images["ResNet-50"], rel=0.002)
    assert CHIP.value("cnn.m2_on_chip_bytes_s") == pytest.approx(1756 * images["ResNet-50"], rel=0.003)


def test_the_knee_lies_between_the_last_resident_and_the_first_spilled_product():
    sizes = sorted((k * n, us) for k, n, us in read("published/axelera-metis.toml")["gemv"]["points"])
    jump = next(i for i in range(1, len(sizes)) if sizes[i][1] > 2 * sizes[i - 1][1])
    band = CHIP["gemv.knee_weights"]
    assert (band.low, band.high) == (sizes[jump - 1][0], sizes[jump][0])
    assert metis.gemv_s(band.low, CHIP) < 0.3 * metis.gemv_s(band.high, CHIP)


@pytest.mark.parametrize("path", sorted((root() / "hardware").glob("*.toml")), ids=lambda p: p.stem)
def test_every_number_has_a_source(path):
    found = Profile(read(f"hardware/{path.name}"))
    assert found.name == path.stem
    for key, q in found.items():
        assert q.unit, key
        assert q.source, key
        assert q.confidence in CONFIDENCES, key
        assert not q.assumed or q.confidence == "L", f"{key} is assumed, so its confidence is L"
        assert (q.low is None) == (q.high is None), key
