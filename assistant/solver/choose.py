"""The choice: drop what breaks a limit, rank the rest by the objective, and keep every reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assistant.solver.problem import METRICS, Breach, Limit, Objective, Option


@dataclass(frozen=True, slots=True)
class Outranked:
    """Within all limits, but another is better: the metric that decided, both values, and the tolerance (0: a tie was
    broken, or the weighted sum decided and `metric` is "weighted sum")."""

    metric: str
    value: float | None
    best: float | None
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True)
class Loser:
    """An option that was not chosen and why: one of `unusable`, `breaches`, `outranked`."""

    option: Option
    breaches: tuple[Breach, ...] = ()
    outranked: Outranked | None = None


@dataclass(frozen=True, slots=True)
class Solution:
    """`choice` is None if no usable option is within all limits."""

    choice: Option | None
    losers: tuple[Loser, ...]


def breaches(option: Option, limits: Sequence[Limit]) -> tuple[Breach, ...]:
    return tuple(b for limit in limits if (b := limit.breach(option)) is not None)


def solve(options: Sequence[Option], limits: Sequence[Limit], objective: Objective) -> Solution:
    """Exact: every option is looked at. Losers keep the order of `options`."""
    why: dict[str, Loser] = {}
    for option in options:
        broken = breaches(option, limits)
        if broken or option.unusable:
            why[option.name] = Loser(option, broken)
    left = sorted((o for o in options if o.name not in why), key=lambda o: (-o.preference, o.name))
    left = _by_weights(left, objective, why) if objective.weights else _by_order(left, objective, why)
    choice = left[0] if left else None
    for option in left[1:]:
        why[option.name] = Loser(option, outranked=Outranked("preference", option.preference, choice.preference))
    return Solution(choice, tuple(why[o.name] for o in options if o is not choice))


def _by_order(left: list[Option], objective: Objective, why: dict[str, Loser]) -> list[Option]:
    """Criterion after criterion with its tolerance; then the same ones again without, so that ties are real ties."""
    for metric, tolerance in (*objective.order, *((m, 0.0) for m, _ in objective.order)):
        if len(left) < 2:
            break
        key = METRICS[metric].key
        best = min(key(o.value(metric)) for o in left)
        if best == float("inf"):
            continue  # not known of any
        edge, best_value = best + tolerance * abs(best), next(
            o.value(metric) for o in left if key(o.value(metric)) == best)  # fmt: skip
        stay = []
        for option in left:
            if key(option.value(metric)) <= edge:
                stay.append(option)
            else:
                lost = Outranked(metric, option.value(metric), best_value, tolerance)
                why[option.name] = Loser(option, outranked=lost)
        left = stay
    return left


def _by_weights(left: list[Option], objective: Objective, why: dict[str, Loser]) -> list[Option]:
    if not left:
        return left
    sums = weighted_sums(left, objective)
    best = min(sums)
    for option, total in zip(left, sums, strict=True):
        if total > best:
            why[option.name] = Loser(option, outranked=Outranked("weighted sum", total, best))
    return [o for o, total in zip(left, sums, strict=True) if total == best]


def weighted_sums(options: Sequence[Option], objective: Objective) -> list[float]:
    """One number per option, smaller is better; an unknown figure costs infinitely much, unless nobody knows it."""
    totals = [0.0] * len(options)
    for metric, weight in objective.weights:
        values, more = [o.value(metric) for o in options], METRICS[metric].better == "more"
        known = [v for v in values if v is not None]
        if not known or not weight:
            continue
        best = max(known) if more else min(known)
        for i, value in enumerate(values):
            totals[i] += weight * _ratio(value, best, more)
    return totals


def _ratio(value: float | None, best: float, more: bool) -> float:
    """How many times worse than the best, 1 for the best itself."""
    if value is None:
        return float("inf")
    if value == best:
        return 1.0
    above, below = (best, value) if more else (value, best)
    return above / below if below > 0 else float("inf")


def pareto(options: Sequence[Option], metrics: Sequence[str]) -> list[Option]:
    """Options that no other beats in all of the metrics (and in one of them strictly); unknown figures count as worst.
    Of several with equal figures the first stays."""

    def keys(option: Option) -> tuple[float, ...]:
        return tuple(METRICS[m].key(option.value(m)) for m in metrics)

    found: list[Option] = []
    for option in options:
        mine = keys(option)
        if any(all(a <= b for a, b in zip(keys(other), mine, strict=True)) for other in found):
            continue
        found = [o for o in found if not all(a <= b for a, b in zip(mine, keys(o), strict=True))]
        found.append(option)
    return found
