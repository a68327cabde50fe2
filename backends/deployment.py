"""What a device made of several places offers: which weight group may lie where, and what that costs per token."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

from backends.base import ModelConfig


@dataclass(frozen=True, slots=True)
class Site:
    """One place for weights. capacity: in whole units of the deployment's choice; None: no limit."""

    name: str
    capacity: int | None


@dataclass(frozen=True, slots=True)
class Group:
    """Weights that stay together, and what they would cost at each site (None: they cannot lie there).

    units: room that they take; latency_s, energy_j: their part of one token.
    """

    name: str
    units: tuple[int | None, ...]
    latency_s: tuple[float, ...]
    energy_j: tuple[float, ...]


@dataclass(frozen=True)
class Deployment:
    """The linear model of a placement. Groups run in order; each change of site between two of them costs a crossing.

    `base_s` and `base_j` do not depend on the placement. `realise(places)` gives the constructor options of the backend
    for a site index per group; the backend's own `estimate` then has the last word on what that costs.
    """

    title: str
    sites: tuple[Site, ...]
    groups: tuple[Group, ...]
    crossing_s: float
    crossing_j: float
    base_s: float
    base_j: float
    realise: Callable[[Sequence[int]], Mapping[str, object]]

    def latency_s(self, places: Sequence[int]) -> float:
        parts = sum(g.latency_s[s] for g, s in zip(self.groups, places, strict=True))
        return self.base_s + parts + self.crossing_s * crossings(places)

    def energy_j(self, places: Sequence[int]) -> float:
        parts = sum(g.energy_j[s] for g, s in zip(self.groups, places, strict=True))
        return self.base_j + parts + self.crossing_j * crossings(places)

    def fits(self, places: Sequence[int]) -> bool:
        used = [0] * len(self.sites)
        for group, site in zip(self.groups, places, strict=True):
            if group.units[site] is None:
                return False
            used[site] += group.units[site]
        return all(s.capacity is None or u <= s.capacity for s, u in zip(self.sites, used, strict=True))


def crossings(places: Sequence[int]) -> int:
    return sum(a != b for a, b in pairwise(places))


@runtime_checkable
class Placeable(Protocol):
    """A backend kind whose weights can lie in several places."""

    @classmethod
    def deployments(cls, config: ModelConfig, precision: str) -> Sequence[Deployment]:
        """One per size worth asking about (one chip, two chips, ...), without weights."""


def weight_groups(config: ModelConfig) -> dict[str, tuple[str, ...]]:
    """Group -> canonical matrices, in order of execution: per layer time-mix, its low-rank pairs and channel-mix, then
    the head. The embedding is a look-up in host memory and belongs to no group."""
    out: dict[str, tuple[str, ...]] = {}
    for i in range(config.layers):
        b = f"blocks.{i}."
        low = [c for c in "wavg" if not (i == 0 and c == "v")]
        out[f"layer {i} time-mix"] = tuple(f"{b}att.{m}.weight" for m in ("receptance", "key", "value", "output"))
        out[f"layer {i} LoRA"] = tuple(f"{b}att.{c}{n}" for n in (1, 2) for c in low)
        out[f"layer {i} channel-mix"] = (f"{b}ffn.key.weight", f"{b}ffn.value.weight")
    out["head"] = ("head.weight",)
    return out
