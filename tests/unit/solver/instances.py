"""Random instances of the solver's problems, drawn by a seed; small numbers, so that ties and edges are common."""

from __future__ import annotations

import random

from assistant.solver.problem import PRIVACY, SIMULATED, UNTESTED, Figure, Limit, Objective, Option
from backends.deployment import Deployment, Group, Site

METRICS = ("ms_per_token", "joules_per_token", "memory_mb", "quality", "conversations", "ttft_s")
MORE = ("quality", "conversations")
BACKENDS = ("a", "b", "c")


def options(rng: random.Random) -> list[Option]:
    found = []
    for i in range(rng.randint(0, 9)):
        figures = {}
        for metric in METRICS:
            value = None if rng.random() < 0.08 else float(rng.randint(1, 6))
            if rng.random() > 0.05:
                figures[metric] = Figure(value)
        flags = {f for f in (SIMULATED, UNTESTED) if rng.random() < 0.2}
        found.append(Option(
            f"option {i}", figures, {"backend": rng.choice(BACKENDS)}, privacy=rng.choice(PRIVACY),
            flags=frozenset(flags), preference=rng.randint(0, 2), unusable="not here" if rng.random() < 0.1 else None,
        ))  # fmt: skip
    return found


def limits(rng: random.Random) -> list[Limit]:
    found = []
    for metric in METRICS:
        if rng.random() < 0.5:
            kind = "min" if metric in MORE else "max"
            found.append(Limit(f"{kind}_{metric}", kind, float(rng.randint(1, 6)), metric))
    if rng.random() < 0.6:
        found.append(Limit("privacy", "privacy", rng.choice(PRIVACY)))
    for flag in (SIMULATED, UNTESTED):
        if rng.random() < 0.5:
            found.append(Limit(f"allow_{flag}", "allow", rng.random() < 0.5, flag))
    if rng.random() < 0.3:
        found.append(Limit("backends", "one-of", tuple(rng.sample(BACKENDS, rng.randint(1, 2))), "backend"))
    rng.shuffle(found)
    return found


def objective(rng: random.Random) -> Objective:
    chosen = rng.sample(METRICS, rng.randint(1, 3))
    if rng.random() < 0.5:
        return Objective(order=tuple((m, rng.choice((0.0, 0.1, 0.5))) for m in chosen))
    return Objective(weights=tuple((m, float(rng.randint(0, 3))) for m in chosen))


def deployment(rng: random.Random, groups: int, sites: int) -> Deployment:
    """Integral costs in milliseconds and millijoules, so that different solvers' sums compare exactly."""
    places = tuple(Site(f"site {s}", None if rng.random() < 0.4 else rng.randint(0, 3 * groups)) for s in range(sites))
    made = tuple(
        Group(
            f"group {g}",
            tuple(None if rng.random() < 0.1 else rng.randint(1, 6) for _ in range(sites)),
            tuple(rng.randint(0, 9) * 1e-3 for _ in range(sites)),
            tuple(rng.randint(0, 9) * 1e-3 for _ in range(sites)),
        )
        for g in range(groups)
    )
    crossing_s, crossing_j, base_s, base_j = (rng.randint(0, 4) * 1e-3 for _ in range(4))
    return Deployment("random", places, made, crossing_s, crossing_j, base_s, base_j, lambda p: {"places": tuple(p)})
