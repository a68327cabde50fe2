"""The bill of one pass over a simulated chip: latency and energy as bands, with their parts."""

from __future__ import annotations

from dataclasses import dataclass

from backends.base import Cost
from backends.profiles import Band

ZERO = Band(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class ChipCost:
    """`latency_s` and `energy_j`: name of the part -> band. Parts of the latency follow each other."""

    latency_parts_s: dict[str, Band]
    energy_parts_j: dict[str, Band]
    macs: int
    bytes_moved: int

    @property
    def latency_s(self) -> Band:
        return sum(self.latency_parts_s.values(), ZERO)

    @property
    def energy_j(self) -> Band:
        return sum(self.energy_parts_j.values(), ZERO)

    @property
    def mid(self) -> Cost:
        """The middle of the bands, as a backend bills it."""
        return Cost(self.latency_s.mid, self.energy_j.mid, self.macs, self.bytes_moved, "simulated")
