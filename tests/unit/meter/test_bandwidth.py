"""The kept read bandwidth: measured once for a size, a machine and a month."""

from __future__ import annotations

import json
import time

import pytest

from assistant.meter import bandwidth
from assistant.meter.bandwidth import FILE, FRESH_S, MOST_BYTES, best_probe, read_bandwidth


class Probe:
    def __init__(self):
        self.calls = []

    def __call__(self, size: int, threads: int) -> float:
        self.calls.append((size, threads))
        return 10e9 + len(self.calls)


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(bandwidth.os, "getloadavg", lambda: (0.0, 0.0, 0.0))


@pytest.fixture
def probe():
    return Probe()


def ask(folder, probe, size=100 << 20, threads=2, **options):
    return read_bandwidth(size, threads, folder=folder, probe=(probe, "a test"), **options)


def test_it_is_measured_once(tmp_path, probe):
    assert ask(tmp_path / "new", probe, measure=False) is None
    first = ask(tmp_path / "new", probe)
    assert (first.bytes_s, first.source, first.threads) == (10e9 + 1, "a test", 2)
    assert ask(tmp_path / "new", probe, size=110 << 20) == first, "about that size"
    assert ask(tmp_path / "new", probe, measure=False) == first
    assert len(probe.calls) == 1
    assert ask(tmp_path / "new", probe, fresh=True).bytes_s == 10e9 + 2


def test_the_best_of_a_month_is_kept(tmp_path):
    """A reading on a busy machine is too low; none is ever too high."""
    rates = iter([20e9, 5e9, 30e9])
    found = [ask(tmp_path, lambda *_: next(rates), fresh=True).bytes_s for _ in range(3)]
    assert found == [20e9, 20e9, 30e9]


@pytest.mark.parametrize(("load", "hours", "calls"), [(0.0, 2, 1), (99.0, 0.5, 1), (99.0, 2, 2)])
def test_a_busy_machine_is_measured_again_soon(tmp_path, probe, monkeypatch, load, hours, calls):
    monkeypatch.setattr(bandwidth.os, "getloadavg", lambda: (load, 0, 0))
    assert ask(tmp_path, probe).busy is (load > 1)
    later = time.time() + hours * 3600
    monkeypatch.setattr(bandwidth.time, "time", lambda: later)
    ask(tmp_path, probe)
    assert len(probe.calls) == calls


def test_another_size_or_count_of_threads_is_another_measurement(tmp_path, probe):
    ask(tmp_path, probe)
    ask(tmp_path, probe, threads=1)
    ask(tmp_path, probe, size=5 << 20)
    assert len(probe.calls) == 3
    assert len(json.loads((tmp_path / FILE).read_text())["readings"]) == 3


def test_a_huge_model_is_measured_with_less(tmp_path, probe):
    ask(tmp_path, probe, size=1 << 40)
    assert probe.calls[0][0] <= MOST_BYTES


def test_it_belongs_to_a_machine_and_a_time(tmp_path, probe, monkeypatch):
    ask(tmp_path, probe)
    monkeypatch.setattr(bandwidth, "machine", lambda: "another")
    assert ask(tmp_path, probe, measure=False) is None
    monkeypatch.undo()
    later = time.time() + FRESH_S + 1
    monkeypatch.setattr(bandwidth.time, "time", lambda: later)
    assert ask(tmp_path, probe, measure=False) is None


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"machine": 3}'])
def test_a_damaged_file_is_measured_again(tmp_path, probe, damage):
    (tmp_path / FILE).write_text(damage)
    assert ask(tmp_path, probe).bytes_s == 10e9 + 1


def test_a_folder_that_cannot_be_written_costs_only_the_memory_of_it(tmp_path, probe):
    (tmp_path / "file").write_text("")
    assert ask(tmp_path / "file" / "under", probe).bytes_s == 10e9 + 1


def test_this_machine_really_reads(tmp_path):
    read, source = best_probe()
    assert source
    assert read(4 << 20, 1) > 1e8, "slower than 0.1 GB/s is no memory"
