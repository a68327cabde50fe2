"""What changes while a daemon runs: what feeds the machine, and how much memory is free."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Power = Literal["mains", "battery", "unknown"]


def power_source(folder: Path) -> Power:
    """From the kernel's power supplies: mains if any external supply is online; battery if none is and a battery is
    there; unknown where nothing tells (a machine without a battery is fed by its plug, and says nothing).

    Files that vanish while they are read count as absent. https://docs.kernel.org/power/power_supply_class.html
    """
    batteries = external = False
    for supply in sorted(folder.glob("*")):
        kind, scope = _word(supply / "type"), _word(supply / "scope")
        if scope == "Device":  # the battery of a mouse
            continue
        if kind == "Battery":
            batteries = True
            external |= _word(supply / "status") == "Charging"
        elif kind in ("Mains", "USB", "Wireless", "UPS"):
            external |= _word(supply / "online") in ("1", "2")
    return "mains" if external else "battery" if batteries else "unknown"


def _word(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
