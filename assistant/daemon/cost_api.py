"""/v1/cost: what answers have cost so far. /metrics: the same daemon as Prometheus reads it."""

from __future__ import annotations

import asyncio
import os
import resource
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from assistant import wire
from assistant.daemon.answers import answer
from assistant.daemon.services import Services
from assistant.errors import RequestError
from assistant.history.costs import cost_report
from assistant.history.ledger import since_day
from assistant.meter import prices
from assistant.meter.metrics import CONTENT_TYPE, PREFIX

BY = ("day", "session", "backend")


async def cost(request: Request):
    """GET /v1/cost?by=day|session|backend&since=7d"""
    services: Services = request.app.state.services
    by = request.query_params.get("by", "day")
    if unknown := set(request.query_params) - {"by", "since"}:
        raise RequestError(f"there is no parameter '{min(unknown)}'", code="unsupported", hint="use 'by' and 'since'")
    if by not in BY:
        raise RequestError(f"by is '{by}'", code="out_of_range", why=f"it must be one of {', '.join(BY)}")
    try:
        since = since_day(request.query_params.get("since"))
    except ValueError as error:
        raise RequestError("since is not understood", code="out_of_range", why=error) from error
    table = prices.load()
    report = await asyncio.to_thread(cost_report, services.history, by, since, table, services.energy_notes())
    return answer(report)


async def metrics(request: Request):
    services: Services = request.app.state.services
    return Response(services.metrics.text(_gauges(services)), media_type=None, headers={"content-type": CONTENT_TYPE})


def _gauges(services: Services) -> list[tuple[str, str, float, dict[str, str]]]:
    status = services.status()
    about = {"version": status.version, "model": status.model.name, "backend": status.backend.name,
             "precision": status.backend.precision, "simulated": str(status.backend.simulated).lower()}  # fmt: skip
    engine = status.engine or wire.EngineStatus(live=0, queued=0, max_batch=0)
    found = [
        (f"{PREFIX}info", "What this daemon runs.", 1, about),
        (f"{PREFIX}ready", "Whether the model is loaded.", int(status.ready), {}),
        (f"{PREFIX}live_sequences", "Answers being written.", engine.live, {}),
        (f"{PREFIX}queued_sequences", "Requests waiting for a slot.", engine.queued, {}),
        (f"{PREFIX}model_bytes", "Weights as stored.", status.model.bytes, {}),
        ("process_start_time_seconds", "Start of the process, Unix time.", status.started_at, {}),
        ("process_resident_memory_bytes", "Resident memory.", _resident_bytes(), {}),
    ]
    if services.read_bandwidth:
        found.append((f"{PREFIX}read_bandwidth_bytes_per_second", "The memory wall: read bandwidth of this host "
                      "(measured).", services.read_bandwidth.bytes_s, {}))  # fmt: skip
    energy = services.energy
    if energy.sensor and energy.power_w is not None:
        about = {"sensor": energy.sensor.name, "covers": energy.sensor.covers}
        found.append((f"{PREFIX}power_watts", "Between the last two readings (measured).", energy.power_w, about))
        if energy.idle_w is not None:
            found.append((f"{PREFIX}idle_power_watts", "While no answer was made (measured).", energy.idle_w, about))
    return found


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


ROUTES = [Route("/v1/cost", cost, methods=["GET"]), Route("/metrics", metrics, methods=["GET"])]
