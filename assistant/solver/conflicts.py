"""Why nothing fits: the smallest set of limits that cannot hold together, and the least that would help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from assistant.solver.choose import breaches, solve
from assistant.solver.problem import PRIVACY, Breach, Limit, Objective, Option


@dataclass(frozen=True, slots=True)
class Relaxation:
    """Moving one limit to `needed` makes `option` possible. needed None: its value is not known; measuring may help."""

    limit: Limit
    needed: float | str | bool | None
    option: Option


@dataclass(frozen=True, slots=True)
class Conflict:
    """`limits`: no usable option meets all of them, and with any one of them dropped some option does (of several such
    sets one of the fewest limits). `hopeless`: all limits that no option meets even alone. `single`: per limit the
    smallest change that alone is enough. `together`: where no single one is, the changes for the nearest option: it
    breaks the fewest limits, and of such ones by the least."""

    limits: tuple[Limit, ...]
    hopeless: tuple[Limit, ...]
    single: tuple[Relaxation, ...]
    together: tuple[Relaxation, ...]


def explain(options: Sequence[Option], limits: Sequence[Limit], objective: Objective) -> Conflict | None:
    """None if some usable option is within all limits, or if there is no usable option at all."""
    usable = [o for o in options if not o.unusable]
    broken = [breaches(o, limits) for o in usable]
    if not usable or any(not b for b in broken):
        return None
    sets = {frozenset(limits.index(b.limit) for b in each) for each in broken}
    smallest = _smallest_hitting_set(sets, len(limits))
    single = tuple(r for limit in limits if (r := _alone(limit, usable, broken)) is not None)
    together: tuple[Relaxation, ...] = ()
    if not single:
        fewest = min(len(each) for each in broken)
        near = [(o, each) for o, each in zip(usable, broken, strict=True) if len(each) == fewest]
        least = min(_excess(each) for _, each in near)
        option = solve([o for o, each in near if _excess(each) == least], (), objective).choice
        together = tuple(_relaxation(b, option) for b in breaches(option, limits))
    hopeless = tuple(limit for limit in limits if all(limit in [b.limit for b in each] for each in broken))
    return Conflict(tuple(limits[i] for i in sorted(smallest)), hopeless, single, together)


def _excess(broken: tuple[Breach, ...]) -> float:
    """How far beyond its limits an option is: the sum of what each bound would have to grow by, as a share of it."""
    total = 0.0
    for b in broken:
        if b.limit.kind in ("max", "min"):
            total += float("inf") if b.value is None else abs(b.value - b.limit.bound) / max(abs(b.limit.bound), 1e-12)
    return total


def _smallest_hitting_set(sets: set[frozenset[int]], count: int) -> tuple[int, ...]:
    """Limits of which every option breaks at least one. Only sets without a proper subset among them matter."""
    kernels = [s for s in sets if not any(other < s for other in sets)]
    candidates = sorted(set().union(*kernels))
    for size in range(1, count + 1):
        for chosen in combinations(candidates, size):
            if all(s.intersection(chosen) for s in kernels):
                return chosen
    raise AssertionError("each option breaks a limit, so all limits together hit every set")


def _alone(limit: Limit, usable: list[Option], broken: list[tuple[Breach, ...]]) -> Relaxation | None:
    """The least change of one limit that makes an option possible which breaks nothing else."""
    near = [(o, b[0]) for o, b in zip(usable, broken, strict=True) if len(b) == 1 and b[0].limit is limit]
    if not near:
        return None
    known = [(o, b) for o, b in near if b.value is not None]
    option, breach = min(known or near, key=lambda pair: (_distance(pair[1]), -pair[0].preference, pair[0].name))
    return _relaxation(breach, option)


def _distance(breach: Breach) -> float:
    if breach.value is None:
        return float("inf")
    match breach.limit.kind:
        case "privacy":
            return PRIVACY.index(breach.value)
        case "max":
            return breach.value
        case "min":
            return -breach.value
    return 0.0


def _relaxation(breach: Breach, option: Option) -> Relaxation:
    return Relaxation(breach.limit, breach.value, option)
