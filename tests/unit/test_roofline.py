"""Reference machines: the table of what was calibrated and what was only checked, recomputed."""

from __future__ import annotations

import pytest

from backends import roofline
from backends.base import ModelConfig
from backends.census import census, pass_bytes
from backends.networks import rwkv7_named, rwkv7_sizes
from backends.profiles import names, profile, read, root

# machine: GB/s, tok/s, W, efficiency, as published for Llama-3.2-3B in 4 bits (2.02 GB)
PUBLISHED = {
    "rtx-4090": (1008, 334.7, 261.9, 0.67), "rtx-4070-ti": (504, 196, 267, 0.79), "rtx-3080-ti": (912, 263, 495, 0.58),
    "rtx-3060": (360, 122.9, 214, 0.69), "rtx-a4000": (448, 149, 269, 0.67), "apple-m3-ultra": (819, 154.6, 223, 0.38),
    "apple-m4-mini": (120, 41.3, 30.1, 0.70), "raspberry-pi-500-plus": (17.1, 5.55, 13, 0.66),
    "raspberry-pi-5": (17.1, 4.88, 11.9, 0.58),
}  # fmt: skip
ERRORS = {"rtx-4090": 0.03, "rtx-4070-ti": -0.12, "rtx-3080-ti": 0.18, "rtx-a4000": 0.03, "apple-m3-ultra": 0.81,
          "apple-m4-mini": -0.01, "raspberry-pi-500-plus": -0.12}  # fmt: skip


def test_the_figures_are_those_published():
    for name, (gb_s, tok_s, watts, share) in PUBLISHED.items():
        machine = profile(name)
        assert machine.value("memory.bandwidth_bytes_s") == pytest.approx(gb_s * 1e9)
        assert machine.value("published.tok_s") == tok_s
        assert machine.value("published.power_w") == watts
        assert roofline.efficiency(name) == pytest.approx(share, abs=0.006)


def test_two_machines_are_calibrated_and_the_others_are_held_out():
    rows = {r.machine: r for r in roofline.rows()}
    assert set(rows) == set(PUBLISHED)
    assert {m for m, r in rows.items() if r.role == "calibrated"} == {"rtx-3060", "raspberry-pi-5"}
    for name, r in rows.items():
        by_hand = roofline.efficiency(r.calibrated_on) * r.bandwidth_bytes_s / 2.02e9
        assert r.predicted_tok_s == pytest.approx(by_hand)
        assert r.within, f"{name} left its band: {r.error:+.1%}"
        assert r.calibrated_on in ("rtx-3060", "raspberry-pi-5"), "nothing is tuned to a held-out machine"
        if r.role == "held out":
            assert r.error == pytest.approx(ERRORS[name], abs=0.006)
            assert r.band <= 2 * abs(r.error) + 0.05, "a band so wide would hide a change"
            assert r.note or abs(r.error) < 0.1, "a known miss says so"


def test_every_reference_machine_answers():
    for name in names("reference"):
        machine = profile(name)
        assert roofline.decode_tok_s(machine, 1e9) > 0
        joules = roofline.decode_j_per_token(machine, 2.02e9)
        if name in ("rtx-3060", "raspberry-pi-5"):
            assert joules == pytest.approx(PUBLISHED[name][2] / PUBLISHED[name][1])
    assert {"a100-40gb", "a100-80gb", "apple-m1", "apple-m2", "apple-m1-max", *PUBLISHED} == set(names("reference"))
    assert names("cloud") == ["cloud-api"]
    assert "mythic-m1076" in names("chip")


def test_a_machine_calibrated_on_a_held_out_one_is_refused():
    machine = profile("rtx-4090")
    table = dict(machine.table("decode"))
    try:
        machine.table("decode")["calibrated_on"] = "rtx-4070-ti"
        with pytest.raises(ValueError, match="held out"):
            roofline.modelled_efficiency(machine)
    finally:
        machine.table("decode").update(table)


def test_sizes_by_name():
    assert rwkv7_named("0.1B") == rwkv7_named("rwkv7-0.1b") == rwkv7_sizes()["rwkv7-0.1b"]
    assert rwkv7_named("13B") is None
    config = rwkv7_named("0.1B")
    assert isinstance(config, ModelConfig)
    assert census(config).projection_macs == 84_934_656
    # what is read of 0.1B in int8 is what docs/performance.md measures
    assert pass_bytes(config, 1, 1, "int8") == pytest.approx(146.85e6, rel=1e-3)
    assert (root() / "prices.toml").is_file()
    assert read("prices.toml")["currency"]
