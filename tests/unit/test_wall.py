"""`assistant wall`: what is measured, modelled and simulated stays apart, in the table, the plot and the JSON."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from assistant.meter.bandwidth import Reading
from assistant.wall import command as module
from assistant.wall import host as host_module
from assistant.wall.command import command
from assistant.wall.host import Host, Measured
from assistant.wall.machines import known
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
    rows = {r["name"]: r for r in found["machines"]}
    assert rows["host"]["tok_s"] is None
    assert rows["host"]["note"] == "not run: no weights of it here"
    assert rows["host"]["ideal_tok_s"] == pytest.approx(50e9 / rows["host"]["bytes_per_token"])
    assert rows["rtx-3060"]["basis"] == "modelled"
    assert rows["rtx-3060"]["tok_s"] == pytest.approx(0.6896 * rows["rtx-3060"]["ideal_tok_s"], rel=1e-3)
    assert rows["mythic-m1076"]["basis"] == rows["mythic-m1076"]["energy_basis"] == "simulated"
    assert rows["mythic-m1076"]["bandwidth_bytes_s"] is None, "its weights are not read"
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


def test_this_machine_is_really_measured(monkeypatch, tmp_path):
    monkeypatch.setattr(host_module, "BUDGET_S", 0.02)
    found = host_module.measure(subject("embedded", None))
    assert [m.what.name for m in found.passes] == ["batch 1", "batch 8", "prefill 64"]
    assert all(m.tok_s > 0 and m.bytes_moved <= m.what.bytes_moved for m in found.passes)
    assert found.peak_macs_s >= max(m.macs_s for m in found.passes)
    assert found.reading.bytes_s > 0
    again = host_module.measure(subject("embedded", None), run=False)
    assert (again.passes, again.reading) == ((), found.reading), "the bandwidth is kept"
