"""Where joules can be read on Linux: RAPL, battery, hwmon; what each covers, and why one cannot be read.

Every root in sysfs is an argument, so that tests can fake a machine. All sensors offer one cumulative counter in
joules, whatever the kernel offers.

Sources: docs.kernel.org/power/powercap/powercap.html, Documentation/ABI/testing/sysfs-class-power and
sysfs-class-hwmon of the Linux kernel. RAPL is readable by root only since CVE-2020-8694 (PLATYPUS): its counters can
give away what other programs compute.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

RAPL_ZONE = re.compile(r"intel-rapl:\d+(:\d+)?")  # AMD's too; intel-rapl-mmio repeats the same energy
RAPL_REMEDY = (
    "as root: chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj (until the next start; other programs of this "
    "machine can then read it as well, see CVE-2020-8694)"
)
HWMON_COVERS = {
    "amd_energy": "the processor's sockets, not the memory",
    "fam15h_power": "the processor, not the memory",
    "power_meter": "the whole machine (ACPI)",
}
"""hwmon chips whose reading has a known meaning. A rail of a board or a graphics card would tell less than it seems."""


class Unreadable(Exception):
    """A sensor cannot be read (any more); `remedy` says what a person could do, if anything."""

    def __init__(self, sensor: str, reason: str, remedy: str = ""):
        super().__init__(f"{sensor}: {reason}" + (f"; {remedy}" if remedy else ""))
        self.sensor, self.reason, self.remedy = sensor, reason, remedy


class Sensor(Protocol):
    """One way to measure energy. `covers`: whose energy that is, in words."""

    name: str
    covers: str

    def energy_j(self, now_s: float) -> float:
        """Joules since the sensor was made; never decreases. Raises Unreadable."""


@dataclass(frozen=True, slots=True)
class Sysfs:
    """Where the kernel shows its sensors."""

    powercap: Path = Path("/sys/class/powercap")
    power_supply: Path = Path("/sys/class/power_supply")
    hwmon: Path = Path("/sys/class/hwmon")


@dataclass(frozen=True, slots=True)
class Found:
    """The best sensor there is, or none, and why the others cannot be used."""

    sensor: Sensor | None
    reasons: tuple[str, ...]


class Rapl:
    """Energy of all processor packages, and of DRAM where that is a zone of its own.

    `psys` (the whole platform) is left out: it contains the packages, and not every maker connects it.
    """

    def __init__(self, root: Path):
        """Raises Unreadable."""
        self._zones: dict[Path, tuple[int, int]] = {}  # zone -> (last reading, range), both uJ
        names = []
        for zone in sorted(p for p in _entries(root) if RAPL_ZONE.fullmatch(p.name)):
            name = _text(zone / "name", "RAPL")
            if name.startswith("package") or name == "dram":
                self._zones[zone] = (self._read(zone), _number(zone / "max_energy_range_uj", "RAPL"))
                names.append(name)
        if not names:
            raise Unreadable("RAPL", f"no processor package under {root} (a virtual machine, or no such processor)")
        self.name = f"RAPL {' + '.join(dict.fromkeys(names))}"
        self.covers = "whole processor package" + (" and memory" if "dram" in names else ", not the memory")
        self._total_uj = 0

    def energy_j(self, now_s: float) -> float:
        for zone, (last, span) in self._zones.items():
            value = self._read(zone)
            # The counter starts again from 0 after max_energy_range_uj: every hour or so at 60 W.
            self._total_uj += value - last if value >= last else value + span - last
            self._zones[zone] = (value, span)
        return self._total_uj / 1e6

    @staticmethod
    def _read(zone: Path) -> int:
        return _number(zone / "energy_uj", "RAPL", RAPL_REMEDY)


class _Integrated:
    """A power reading, summed over time as if it were constant between two readings."""

    def __init__(self) -> None:
        self._total_j, self._last = 0.0, None

    def energy_j(self, now_s: float) -> float:
        power_w = self.power_w()
        if self._last is not None:
            last_s, last_w = self._last
            self._total_j += max(0.0, now_s - last_s) * (power_w + last_w) / 2
        self._last = now_s, power_w
        return self._total_j

    def power_w(self) -> float:
        raise NotImplementedError


class Battery(_Integrated):
    """What a battery gives while it is discharged: the whole machine with its screen. On the mains it tells nothing."""

    covers = "whole machine, screen included"

    def __init__(self, root: Path):
        """Raises Unreadable."""
        super().__init__()
        batteries = [
            p for p in _entries(root) if _text_or(p / "type") == "Battery" and _text_or(p / "scope") != "Device"
        ]
        if not batteries:
            raise Unreadable("battery", "there is none")
        self._folders = sorted(batteries)
        self.name = "battery " + " + ".join(p.name for p in self._folders)
        self.power_w()

    def power_w(self) -> float:
        """Raises Unreadable, also when no battery is being discharged."""
        states = [_text_or(p / "status") for p in self._folders]
        if "Discharging" not in states:
            raise Unreadable("battery", "the machine runs on the mains")
        return sum(self._one_w(p) for p, state in zip(self._folders, states, strict=True) if state == "Discharging")

    @staticmethod
    def _one_w(folder: Path) -> float:
        if (folder / "power_now").exists():
            return abs(_number(folder / "power_now", "battery")) / 1e6
        microamperes, microvolts = (_number(folder / f"{what}_now", "battery") for what in ("current", "voltage"))
        return abs(microamperes) * microvolts / 1e12


class Hwmon(_Integrated):
    """A chip of hwmon with a known meaning: its energy counters, else its power."""

    def __init__(self, root: Path):
        """Raises Unreadable."""
        super().__init__()
        seen = []
        for folder in sorted(_entries(root)):
            seen.append(chip := _text_or(folder / "name") or "unnamed")
            if chip in HWMON_COVERS:
                self._energy = sorted(p for p in folder.glob("energy*_input") if self._is_socket(p))
                self._power = sorted([*folder.glob("power*_average")] or [*folder.glob("power*_input")])
                if self._energy or self._power:
                    self.name, self.covers = f"hwmon {chip}", HWMON_COVERS[chip]
                    self._start_uj = 0
                    self._start_uj = self._counted_uj() if self._energy else 0
                    return
        raise Unreadable("hwmon", f"none of its chips measures a known power (there: {', '.join(seen) or 'none'})")

    @staticmethod
    def _is_socket(file: Path) -> bool:
        """amd_energy has a counter for each core and one for each socket, which contains the cores."""
        return "socket" in (_text_or(file.with_name(file.name.replace("_input", "_label"))) or "socket").lower()

    def _counted_uj(self) -> int:
        return sum(_number(p, "hwmon") for p in self._energy) - self._start_uj

    def energy_j(self, now_s: float) -> float:
        if self._energy:  # 64-bit in the kernel: these do not wrap
            return max(0.0, self._counted_uj() / 1e6)
        return super().energy_j(now_s)

    def power_w(self) -> float:
        return sum(_number(p, "hwmon") for p in self._power) / 1e6


def find(roots: Sysfs = Sysfs()) -> Found:
    """The narrowest working sensor: the processor's own, then the battery, then hwmon."""
    reasons: list[str] = []
    for kind, root in ((Rapl, roots.powercap), (Battery, roots.power_supply), (Hwmon, roots.hwmon)):
        try:
            return Found(kind(root), tuple(reasons))
        except Unreadable as error:
            reasons.append(str(error))
    return Found(None, tuple(reasons))


# --- files that may vanish at any time ---


def _entries(root: Path) -> list[Path]:
    try:
        return list(root.iterdir())
    except OSError:
        return []


def _text(path: Path, sensor: str, remedy: str = "") -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except PermissionError:
        raise Unreadable(sensor, f"{path} may not be read", remedy) from None
    except OSError as error:
        raise Unreadable(sensor, f"{path} cannot be read ({error.strerror})") from error


def _text_or(path: Path, otherwise: str = "") -> str:
    try:
        return _text(path, "")
    except Unreadable:
        return otherwise


def _number(path: Path, sensor: str, remedy: str = "") -> int:
    text = _text(path, sensor, remedy)
    try:
        return int(text)
    except ValueError:
        raise Unreadable(sensor, f"{path} says {text!r}, which is no number") from None
