"""The words of the problem: metrics, options with their figures, limits and what breaks them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from backends.base import Basis

SIMULATED, UNTESTED = "simulated", "untested"
"""Flags: a chip that is not here; a conversion to fewer bits whose quality nobody has measured."""
PRIVACY = ("on-device", "lan", "internet")
"""Where the text of a conversation may go; each allows those before it."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of an option. `better`: which direction one wants."""

    name: str
    unit: str
    words: str
    better: Literal["less", "more"] = "less"

    def key(self, value: float | None) -> float:
        """Smaller is better; an unknown figure is the worst."""
        return float("inf") if value is None else value if self.better == "less" else -value


METRICS = {
    m.name: m
    for m in (
        Metric("ms_per_token", "ms", "time per token"),
        Metric("ms_per_token_p95", "ms", "time per token, 95th percentile"),
        Metric("ms_per_token_busy", "ms", "time per token with every slot taken"),
        Metric("ttft_s", "s", "time to the first token"),
        Metric("watts", "W", "power while writing"),
        Metric("joules_per_token", "J", "energy per token"),
        Metric("memory_mb", "MB", "memory"),
        Metric("quality", "share", "quality", "more"),
        Metric("conversations", "", "conversations at once", "more"),
        Metric("threads", "", "threads"),
        Metric("chips", "", "chips"),
        Metric("retention_days", "days", "days that others keep the text"),
        Metric("usd_per_mtok", "$", "price of a million tokens"),
    )
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One value and how it is known. `note`: what it rests on, in words."""

    value: float | None
    basis: Basis = "modelled"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Option:
    """One way to run: everything that limits and objectives ask about.

    `unusable`: why it can never be executed here, whatever the limits (None: it can). `traits`: backend, precision,
    model and so on, in words. `flags`: what a policy has to allow. `preference` breaks ties (the higher first), then
    the name does.
    """

    name: str
    figures: Mapping[str, Figure]
    traits: Mapping[str, str] = field(default_factory=dict)
    privacy: str = "on-device"
    flags: frozenset[str] = frozenset()
    preference: int = 0
    unusable: str | None = None
    settings: Mapping[str, object] = field(default_factory=dict)  # what the executor needs; nothing here reads it

    @property
    def simulated(self) -> bool:
        return SIMULATED in self.flags

    def value(self, metric: str) -> float | None:
        figure = self.figures.get(metric)
        return None if figure is None else figure.value


@dataclass(frozen=True, slots=True)
class Limit:
    """A hard limit. kind: "max" and "min" bound the metric `subject`; "privacy" bounds how far text travels; "allow"
    says whether the flag `subject` may be chosen; "one-of" names the allowed values of the trait `subject`. `key` is
    how the person wrote it."""

    key: str
    kind: Literal["max", "min", "privacy", "allow", "one-of"]
    bound: float | str | bool | tuple[str, ...]
    subject: str = ""

    def breach(self, option: Option) -> Breach | None:
        """What is broken, or None. An unknown figure breaks every limit on it: the solver fails closed."""
        if self.kind == "privacy":
            broken = PRIVACY.index(option.privacy) > PRIVACY.index(self.bound)
            return Breach(self, option.privacy) if broken else None
        if self.kind == "allow":
            return Breach(self, True) if self.subject in option.flags and not self.bound else None
        if self.kind == "one-of":
            value = option.traits.get(self.subject)
            return None if value in self.bound else Breach(self, value)
        value = option.value(self.subject)
        if value is None or value != value:
            return Breach(self, None)
        within = value <= self.bound if self.kind == "max" else value >= self.bound
        return None if within else Breach(self, value)


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit, and the option's value that breaks it (None: not known)."""

    limit: Limit
    value: float | str | bool | None


@dataclass(frozen=True, slots=True)
class Objective:
    """What to prefer among the options within all limits.

    lexicographic: (metric, tolerance) in order; all options within the relative tolerance of the best go on to the
    next. Otherwise weights: the sum of weight x (value / best value of that metric) is made least, or for metrics
    where more is better weight x (best value / value).
    """

    order: tuple[tuple[str, float], ...] = ()
    weights: tuple[tuple[str, float], ...] = ()
