"""The same placement by OR-Tools' CP-SAT: a second opinion, never loaded unless asked for.

Its import costs seconds and a hundred megabytes, so it is an extra (`pip install rwkv-assistant[cp-sat]`); a property
test holds `placement.front` to it. CP-SAT counts in whole numbers: seconds and joules are scaled and rounded.
"""

from __future__ import annotations

from assistant.errors import UsageError
from assistant.solver.placement import Placed
from backends.deployment import Deployment

SCALE = 1e12  # picoseconds and picojoules
MAX_SECONDS = 30.0


def place(deployment: Deployment, seconds_weight: float = 1.0, joules_weight: float = 0.0,
          max_latency_s: float | None = None, max_energy_j: float | None = None) -> Placed | None:  # fmt: skip
    """The placement of the least weighted sum within the limits; None if there is none.

    Raises UsageError where OR-Tools is not installed.
    """
    try:
        from ortools.sat.python import cp_model
    except ImportError as error:
        raise UsageError("CP-SAT is not installed", why=error,
                         hint="pip install 'rwkv-assistant[cp-sat]', or leave --cp-sat out") from error  # fmt: skip
    model, n, sites = cp_model.CpModel(), len(deployment.groups), range(len(deployment.sites))
    at = [[model.new_bool_var(f"{g.name} at {deployment.sites[s].name}") for s in sites] for g in deployment.groups]
    for group, row in zip(deployment.groups, at, strict=True):
        model.add_exactly_one(row)
        for s in sites:
            if group.units[s] is None:
                model.add(row[s] == 0)
    for s in sites:
        if (capacity := deployment.sites[s].capacity) is not None:
            model.add(sum((g.units[s] or 0) * at[i][s] for i, g in enumerate(deployment.groups)) <= capacity)
    crossed = [model.new_bool_var(f"crossing {i}") for i in range(n - 1)]
    for i in range(n - 1):
        for s in sites:
            model.add(crossed[i] >= at[i][s] - at[i + 1][s])

    def total(base: float, crossing: float, part: str):
        scaled = [[round(x * SCALE) for x in getattr(g, part)] for g in deployment.groups]
        chosen = sum(scaled[i][s] * at[i][s] for i in range(n) for s in sites)
        return round(base * SCALE) + chosen + round(crossing * SCALE) * sum(crossed)

    latency = total(deployment.base_s, deployment.crossing_s, "latency_s")
    energy = total(deployment.base_j, deployment.crossing_j, "energy_j")
    if max_latency_s is not None:
        model.add(latency <= round(max_latency_s * SCALE))
    if max_energy_j is not None:
        model.add(energy <= round(max_energy_j * SCALE))
    model.minimize(round(1000 * seconds_weight) * latency + round(1000 * joules_weight) * energy)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds, solver.parameters.num_workers = MAX_SECONDS, 1
    if solver.solve(model) != cp_model.OPTIMAL:
        return None
    places = tuple(next(s for s in sites if solver.boolean_value(row[s])) for row in at)
    return Placed(places, deployment.latency_s(places), deployment.energy_j(places))
