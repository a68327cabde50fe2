"""The placement on chips solved a second time, by OR-Tools' CP-SAT, and set beside ours."""

from __future__ import annotations

import time
from collections.abc import Iterator

from assistant.models.store import Store
from assistant.planning import devices
from assistant.planning.plan import Plan
from assistant.planning.survey import config_of
from assistant.solver import cpsat
from assistant.solver.placement import front
from backends.deployment import Placeable


def compare(plan: Plan) -> Iterator[str]:
    """A line per deployment of the plan's models: both optima in the linear model, and how long each took."""
    manifests = {m.name: m for m in Store().list()}
    for model in dict.fromkeys(o.traits["model"] for o in plan.options if o.traits["model"] in manifests):
        for name, kind in devices.kinds().items():
            if not isinstance(kind, Placeable):
                continue
            for deployment in kind.deployments(config_of(manifests[model]), kind.info.precisions[0]):
                began = time.perf_counter()
                ours = front(deployment)[0]
                middle = time.perf_counter()
                theirs = cpsat.place(deployment)
                ended = time.perf_counter()
                agree = theirs is not None and abs(theirs.latency_s - ours.latency_s) <= 1e-9
                yield (f"{model} on {name}, {deployment.title}: ours {ours.latency_s * 1e3:.4f} ms in "
                       f"{(middle - began) * 1e3:.0f} ms, CP-SAT {theirs.latency_s * 1e3 if theirs else 0:.4f} ms in "
                       f"{(ended - middle) * 1e3:.0f} ms: {'the same' if agree else 'NOT THE SAME'}")  # fmt: skip
