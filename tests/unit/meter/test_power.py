"""Sensors on faked sysfs trees: wrap-around, missing rights, vanishing files, and what each says it covers."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant.meter.power import Battery, Hwmon, Rapl, Sysfs, Unreadable, find


def put(folder: Path, **files: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name).write_text(f"{value}\n")
    return folder


@pytest.fixture
def roots(tmp_path) -> Sysfs:
    made = Sysfs(tmp_path / "powercap", tmp_path / "power_supply", tmp_path / "hwmon")
    for root in (made.powercap, made.power_supply, made.hwmon):
        root.mkdir()
    return made


def rapl(roots: Sysfs, package_uj: int = 1000, dram_uj: int | None = None, span: int = 262_143_328_850) -> None:
    zones = {"intel-rapl": {}, "intel-rapl:0": {"name": "package-0", "energy_uj": package_uj},
             "intel-rapl:0:0": {"name": "core", "energy_uj": package_uj // 2},
             "intel-rapl:1": {"name": "psys", "energy_uj": package_uj * 3},
             "intel-rapl-mmio:0": {"name": "package-0", "energy_uj": package_uj}}  # fmt: skip
    if dram_uj is not None:
        zones["intel-rapl:0:1"] = {"name": "dram", "energy_uj": dram_uj}
    for name, files in zones.items():
        put(roots.powercap / name, **(files | ({"max_energy_range_uj": span} if files else {})))


def test_rapl_counts_packages_and_memory_once(roots):
    """Not the cores inside of a package, not psys around it, not the same package by MMIO."""
    rapl(roots, 1_000_000, dram_uj=500_000)
    sensor = Rapl(roots.powercap)
    assert sensor.energy_j(0) == 0
    rapl(roots, 3_000_000, dram_uj=600_000)
    assert sensor.energy_j(1) == pytest.approx(2.1)
    assert (sensor.name, sensor.covers) == ("RAPL package-0 + dram", "whole processor package and memory")


def test_rapl_goes_round(roots):
    rapl(roots, 9_900_000, span=10_000_000)
    sensor = Rapl(roots.powercap)
    total = 0.0
    for uj, expected in ((9_950_000, 0.05), (200_000, 0.3), (200_000, 0.3), (9_000_000, 9.1), (0, 10.1)):
        put(roots.powercap / "intel-rapl:0", energy_uj=uj)
        now = sensor.energy_j(0)
        assert now >= total, "a counter of joules never decreases"
        assert now == pytest.approx(expected)
        total = now


def test_rapl_without_rights_says_what_to_do(roots, monkeypatch):
    """The tests may run as root, who may read anything: so the refusal is made."""
    rapl(roots)
    read = Path.read_text

    def refuse(self, *args, **options):
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(self))
        return read(self, *args, **options)

    monkeypatch.setattr(Path, "read_text", refuse)
    found = find(roots)
    assert found.sensor is None
    assert "may not be read" in found.reasons[0]
    assert "chmod a+r" in found.reasons[0]
    assert "CVE-2020-8694" in found.reasons[0]


def test_a_zone_that_vanishes_is_an_error_and_no_number(roots):
    rapl(roots)
    sensor = Rapl(roots.powercap)
    (roots.powercap / "intel-rapl:0" / "energy_uj").unlink()
    with pytest.raises(Unreadable, match="cannot be read"):
        sensor.energy_j(1)


def test_nonsense_in_a_file_is_an_error_and_no_number(roots):
    rapl(roots)
    put(roots.powercap / "intel-rapl:0", energy_uj="")
    with pytest.raises(Unreadable, match="no number"):
        Rapl(roots.powercap)


def battery(roots: Sysfs, status: str = "Discharging", **files: object) -> None:
    put(roots.power_supply / "BAT0", type="Battery", status=status, **files)


def test_a_battery_counts_what_it_gives(roots):
    battery(roots, power_now=12_000_000, energy_now=40_000_000)
    put(roots.power_supply / "hid-mouse", type="Battery", scope="Device", status="Discharging", power_now=1)
    sensor = Battery(roots.power_supply)
    assert sensor.energy_j(0) == 0
    battery(roots, power_now=8_000_000)
    assert sensor.energy_j(2) == pytest.approx(20.0), "the mean of both readings, for two seconds"
    assert sensor.energy_j(3) == pytest.approx(28.0)
    assert sensor.covers == "whole machine, screen included"


def test_a_battery_that_tells_current_and_voltage(roots):
    battery(roots, current_now=-1_500_000, voltage_now=12_000_000)
    assert Battery(roots.power_supply).power_w() == pytest.approx(18.0)


def test_a_charged_battery_tells_nothing(roots):
    battery(roots, status="Full", power_now=0)
    with pytest.raises(Unreadable, match="on the mains"):
        Battery(roots.power_supply)


def test_a_battery_that_is_plugged_in_meanwhile(roots):
    battery(roots, power_now=12_000_000)
    sensor = Battery(roots.power_supply)
    battery(roots, status="Charging")
    with pytest.raises(Unreadable, match="on the mains"):
        sensor.energy_j(1)


def test_hwmon_takes_only_chips_with_a_known_meaning(roots):
    put(roots.hwmon / "hwmon0", name="amdgpu", power1_average=9_000_000)
    put(roots.hwmon / "hwmon1", name="coretemp", temp1_input=40_000)
    with pytest.raises(Unreadable, match="amdgpu, coretemp"):
        Hwmon(roots.hwmon)
    put(roots.hwmon / "hwmon2", name="fam15h_power", power1_average=30_000_000)
    sensor = Hwmon(roots.hwmon)
    sensor.energy_j(0)
    assert sensor.energy_j(2) == pytest.approx(60.0)
    assert sensor.name == "hwmon fam15h_power"


def test_hwmon_counters_of_sockets_without_their_cores(roots):
    chip = put(roots.hwmon / "hwmon0", name="amd_energy", energy1_input=5_000_000, energy1_label="Ecore000",
               energy2_input=70_000_000, energy2_label="Esocket0")  # fmt: skip
    sensor = Hwmon(roots.hwmon)
    put(chip, energy1_input=6_000_000, energy2_input=75_000_000)
    assert sensor.energy_j(1) == pytest.approx(5.0)


def test_the_narrowest_sensor_is_taken_and_the_rest_explained(roots):
    found = find(roots)
    assert found.sensor is None
    assert [r.partition(":")[0] for r in found.reasons] == ["RAPL", "battery", "hwmon"]
    battery(roots, power_now=12_000_000)
    assert find(roots).sensor.name == "battery BAT0"
    rapl(roots)
    assert find(roots).sensor.name == "RAPL package-0"


def test_this_machine_has_something_or_says_why():
    found = find()
    assert (found.sensor is not None and found.sensor.covers) or len(found.reasons) == 3
