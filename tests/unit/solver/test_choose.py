"""The choice equals brute force; conflicts are minimal; relaxations do what they promise."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations

import pytest

from assistant.solver.choose import pareto, solve
from assistant.solver.conflicts import explain
from assistant.solver.problem import METRICS, PRIVACY, Figure, Limit, Objective, Option
from tests.unit.solver import instances

INSTANCES = 4000


def allowed(option: Option, limits: list[Limit]) -> bool:
    """Feasibility, written down a second time from the issue's words: unknown figures fail."""
    if option.unusable is not None:
        return False
    for limit in limits:
        if limit.kind == "privacy":
            good = PRIVACY.index(option.privacy) <= PRIVACY.index(limit.bound)
        elif limit.kind == "allow":
            good = limit.bound or limit.subject not in option.flags
        elif limit.kind == "one-of":
            good = option.traits[limit.subject] in limit.bound
        else:
            value = option.figures.get(limit.subject, Figure(None)).value
            good = value is not None and (value <= limit.bound if limit.kind == "max" else value >= limit.bound)
        if not good:
            return False
    return True


def worst(option: Option, metric: str) -> float:
    value = option.figures.get(metric, Figure(None)).value
    return float("inf") if value is None else -value if METRICS[metric].better == "more" else value


def brute(options: list[Option], limits: list[Limit], objective: Objective) -> set[str]:
    """Names of all optima: by comparing every pair under the objective."""
    left = [o for o in options if allowed(o, limits)]
    if objective.weights:

        def total(option: Option) -> float:
            out = 0.0
            for metric, weight in objective.weights:
                known = [abs(worst(o, metric)) for o in left if worst(o, metric) != float("inf")]
                if known and weight:
                    mine, more = abs(worst(option, metric)), METRICS[metric].better == "more"
                    out += weight * (max(known) / mine if more else mine / min(known)) if mine != float("inf") else mine
            return out

        best = min(map(total, left), default=0.0)
        return {o.name for o in left if total(o) == best}
    for sharp in (False, True):
        for metric, tolerance in objective.order:
            finite = [worst(o, metric) for o in left if worst(o, metric) != float("inf")]
            if finite:
                edge = min(finite) + (0 if sharp else tolerance * abs(min(finite)))
                left = [o for o in left if worst(o, metric) <= edge]
    return {o.name for o in left}


def test_the_choice_equals_brute_force():
    feasible = 0
    for seed in range(INSTANCES):
        rng = random.Random(seed)
        options, limits, objective = instances.options(rng), instances.limits(rng), instances.objective(rng)
        solution, optima = solve(options, limits, objective), brute(options, limits, objective)
        assert (solution.choice is None) == (not optima), seed
        if optima:
            feasible += 1
            assert solution.choice.name in optima, seed
            best = max(o.preference for o in options if o.name in optima)
            assert solution.choice.preference == best, seed
    assert INSTANCES * 0.2 < feasible < INSTANCES * 0.9, "both outcomes have to be common for this to test anything"


def test_every_loser_has_a_reason_that_is_true():
    for seed in range(500):
        rng = random.Random(seed)
        options, limits, objective = instances.options(rng), instances.limits(rng), instances.objective(rng)
        solution = solve(options, limits, objective)
        assert len(solution.losers) + (solution.choice is not None) == len(options)
        for loser in solution.losers:
            for breach in loser.breaches:
                assert not allowed(replace(loser.option, unusable=None), [breach.limit]), seed
            within = allowed(loser.option, limits)
            assert within == (loser.outranked is not None), seed
            assert bool(loser.breaches) == (not allowed(replace(loser.option, unusable=None), limits)), seed


def test_conflicts_are_minimal_and_smallest_and_relaxations_help():
    found = 0
    for seed in range(INSTANCES):
        rng = random.Random(seed)
        options, limits, objective = instances.options(rng), instances.limits(rng), instances.objective(rng)
        conflict = explain(options, limits, objective)
        usable = [o for o in options if o.unusable is None]
        feasible = any(allowed(o, limits) for o in usable)
        assert (conflict is not None) == (bool(usable) and not feasible), seed
        if conflict is None:
            continue
        found += 1
        held = list(conflict.limits)
        assert not any(allowed(o, held) for o in usable), seed
        for dropped in held:
            assert any(allowed(o, [x for x in held if x is not dropped]) for o in usable), seed
        for fewer in combinations(limits, len(held) - 1):
            assert any(allowed(o, list(fewer)) for o in usable), f"{seed}: a smaller conflict exists"
        for limit in limits:
            assert (limit in conflict.hopeless) == (not any(allowed(o, [limit]) for o in usable)), seed
        check_relaxations(conflict, options, limits, usable, seed)
    assert found > INSTANCES * 0.1


def check_relaxations(conflict, options, limits, usable, seed):
    for r in conflict.single:
        if r.needed is None:
            continue
        bound = (*r.limit.bound, r.needed) if r.limit.kind == "one-of" else r.needed
        relaxed = [replace(x, bound=bound) if x is r.limit else x for x in limits]
        assert allowed(r.option, relaxed), seed
        if r.limit.kind in ("max", "min"):  # nothing smaller would do
            less = r.needed - 0.5 if r.limit.kind == "max" else r.needed + 0.5
            tight = [replace(x, bound=less) if x is r.limit else x for x in limits]
            assert not any(allowed(o, tight) for o in usable), seed
    helped = {id(r.limit) for r in conflict.single}
    for limit in limits:  # and no limit that alone would help is missing
        if id(limit) not in helped:
            assert not any(allowed(o, [x for x in limits if x is not limit]) for o in usable), seed
    if conflict.together:
        needs = {id(r.limit) for r in conflict.together}
        assert allowed(conflict.together[0].option, [x for x in limits if id(x) not in needs]), seed


def test_the_front_is_what_nothing_dominates():
    metrics = ("ms_per_token", "joules_per_token", "quality")
    for seed in range(1000):
        options = instances.options(random.Random(seed))
        front = pareto(options, metrics)
        keys = {o.name: tuple(worst(o, m) for m in metrics) for o in options}

        def dominated(option: Option, keys=keys, options=options) -> bool:
            mine = keys[option.name]
            return any(all(a <= b for a, b in zip(keys[o.name], mine, strict=True)) and keys[o.name] != mine
                       for o in options)  # fmt: skip

        assert {keys[o.name] for o in front} == {keys[o.name] for o in options if not dominated(o)}, seed
        assert len({keys[o.name] for o in front}) == len(front), seed


@pytest.mark.parametrize(("kind", "bound"), [("max", 3.0), ("min", 3.0)])
def test_what_is_not_known_is_refused_by_every_limit_on_it(kind, bound):
    limit = Limit("x", kind, bound, "quality")
    for figures in ({}, {"quality": Figure(None)}, {"quality": Figure(float("nan"))}):
        assert limit.breach(Option("o", figures)) is not None
