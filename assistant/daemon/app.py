"""The web application: all routes, errors in one shape, and the clock of the last request."""

from __future__ import annotations

import logging

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from assistant import wire
from assistant.daemon import chats_api, cost_api, openai_api, plan_api
from assistant.daemon.answers import answer, body, failure
from assistant.daemon.services import Services
from assistant.errors import AssistantError

log = logging.getLogger(__name__)


async def healthz(_request: Request):
    """The process serves; says nothing of the model."""
    return answer({"status": "ok"})


async def readyz(request: Request):
    status = request.app.state.services.status()
    return answer(status, 200 if status.ready else 503)


async def tokenize(request: Request):
    wanted = await body(request, wire.TokenizeRequest)
    tokens = request.app.state.services.model.tokenizer.encode(wanted.text)
    return answer(wire.TokenizeResponse(tokens=tokens, count=len(tokens)))


async def _ours(_request: Request, error: AssistantError):
    return failure(error)


async def _http(_request: Request, error: HTTPException):
    message = "there is no such address" if error.status_code == 404 else error.detail.lower()
    return answer({"error": wire.ErrorBody(message=message, code="http")}, error.status_code)


async def _unexpected(_request: Request, error: Exception):
    log.error("a request failed", exc_info=error)
    return answer({"error": wire.ErrorBody(message=f"internal error: {type(error).__name__}", type="server_error",
                                           hint="the daemon's log has the details")}, 500)  # fmt: skip


class _Touch:
    """Every request keeps the daemon awake."""

    def __init__(self, app, services: Services):
        self._app, self._services = app, services

    async def __call__(self, scope, receive, send) -> None:
        self._services.touch()
        await self._app(scope, receive, send)


def create_app(services: Services) -> Starlette:
    app = Starlette(
        routes=[
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route("/tokenize", tokenize, methods=["POST"]),
            *openai_api.ROUTES,
            *chats_api.ROUTES,
            *cost_api.ROUTES,
            *plan_api.ROUTES,
        ],
        exception_handlers={AssistantError: _ours, HTTPException: _http, Exception: _unexpected},
    )
    app.state.services = services
    app.add_middleware(_Touch, services=services)
    return app
