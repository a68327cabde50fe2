"""The web application: all routes, errors in one shape, and the clock of the last request."""

from __future__ import annotations

import logging

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match, Route

from assistant import wire
from assistant.daemon import (
    chats_api,
    cost_api,
    documents_api,
    library_api,
    mood_api,
    ollama_api,
    openai_api,
    openapi,
    plan_api,
    prices_api,
    responses_api,
    selftest_api,
    skills_api,
    states_api,
)
from assistant.daemon.answers import answer, body, failure
from assistant.daemon.connection import HEADER_LIMIT_BYTES
from assistant.daemon.services import Services
from assistant.errors import AssistantError, RequestError

log = logging.getLogger(__name__)

WITHOUT_MODEL = frozenset({"/", "/healthz", "/readyz", "/openapi.json", "/metrics", "/api/version", "/v1/selftest",
                           "/v1/selftest/attest", "/v1/skills", "/v1/reminders", "/v1/reminders/told",
                           *(route.path for route in documents_api.ROUTES)})  # fmt: skip
LOADING_PATIENCE_S = 25.0  # below the 30 s that our own clients wait for an answer


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


async def _ours(request: Request, error: AssistantError):
    refused = failure(error)
    if request.url.path.startswith(ollama_api.PREFIX):  # there an error is a plain text
        return answer({"error": str(error)}, refused.status_code)
    return refused


async def _http(request: Request, error: HTTPException):
    message = "there is no such address" if error.status_code == 404 else error.detail.lower()
    content = wire.ErrorBody(message=message, code="http", hint="/openapi.json lists what there is")
    headers = {}
    if error.status_code == 405:  # several routes may share the path; the framework names the first's methods
        routes = [r for r in request.app.routes if r.matches(request.scope)[0] is not Match.NONE]
        methods = {method for route in routes if route.path == routes[0].path for method in route.methods}
        headers["allow"] = ", ".join(sorted(methods))
    return answer({"error": content}, error.status_code, headers)


async def _unexpected(_request: Request, error: Exception):
    log.error("a request failed", exc_info=error)
    return answer({"error": wire.ErrorBody(message=f"internal error: {type(error).__name__}", type="server_error",
                                           hint="the daemon's log has the details")}, 500)  # fmt: skip


class _Touch:
    """Every request keeps the daemon awake, unless its head is larger than any client's.

    A head that comes in pieces is refused by the connection already; here one that came at once. A request that needs
    the model waits until it is loaded: so the first one after a start on demand is answered.
    """

    def __init__(self, app, services: Services):
        self._app, self._services = app, services

    async def __call__(self, scope, receive, send) -> None:
        self._services.touch()
        if sum(len(name) + len(value) for name, value in scope.get("headers", ())) > HEADER_LIMIT_BYTES:
            why = f"at most {HEADER_LIMIT_BYTES} bytes of headers are read"
            await failure(RequestError("the request's head is too large", status=431, why=why))(scope, receive, send)
            return
        if scope["type"] == "http" and scope["path"] not in WITHOUT_MODEL:
            self._services.touch_model()
            await self._services.until_ready(LOADING_PATIENCE_S)
        await self._app(scope, receive, send)


def create_app(services: Services) -> Starlette:
    app = Starlette(
        routes=[
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route("/tokenize", tokenize, methods=["POST"]),
            *openai_api.ROUTES,
            *responses_api.ROUTES,
            *ollama_api.ROUTES,
            *chats_api.ROUTES,
            *cost_api.ROUTES,
            *plan_api.ROUTES,
            *states_api.ROUTES,
            *openapi.ROUTES,
            *selftest_api.ROUTES,
            *library_api.ROUTES,
            *documents_api.ROUTES,
            *mood_api.ROUTES,
            *prices_api.ROUTES,
            *skills_api.ROUTES,
        ],
        exception_handlers={AssistantError: _ours, HTTPException: _http, Exception: _unexpected},
    )
    app.state.services = services
    app.add_middleware(_Touch, services=services)
    return app
