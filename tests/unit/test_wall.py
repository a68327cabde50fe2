"""`assistant wall`: what is measured, modelled and simulated stays apart, in the table, the plot and the JSON."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import msgspec
import pytest
from click.testing import CliRunner

from assistant.meter.bandwidth import Reading
from assistant.planning import bandwidth, calibration
from assistant.wall import command as module
from assistant.wall import host as host_module
from assistant.wall.command import command
from assistant.wall.host import Host, Measured
from assistant.wall.machines import known, rows
from assistant.wall.plot import Point, Roof, svg, terminal
from assistant.wall.subject import subject

READING = Reading(bytes_s=50e9, size_bytes=100 << 20, threads=2, measured_at=1.8e9, source="a test")


@pytest.fixture
def fixed_host(monkeypatch):
    """A host that reads 50 GB/s and reaches 200 GMAC/s, whatever this machine does."""

    def measure(model, *, run=None, fresh=False):
        ran = tuple(Measured(p, p.bytes_moved / 40e9, p.bytes_moved) for p in model.passes()) if model.stored else ()
        return Host("cpu", 2, READING, 200e9, ran, "" if ran else "no weights of it here", 0.01)

    monkeypatch.setattr(module, "measure", measure)


def wall(*arguments: str):
    done = CliRunner().invoke(command, arguments)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def value(*arguments: str) -> dict:
    return json.loads(wall("--json", *arguments).stdout)


def test_the_page_of_the_embedded_model(fixed_host):
    page = wall().stdout
    for name in known():
        assert f"\n{name} " in page
    assert "measured here and now" in page
    assert "ridge              4.0 MAC/byte" in page
    assert "● measured: batch 1, batch 8, prefill 64" in page
    assert "\x1b" not in page


@pytest.mark.parametrize("size", ["0.1B", "0.4B", "1.5B", "2.9B", "7.2B"])
def test_sizes_without_weights_are_modelled_only(fixed_host, size):
    found = value("--model", size, "--device", "host", "--device", "rtx-3060", "--device", "mythic-m1076")
    by_name = {r["name"]: r for r in found["machines"]}
    assert by_name["host"]["tok_s"] is None
    assert by_name["host"]["note"] == "not run: no weights of it here"
    assert by_name["host"]["ideal_tok_s"] == pytest.approx(50e9 / by_name["host"]["bytes_per_token"])
    assert by_name["rtx-3060"]["basis"] == "modelled"
    assert by_name["rtx-3060"]["tok_s"] == pytest.approx(0.6896 * by_name["rtx-3060"]["ideal_tok_s"], rel=1e-3)
    assert by_name["mythic-m1076"]["basis"] == by_name["mythic-m1076"]["energy_basis"] == "simulated"
    assert by_name["mythic-m1076"]["bandwidth_bytes_s"] is None, "its weights are not read"
    assert found["host"]["measured"] == {}


def test_every_number_says_how_it_is_known(fixed_host):
    found = value()
    bases = {r["name"]: r["basis"] for r in found["machines"]}
    assert [n for n, b in bases.items() if b == "measured"] == ["host"]
    assert {n for n, b in bases.items() if b == "simulated"} == {"mythic-m1076", "axelera-metis"}
    assert {n for n, b in bases.items() if b == "reference"} == {"cloud-api"}
    host = next(r for r in found["machines"] if r["name"] == "host")
    assert host["share"] == pytest.approx(0.8)
    assert host["energy_basis"] == "modelled"
    assert found["host"]["ridge_macs_per_byte"] == pytest.approx(4.0)
    intensities = [p["macs_per_byte"] for p in found["passes"]]
    assert intensities == sorted(intensities), "sharing a pass moves right, towards the ridge"


def test_a_few_devices(fixed_host):
    assert [r["name"] for r in value("--device", "apple-m2", "--device", "host")["machines"]] == ["host", "apple-m2"]
    assert "host" not in value("--device", "apple-m2")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--device", "rtx4090"), "Did you mean 'rtx-4090'"),
        (("--model", "embeded"), "Did you mean 'embedded'"),
        (("--precision", "int5"), "Choose from fp32"),
        (("--plot", "x.png"), "only SVG is drawn"),
    ],
)
def test_what_cannot_be_is_told(arguments, words):
    from assistant.errors import AssistantError

    with pytest.raises(AssistantError, match=words):
        wall(*arguments)


def test_the_plot_is_a_drawing_that_a_browser_opens(fixed_host, tmp_path):
    file = tmp_path / "wall.svg"
    assert wall("--plot", str(file)).exit_code == 0
    tree = ElementTree.parse(file)
    words = [e.text for e in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert "batch 1, measured" in words
    assert "mythic-m1076, simulated" in words
    assert "rtx-4090, modelled" in words
    assert not list(tree.iter("{http://www.w3.org/2000/svg}script"))


def test_a_roof_is_the_lower_of_memory_and_arithmetic():
    roof = Roof("x", 50e9, 200e9)
    assert roof.ridge == 4
    assert [roof.at(x) for x in (1, 4, 100)] == [50e9, 200e9, 200e9]
    assert Roof("y", 50e9).at(100) == 5e12
    for draw in (terminal, lambda *a: svg("t", *a)):
        text = draw([roof, Roof("y <&>", 1e12)], [Point("p", 0.9, 40e9, "measured"), Point("c", 50, 1e10, "simulated")])
        assert "p" in text
    ElementTree.fromstring(svg("a < b", [Roof("y <&>", 1e12)], []))


@pytest.fixture
def calibrated():
    """As `assistant bench --calibrate` would leave it: 2 ns for a byte, 3 ns on one thread."""
    model = subject("0.1B", "int8")
    points = [
        calibration.Point(backend="cpu", precision="int8", threads=n, tokens=p.tokens, batch=p.batch, layers=layers,
                          bytes_moved=p.bytes_moved, macs=p.macs, seconds=s * p.bytes_moved, p95_s=s * p.bytes_moved)
        for p in model.passes() for layers in (6, 12, 24) for n, s in ((1, 3e-9), (2, 2e-9))
    ]  # fmt: skip
    size = model.one("", 1, 1).bytes_moved
    reads = {1: [(size, 30e9)], 2: [(size, 60e9), (size // 9, 99e9)]}
    found = calibration.Calibration(machine=calibration.fingerprint(), measured_at="2026-11-23T12:00:00+00:00",
                                    read_bytes_s=reads, points=points)  # fmt: skip
    calibration.save(found)
    return found


def test_a_calibrated_host_is_predicted_and_says_so(calibrated, monkeypatch):
    monkeypatch.setattr(host_module, "host_bandwidth", lambda *_, **__: READING)
    monkeypatch.setattr(host_module, "_peak", lambda _: 200e9)
    model = subject("0.1B", "int8")
    host = host_module.measure(model)
    (row,) = rows(model, host, ["host"])
    assert row.basis == "modelled"
    assert row.tok_s == pytest.approx(1 / (2e-9 * row.bytes_per_token), rel=0.02), "the faster number of threads"
    assert "predicted from `bench --calibrate`" in row.note
    page = wall("--model", "0.1B", "--device", "host").stdout
    assert f"~{row.tok_s:.1f}" in page


def test_the_best_reading_of_calibration_and_own_measurement_is_the_wall(calibrated):
    size = subject("0.1B", "int8").one("", 1, 1).bytes_moved
    known = bandwidth.calibrated(size)
    assert (known.bytes_s, known.threads) == (60e9, 2), "of about that size only"
    assert bandwidth.host_bandwidth(size, measure=False) == known
    assert bandwidth.calibrated(size * 2) is None
    assert bandwidth.host_bandwidth(size * 2, measure=False) is None
    low, high = (msgspec.structs.replace(known, bytes_s=b, source="a test") for b in (1e9, 70e9))
    for own, expected in ((low, known), (high, high)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bandwidth, "read_bandwidth", lambda *_, own=own, **__: own)
            assert bandwidth.host_bandwidth(size) == expected


def test_a_model_that_fits_into_the_cache_is_told(fixed_host, monkeypatch, tmp_path):
    for i, size in enumerate(("32K", "4096K", "16M", "", "lots")):
        (tmp_path / f"index{i}").mkdir()
        (tmp_path / f"index{i}" / "size").write_text(size + "\n")
    assert host_module.last_level_cache_bytes(tmp_path) == 16 << 20
    assert host_module.last_level_cache_bytes(tmp_path / "none") is None
    for cache, told in ((None, False), (8 << 20, False), (512 << 20, True)):
        monkeypatch.setattr(module, "last_level_cache_bytes", lambda cache=cache: cache)
        assert ("last-level cache" in wall("--device", "host").stdout) is told


def test_this_machine_is_really_measured(monkeypatch, tmp_path):
    monkeypatch.setattr(host_module, "BUDGET_S", 0.02)
    found = host_module.measure(subject("embedded", None))
    assert [m.what.name for m in found.passes] == ["batch 1", "batch 8", "prefill 64"]
    assert all(m.tok_s > 0 and m.bytes_moved <= m.what.bytes_moved for m in found.passes)
    assert found.peak_macs_s >= max(m.macs_s for m in found.passes)
    assert found.reading.bytes_s > 0
    again = host_module.measure(subject("embedded", None), run=False)
    assert (again.passes, again.reading) == ((), found.reading), "the bandwidth is kept"
