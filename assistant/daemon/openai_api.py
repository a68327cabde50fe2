"""OpenAI's API: /v1/chat/completions, /v1/completions and /v1/models, with a `cost` on every answer.

Shapes: https://platform.openai.com/docs/api-reference (chat completion object and chunk, text completion).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from assistant import wire
from assistant.daemon.answers import EventStream, answer, body, event, until_gone
from assistant.daemon.requests import client, ready_services
from assistant.daemon.services import Services
from assistant.errors import RequestError
from assistant.session.constrained import response_schema
from assistant.session.reply import Reply


async def chat_completions(request: Request):
    services, wanted = ready_services(request), await body(request, wire.ChatCompletionRequest)
    check_model(services, wanted.model)
    constraint = await services.completions.constraint(wanted, response_schema(wanted.response_format))
    reply = services.completions.chat(wanted, client(request, wanted.user), constraint)
    return await _respond(request, wanted, reply, _ChatShape(services))


async def completions(request: Request):
    services, wanted = ready_services(request), await body(request, wire.CompletionRequest)
    check_model(services, wanted.model)
    reply = services.completions.text(wanted, client(request, wanted.user))
    return await _respond(request, wanted, reply, _TextShape(services))


async def models(request: Request):
    status = request.app.state.services.status()
    card = wire.ModelCard(id=status.model.name, created=int(status.started_at), precision=status.backend.precision,
                          parameters=status.model.parameters)  # fmt: skip
    return answer({"object": "list", "data": [card]})


class _Shape:
    """One answer's envelope: the same id and model on every chunk."""

    prefix, whole, chunk = "", "", ""

    def __init__(self, services: Services):
        self._id, self._created = f"{self.prefix}-{secrets.token_hex(12)}", int(time.time())
        self._model = services.model.manifest.name

    def envelope(self, kind: str, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model,
            "choices": choices,
        } | more

    def piece(self, text: str, finish_reason: str | None = None) -> dict[str, Any]:
        raise NotImplementedError

    def full(self, text: str, finish_reason: str) -> dict[str, Any]:
        raise NotImplementedError

    def opening(self) -> list[dict[str, Any]]:
        return []


class _ChatShape(_Shape):
    prefix, whole, chunk = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def opening(self) -> list[dict[str, Any]]:
        return [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]

    def piece(self, text: str, finish_reason: str | None = None) -> dict[str, Any]:
        return {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish_reason}

    def full(self, text: str, finish_reason: str) -> dict[str, Any]:
        return {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}


class _TextShape(_Shape):
    prefix, whole, chunk = "cmpl", "text_completion", "text_completion"

    def piece(self, text: str, finish_reason: str | None = None) -> dict[str, Any]:
        return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}

    def full(self, text: str, finish_reason: str) -> dict[str, Any]:
        return self.piece(text, finish_reason)


async def _respond(request: Request, wanted: wire.CompletionBase, reply: Reply, shape: _Shape):
    if wanted.stream:
        include_usage = bool(wanted.stream_options and wanted.stream_options.include_usage)
        return EventStream(_chunks(reply, shape, include_usage), on_close=reply.cancel)
    last = await until_gone(request, asyncio.ensure_future(reply.done()), reply.cancel)
    if isinstance(last, wire.Failed):
        return answer({"error": last.error}, status=500)
    choice = shape.full(last.message.content, _reason(last))
    return answer(shape.envelope(shape.whole, [choice], usage=last.usage, cost=last.cost))


async def _chunks(reply: Reply, shape: _Shape, include_usage: bool) -> AsyncIterator[bytes]:
    if opening := shape.opening():
        yield event(shape.envelope(shape.chunk, opening))
    async for step in reply.events():
        match step:
            case wire.Delta():
                yield event(shape.envelope(shape.chunk, [shape.piece(step.text)], cost=step.cost))
            case wire.Failed():
                yield event({"error": step.error})
            case wire.Finished():
                yield event(shape.envelope(shape.chunk, [shape.piece("", _reason(step))], cost=step.cost))
                if include_usage:
                    yield event(shape.envelope(shape.chunk, [], usage=step.usage, cost=step.cost))


def _reason(finished: wire.Finished) -> str:
    """OpenAI knows stop and length; a cancelled answer is one that stopped."""
    return "length" if finished.message.finish_reason == "length" else "stop"


def check_model(services: Services, wanted: str) -> None:
    """One model is loaded; its name, "default" and no name all mean it."""
    loaded = services.model.manifest.name
    if wanted not in ("", "default", loaded):
        raise RequestError(f"the model '{wanted}' is not loaded", status=404, code="model_not_found",
                           hint=f"use '{loaded}', or set [model] name and restart the daemon")  # fmt: skip


ROUTES = [
    Route("/v1/chat/completions", chat_completions, methods=["POST"]),
    Route("/v1/completions", completions, methods=["POST"]),
    Route("/v1/models", models, methods=["GET"]),
]
