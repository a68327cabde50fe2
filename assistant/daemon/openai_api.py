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
from assistant.models.tool_calls import split_calls
from assistant.session.call_reader import Arguments, CallBegun, CallReader, Piece, Text
from assistant.session.calling import Calling
from assistant.session.constrained import response_schema
from assistant.session.reply import Reply
from assistant.session.responses import call_id
from assistant.session.tools import read_tools


async def chat_completions(request: Request):
    services, wanted = ready_services(request), await body(request, wire.ChatCompletionRequest)
    check_model(services, wanted.model)
    toolbox = read_tools(wanted.tools, wanted.tool_choice, wanted.parallel_tool_calls)
    schema = response_schema(wanted.response_format)
    how = await services.completions.calling(wanted, toolbox, schema, wanted.think)
    reply = services.completions.chat(wanted, client(request, wanted.user), how.constraint, how.functions)
    return await _respond(request, wanted, reply, _ChatShape(services, how))


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

    def opening(self) -> list[dict[str, Any]]:
        """The choices of the first chunk, before anything is known."""
        return []

    def pieces(self, text: str) -> list[dict[str, Any]]:
        """The choice of each chunk that a piece of text makes."""
        raise NotImplementedError

    def ends(self, finished: wire.Finished) -> list[dict[str, Any]]:
        """The choice of each chunk at the end; the last has the reason."""
        raise NotImplementedError

    def full(self, finished: wire.Finished) -> dict[str, Any]:
        """The one choice of an answer that is not streamed."""
        raise NotImplementedError

    def notes(self) -> dict[str, Any]:
        """What the answer says of itself beside `cost`."""
        return {}


class _ChatShape(_Shape):
    prefix, whole, chunk = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def __init__(self, services: Services, how: Calling):
        super().__init__(services)
        self._how, self._reader, self._calls = how, CallReader(), 0

    def opening(self) -> list[dict[str, Any]]:
        return [self._choice({"role": "assistant", "content": ""})]

    def pieces(self, text: str) -> list[dict[str, Any]]:
        if self._how.reads:
            return [self._piece(piece) for piece in self._reader.feed(text)]
        return [self._choice({"content": text})]

    def ends(self, finished: wire.Finished) -> list[dict[str, Any]]:
        rest = [self._piece(piece) for piece in self._reader.close()] if self._how.reads else []
        return [*rest, self._choice({}, self._reason(finished, self._calls))]

    def full(self, finished: wire.Finished) -> dict[str, Any]:
        text = finished.message.content
        text, calls = split_calls(text) if self._how.reads else (text, [])
        message: dict[str, Any] = {"role": "assistant", "content": text or None if calls else text}
        if calls:
            message["tool_calls"] = [{"id": self._call_id(n), "type": "function",
                                      "function": {"name": call.name, "arguments": call.arguments}}
                                     for n, call in enumerate(calls)]  # fmt: skip
        return {"index": 0, "message": message, "finish_reason": self._reason(finished, len(calls))}

    def notes(self) -> dict[str, Any]:
        return {"tool_notes": self._how.notes} if self._how.notes else {}

    def _piece(self, piece: Piece) -> dict[str, Any]:
        match piece:
            case Text(text):
                return self._choice({"content": text})
            case CallBegun(name):
                self._calls += 1
                call = {"id": self._call_id(self._calls - 1), "type": "function",
                        "function": {"name": name, "arguments": ""}}  # fmt: skip
            case Arguments(text):
                call = {"function": {"arguments": text}}
        return self._choice({"tool_calls": [{"index": self._calls - 1, **call}]})

    def _call_id(self, n: int) -> str:
        return call_id(self._id.partition("-")[2], n)

    def _choice(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        return {"index": 0, "delta": delta, "finish_reason": finish_reason}

    def _reason(self, finished: wire.Finished, calls: int) -> str:
        reason = _reason(finished)
        return "tool_calls" if calls and reason == "stop" else reason


class _TextShape(_Shape):
    prefix, whole, chunk = "cmpl", "text_completion", "text_completion"

    def pieces(self, text: str) -> list[dict[str, Any]]:
        return [self._choice(text)]

    def ends(self, finished: wire.Finished) -> list[dict[str, Any]]:
        return [self._choice("", _reason(finished))]

    def full(self, finished: wire.Finished) -> dict[str, Any]:
        return self._choice(finished.message.content, _reason(finished))

    def _choice(self, text: str, finish_reason: str | None = None) -> dict[str, Any]:
        return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}


async def _respond(request: Request, wanted: wire.CompletionBase, reply: Reply, shape: _Shape):
    if wanted.stream:
        include_usage = bool(wanted.stream_options and wanted.stream_options.include_usage)
        return EventStream(_chunks(reply, shape, include_usage), on_close=reply.cancel)
    last = await until_gone(request, asyncio.ensure_future(reply.done()), reply.cancel)
    if isinstance(last, wire.Failed):
        return answer({"error": last.error}, status=500)
    choices = [shape.full(last)]
    return answer(shape.envelope(shape.whole, choices, usage=last.usage, cost=last.cost, **shape.notes()))


async def _chunks(reply: Reply, shape: _Shape, include_usage: bool) -> AsyncIterator[bytes]:
    if opening := shape.opening():
        yield event(shape.envelope(shape.chunk, opening))
    async for step in reply.events():
        match step:
            case wire.Delta():
                for choice in shape.pieces(step.text):
                    yield event(shape.envelope(shape.chunk, [choice], cost=step.cost))
            case wire.Failed():
                yield event({"error": step.error})
            case wire.Finished():
                *rest, last = shape.ends(step)
                for choice in rest:
                    yield event(shape.envelope(shape.chunk, [choice], cost=step.cost))
                yield event(shape.envelope(shape.chunk, [last], cost=step.cost, **shape.notes()))
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
