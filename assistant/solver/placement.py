"""Placement of weight groups on sites: all best trade-offs of latency and energy under capacity, exactly.

Dynamic programming over the groups in their order. A label is (room used per limited site, latency, energy) of a
placement of the groups so far that ends at a site; one that another label with no more room, latency and energy also
reaches is dropped, because whatever follows costs both the same. Identical layers make most labels equal, so that a
deployment with one limited site takes milliseconds; `cpsat` solves the same problem with OR-Tools for comparison.
Costs are whole femtoseconds and femtojoules inside, so that equal sums are equal in whatever order they were added.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

from backends.deployment import Deployment

FEMTO = 1e15


@dataclass(frozen=True, slots=True)
class Placed:
    """A placement: site index per group, and its cost in the linear model."""

    places: tuple[int, ...]
    latency_s: float
    energy_j: float


class _Label(NamedTuple):
    used: tuple[int, ...]
    latency: int
    energy: int
    site: int
    before: _Label | None


def front(deployment: Deployment) -> list[Placed]:
    """Every placement that no other beats in both latency and energy, fastest first; empty if nothing fits."""
    sites = range(len(deployment.sites))
    if (easy := _no_contest(deployment)) is not None:
        return [easy]
    limited = [s for s in sites if deployment.sites[s].capacity is not None]
    slot = {s: i for i, s in enumerate(limited)}
    crossing = round(deployment.crossing_s * FEMTO), round(deployment.crossing_j * FEMTO)
    start = _Label((0,) * len(limited), 0, 0, -1, None)
    ends: dict[int, list[_Label]] = {-1: [start]}
    for group in deployment.groups:
        grown: dict[int, list[_Label]] = {}
        for site in sites:
            units = group.units[site]
            if units is None:
                continue
            latency, energy, reached = round(group.latency_s[site] * FEMTO), round(group.energy_j[site] * FEMTO), []
            for last, labels in ends.items():
                crossed = last not in (-1, site)
                slower, dearer = latency + crossed * crossing[0], energy + crossed * crossing[1]
                for label in labels:
                    used = label.used
                    if site in slot:
                        i = slot[site]
                        filled = used[i] + units
                        if filled > deployment.sites[site].capacity:
                            continue
                        used = (*used[:i], filled, *used[i + 1 :])
                    reached.append(_Label(used, label.latency + slower, label.energy + dearer, site, label))
            grown[site] = _undominated(reached)
        ends = grown
    finished = [label._replace(used=()) for labels in ends.values() for label in labels]
    return [_placed(deployment, _places(label)) for label in _undominated(finished)]


def _no_contest(deployment: Deployment) -> Placed | None:
    """One site is best for every group in both respects and holds them all: there is nothing to search."""
    for site in range(len(deployment.sites)):
        best = all(
            g.units[site] is not None and all(
                g.latency_s[site] <= g.latency_s[s] and g.energy_j[site] <= g.energy_j[s]
                for s in range(len(deployment.sites)) if g.units[s] is not None)
            for g in deployment.groups
        )  # fmt: skip
        places = (site,) * len(deployment.groups)
        if best and deployment.fits(places):
            return _placed(deployment, places)
    return None


def _placed(deployment: Deployment, places: tuple[int, ...]) -> Placed:
    return Placed(places, deployment.latency_s(places), deployment.energy_j(places))


def _undominated(labels: list[_Label]) -> list[_Label]:
    """In ascending order of room. With at most one limited site a staircase of (latency, energy) finds the dominated
    ones in logarithmic time; with more of them labels are compared pairwise."""
    labels.sort(key=itemgetter(0, 1, 2))
    if labels and len(labels[0].used) > 1:
        return _pairwise(labels)
    kept: list[_Label] = []
    latencies: list[int] = []  # ascending
    energies: list[int] = []  # descending: the staircase of all labels so far
    for label in labels:
        at = bisect_right(latencies, label.latency)
        if at and energies[at - 1] <= label.energy:
            continue
        kept.append(label)
        end = at
        while end < len(latencies) and energies[end] >= label.energy:
            end += 1
        start = at - 1 if at and latencies[at - 1] == label.latency else at
        latencies[start:end], energies[start:end] = [label.latency], [label.energy]
    return kept


def _pairwise(labels: list[_Label]) -> list[_Label]:
    kept: list[_Label] = []
    for label in labels:
        if not any(
            o.latency <= label.latency and o.energy <= label.energy
            and all(a <= b for a, b in zip(o.used, label.used, strict=True))
            for o in kept
        ):  # fmt: skip
            kept.append(label)
    return kept


def _places(label: _Label) -> tuple[int, ...]:
    out = []
    while label.before is not None:
        out.append(label.site)
        label = label.before
    return tuple(reversed(out))
