"""What changes while a daemon runs: what feeds the machine, and how much memory is free."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Power = Literal["mains", "battery", "unknown"]


def power_source(folder: Path) -> Power:
    """From the kernel's power supplies: mains if an external one is online; else battery if one discharges, or if the
    external ones are all off; unknown where nothing tells (a machine without a battery is fed by its plug, and says
    nothing).

    Files that vanish while they are read count as absent. https://docs.kernel.org/power/power_supply_class.html
    """
    online, batteries = [], []
    for supply in sorted(folder.glob("*")):
        if _word(supply / "scope") == "Device":  # the battery of a mouse
            continue
        kind = _word(supply / "type")
        if kind == "Battery":
            batteries.append(_word(supply / "status"))
        elif kind in ("Mains", "USB", "Wireless", "UPS"):
            online.append(_word(supply / "online") in ("1", "2"))
    if any(online) or "Charging" in batteries:
        return "mains"
    if "Discharging" in batteries or (batteries and online):
        return "battery"
    return "mains" if batteries else "unknown"


def _word(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
