"""What the chips' tables need beyond plain ones: bands, and the line that says that nothing here was measured."""

from __future__ import annotations

from assistant.tables import si
from backends.profiles import Band

SIMULATED = "◇ simulated: neither chip is here. low .. mid .. high where a number is known only as a band."


def band(value: Band, unit: str) -> str:
    """One text if the ends meet, else `low .. mid .. high`."""
    low, mid, high = (si(v, unit) for v in (value.low, value.mid, value.high))
    return mid if low == mid == high else f"{low} .. {mid} .. {high}"
