"""The plan over HTTP: what the daemon follows and why, what-if questions, and following another policy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.routing import Route

from assistant import wire
from assistant.daemon.answers import answer, body
from assistant.errors import ConfigError, RequestError


async def status(request: Request):
    return answer(await asyncio.to_thread(_follower(request).status))


async def what_if(request: Request):
    wanted = await body(request, wire.PlanRequest)
    with _as_request_error():
        return answer(await asyncio.to_thread(_follower(request).what_if, wanted))


async def follow(request: Request):
    wanted = await body(request, wire.PlanRequest)
    follower = _follower(request)
    with _as_request_error():
        follower.ask(wanted)
    return answer(await asyncio.to_thread(follower.status))


def _follower(request: Request):
    request.app.state.services.require_ready()
    return request.app.state.services.follower


@contextmanager
def _as_request_error() -> Iterator[None]:
    """A policy that does not exist or holds no option is the request's fault here."""
    try:
        yield
    except ConfigError as error:
        raise RequestError(error.what, status=400, code="bad_plan", why=error.why, hint=error.hint) from error


ROUTES = [
    Route("/v1/plan", status, methods=["GET"]),
    Route("/v1/plan", follow, methods=["POST"]),
    Route("/v1/plan/what-if", what_if, methods=["POST"]),
]
