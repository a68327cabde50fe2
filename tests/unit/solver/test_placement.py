"""Placement against brute force and against OR-Tools' CP-SAT; the simulated chips get better placements than before."""

from __future__ import annotations

import random
from itertools import product

import pytest

from assistant.solver import cpsat
from assistant.solver.placement import front
from backends.base import Workload
from backends.cim import MythicM1076
from backends.cim.shapes import known
from backends.deployment import weight_groups
from tests.unit.solver import instances


def brute(deployment) -> set[tuple[float, float]]:
    """All undominated (latency, energy), rounded to the whole milli-units that the instances are made of."""
    costs = {
        (round(deployment.latency_s(p) * 1e3), round(deployment.energy_j(p) * 1e3))
        for p in product(range(len(deployment.sites)), repeat=len(deployment.groups)) if deployment.fits(p)
    }  # fmt: skip
    return {c for c in costs if not any(d[0] <= c[0] and d[1] <= c[1] and d != c for d in costs)}


def test_the_front_equals_brute_force():
    feasible = 0
    for seed in range(2500):
        rng = random.Random(seed)
        deployment = instances.deployment(rng, rng.randint(1, 6), rng.randint(1, 3))
        found, expected = front(deployment), brute(deployment)
        assert {(round(p.latency_s * 1e3), round(p.energy_j * 1e3)) for p in found} == expected, seed
        assert all(deployment.fits(p.places) for p in found), seed
        feasible += bool(found)
    assert 1000 < feasible < 2450


def test_cp_sat_agrees_with_limits_and_weights():
    pytest.importorskip("ortools")
    compared = 0
    for seed in range(150):
        rng = random.Random(seed)
        deployment = instances.deployment(rng, rng.randint(2, 14), rng.randint(2, 3))
        points = front(deployment)
        weights = rng.choice(((1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (2.0, 1.0)))
        bound_s = rng.choice((None, rng.randint(5, 60) * 1e-3))
        bound_j = rng.choice((None, rng.randint(5, 60) * 1e-3))
        within = [p for p in points if (bound_s is None or p.latency_s <= bound_s + 1e-9)
                  and (bound_j is None or p.energy_j <= bound_j + 1e-9)]  # fmt: skip
        theirs = cpsat.place(deployment, *weights, bound_s, bound_j)
        assert (theirs is None) == (not within), seed
        if within:
            compared += 1
            ours = min(weights[0] * p.latency_s + weights[1] * p.energy_j for p in within)
            assert weights[0] * theirs.latency_s + weights[1] * theirs.energy_j == pytest.approx(ours, abs=1e-9), seed
    assert compared > 50


@pytest.mark.parametrize(("size", "chips", "gain"), [("0.1B", 2, 1.5), ("0.4B", 5, 1.2)])
def test_solved_placements_beat_putting_the_head_on_the_host(size, chips, gain):
    """Priced by the chip's own cost function, not by the linear model. Simulated figures."""
    config = known(size)

    def priced(**options) -> float:
        return MythicM1076(**options).estimate(config, Workload(1, 1, "int8")).latency_s

    options = [
        d.realise(p.places) for d in MythicM1076.deployments(config, "int8") for p in front(d)
        if d.title.startswith(f"{chips} ")
    ]  # fmt: skip
    assert priced(chips=chips) > gain * min(priced(**o) for o in options)


def test_the_linear_model_is_near_the_price_where_everything_fits_its_place():
    config = known("0.1B")
    for deployment in MythicM1076.deployments(config, "int8"):
        for placed in front(deployment)[:2]:
            options = deployment.realise(placed.places)
            chip = MythicM1076(**options)
            if {m.name for m in chip.mapping(config).host} == set(options["host"]):
                priced = chip.estimate(config, Workload(1, 1, "int8"))
                assert priced.latency_s == pytest.approx(placed.latency_s, rel=0.08)
                assert priced.energy_j == pytest.approx(placed.energy_j, rel=0.08)


def test_groups_hold_every_matrix_but_the_embedding_once():
    config = known("0.1B")
    held = [name for names in weight_groups(config).values() for name in names]
    matrices = [n for n, s in config.tensor_shapes().items() if len(s) == 2 and not n.endswith((".r_k", "emb.weight"))]
    assert sorted(held) == sorted(matrices)


def test_a_state_that_the_solver_placed_runs_the_model(tiny_weights):
    """The options it returns really construct and load."""
    import numpy as np

    from backends.base import State

    config = tiny_weights.config
    deployment = MythicM1076.deployments(config, "int8")[0]
    chip = MythicM1076(**deployment.realise([1] * len(deployment.groups)))
    chip.load(tiny_weights)
    assert len(chip.mapping(config).host) == sum(map(len, weight_groups(config).values()))
    assert np.isfinite(chip.decode(np.zeros(1, np.int32), [State(config)]).logits).all()


@pytest.fixture
def tiny_weights():
    from assistant.models.quantize import pack
    from tests.synthetic import TINY, synthetic_weights

    return pack(synthetic_weights(TINY, seed=3), "int8")
