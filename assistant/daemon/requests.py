"""What every route asks of a request: the daemon's parts, and in whose name it waits."""

from __future__ import annotations

from starlette.requests import Request

from assistant.daemon.services import Services
from assistant.daemon.visitors import visitor_of


def ready_services(request: Request) -> Services:
    """Raises RequestError 503 while the model is being loaded."""
    services: Services = request.app.state.services
    services.require_ready()
    return services


def client(request: Request, user: str | None = None) -> str:
    """Who shares a place in the line with this request: its process, told apart by OpenAI's `user` if it is given."""
    key = visitor_of(request.scope).key
    return f"{key}:{user[:64]}" if user else key
