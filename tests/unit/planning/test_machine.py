"""What feeds the machine, by faked files of the kernel."""

from __future__ import annotations

import pytest

from assistant.planning.machine import power_source

MAINS = {"type": "Mains", "online": "1"}
OFF = {"type": "Mains", "online": "0"}
BATTERY = {"type": "Battery", "status": "Discharging"}
MOUSE = {"type": "Battery", "scope": "Device", "status": "Discharging"}


@pytest.mark.parametrize(("supplies", "expected"), [
    ({}, "unknown"),
    ({"AC": MAINS}, "mains"),
    ({"AC": MAINS, "BAT0": BATTERY}, "mains"),
    ({"AC": OFF, "BAT0": BATTERY}, "battery"),
    ({"AC": OFF, "BAT0": BATTERY | {"status": "Charging"}}, "mains"),
    ({"AC": OFF, "USB": {"type": "USB", "online": "1"}, "BAT0": BATTERY}, "mains"),
    ({"BAT0": BATTERY}, "battery"),
    ({"mouse": MOUSE}, "unknown"),
    ({"AC": MAINS, "mouse": MOUSE}, "mains"),
    ({"BAT0": {}}, "unknown"),
    ({"BAT0": BATTERY | {"status": "Full"}}, "mains"),
    ({"AC": OFF, "BAT0": BATTERY | {"status": "Unknown"}}, "battery"),
])  # fmt: skip
def test_power_source(tmp_path, supplies, expected):
    for name, files in supplies.items():
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / file).write_text(text + "\n")
    assert power_source(tmp_path) == expected


def test_a_folder_that_is_not_there_tells_nothing(tmp_path):
    assert power_source(tmp_path / "none") == "unknown"
