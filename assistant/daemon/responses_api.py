"""OpenAI's Responses API: create (also as a stream of events), get, delete, and the input of a stored response.

Shapes: https://platform.openai.com/docs/api-reference/responses (the response object, streaming events). A response
that is stored (the default) is a reply in a hidden chat; `previous_response_id` goes on from its checkpoint, so that no
earlier text is read again.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.routing import Route

from assistant import wire
from assistant.daemon.answers import EventStream, answer, body, until_gone
from assistant.daemon.openai_api import check_model
from assistant.daemon.requests import client, ready_services
from assistant.errors import RequestError
from assistant.session.constrained import response_schema
from assistant.session.reply import Reply
from assistant.session.responses import PREFIX, Asked, Stored

TEXT_PARTS = ("input_text", "output_text", "text")
PLAIN = {"type": "text"}


class ResponseRequest(wire.Wire):
    """What may be asked for. Unknown fields are ignored; known ones that cannot be honoured are refused."""

    input: str | list[dict[str, Any]]
    model: str = ""
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None  # default true
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    text: dict[str, Any] | None = None  # {"format": {"type": "text" | "json_object" | "json_schema", ...}}
    metadata: dict[str, str] | None = None
    user: str | None = None
    tools: list[Any] | None = None
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None
    top_logprobs: int | None = None
    include: list[Any] | None = None
    seed: int | None = None  # extension, as in chat completions
    think: bool | None = None  # extension: RWKV G1's think mode


async def create(request: Request):
    services, wanted = ready_services(request), await body(request, ResponseRequest)
    check_model(services, wanted.model)
    for field in ("tools", "background", "conversation", "prompt", "top_logprobs", "include"):
        if getattr(wanted, field):
            raise RequestError(f"'{field}' cannot be used", code="unsupported", why="it is not supported")
    asked = _asked(wanted)
    sampling = wire.SendMessage(content="", temperature=wanted.temperature, top_p=wanted.top_p, seed=wanted.seed,
                                max_tokens=wanted.max_output_tokens, think=wanted.think)  # fmt: skip
    constraint = await services.completions.constraint(sampling, _schema(asked.format))
    if constraint:
        sampling.think = None
    messages, who = _messages(wanted.input), client(request, wanted.user)
    shape = _Shape(services.model.manifest.name, asked)
    if asked.store:
        message, reply = services.responses.create(asked, messages, sampling, who, constraint)
        shape.id, shape.created = PREFIX + message.id, message.created_at
    else:
        context = services.responses.context(asked, messages)
        whole = wire.ChatCompletionRequest(
            messages=context, temperature=wanted.temperature, top_p=wanted.top_p, seed=wanted.seed,
            max_tokens=wanted.max_output_tokens, think=sampling.think,
        )  # fmt: skip
        reply = services.completions.chat(whole, who, constraint)
    if wanted.stream:
        return EventStream(_events(reply, shape), on_close=reply.cancel, end=b"")
    last = await until_gone(request, asyncio.ensure_future(reply.done()), reply.cancel)
    return answer(shape.failed(last.error) if isinstance(last, wire.Failed) else shape.done(last.message, last.cost))


async def show(request: Request):
    if request.query_params.get("stream", "false").lower() == "true":
        raise RequestError("a stored response cannot be streamed again", code="unsupported", hint="leave out `stream`")
    stored = ready_services(request).responses.get(request.path_params["response_id"])
    return answer(_stored_shape(request, stored).done(stored.message, stored.message.cost))


async def delete(request: Request):
    response_id = request.path_params["response_id"]
    ready_services(request).responses.delete(response_id)
    return answer({"id": response_id, "object": "response", "deleted": True})


async def input_items(request: Request):
    stored = ready_services(request).responses.get(request.path_params["response_id"])
    items = [
        {"id": f"msg_{m.id}", "type": "message", "role": m.role, "status": "completed",
         "content": [{"type": "input_text" if m.role == "user" else "output_text", "text": m.content}]}
        for m in reversed(stored.inputs)
    ]  # fmt: skip
    ends = {"first_id": items[0]["id"], "last_id": items[-1]["id"]} if items else {"first_id": None, "last_id": None}
    return answer({"object": "list", "data": items, "has_more": False, **ends})


class _Shape:
    """One response object through its life."""

    def __init__(self, model: str, asked: Asked, response_id: str | None = None, created: float | None = None):
        self.id = response_id or PREFIX + secrets.token_hex(8)
        self.created = time.time() if created is None else created
        self._model, self._asked = model, asked

    @property
    def item_id(self) -> str:
        return "msg_" + self.id.removeprefix(PREFIX)

    def response(self, status: str, output: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        asked = self._asked
        return {
            "id": self.id, "object": "response", "created_at": int(self.created), "status": status,
            "model": self._model, "output": output, "error": None, "incomplete_details": None, "usage": None,
            "instructions": asked.instructions, "previous_response_id": asked.previous_response_id,
            "metadata": asked.metadata, "temperature": asked.temperature, "top_p": asked.top_p,
            "max_output_tokens": asked.max_output_tokens, "store": asked.store, "text": {"format": asked.format},
            "tools": [], "tool_choice": "none", "parallel_tool_calls": False, "truncation": "disabled",
            "background": False,
        } | more  # fmt: skip

    def item(self, text: str | None, status: str) -> dict[str, Any]:
        content = [] if text is None else [self.part(text)]
        return {"id": self.item_id, "type": "message", "role": "assistant", "status": status, "content": content}

    def part(self, text: str) -> dict[str, Any]:
        return {"type": "output_text", "text": text, "annotations": []}

    def done(self, message: wire.Message, cost: wire.Cost | None) -> dict[str, Any]:
        """As the message stands: completed, incomplete, still in progress, or failed."""
        if message.status == "streaming":
            return self.response("in_progress", [self.item(message.content, "in_progress")])
        if message.status == "error":
            return self.failed(wire.ErrorBody(message="the reply failed", type="server_error"))
        reason = {"length": "max_output_tokens", "cancelled": "cancelled"}.get(message.finish_reason or "")
        reason = "interrupted" if message.status == "interrupted" else reason
        status = "incomplete" if reason else "completed"
        more: dict[str, Any] = {"incomplete_details": {"reason": reason}} if reason else {}
        if cost:
            prompt = cost.cached_tokens + cost.prompt_tokens
            more["cost"] = cost
            more["usage"] = {
                "input_tokens": prompt, "input_tokens_details": {"cached_tokens": cost.cached_tokens},
                "output_tokens": cost.completion_tokens, "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": prompt + cost.completion_tokens,
            }  # fmt: skip
        return self.response(status, [self.item(message.content, status)], **more)

    def failed(self, error: wire.ErrorBody) -> dict[str, Any]:
        return self.response("failed", [], error={"code": "server_error", "message": error.message})


async def _events(reply: Reply, shape: _Shape) -> AsyncIterator[bytes]:
    numbers = iter(range(1 << 62))

    def event(kind: str, **fields: Any) -> bytes:
        data = {"type": kind, "sequence_number": next(numbers), **fields}
        return b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"

    at = {"item_id": shape.item_id, "output_index": 0, "content_index": 0}
    yield event("response.created", response=shape.response("in_progress", []))
    yield event("response.in_progress", response=shape.response("in_progress", []))
    yield event("response.output_item.added", output_index=0, item=shape.item(None, "in_progress"))
    yield event("response.content_part.added", **at, part=shape.part(""))
    async for step in reply.events():
        match step:
            case wire.Delta():
                yield event("response.output_text.delta", **at, delta=step.text, logprobs=[], cost=step.cost)
            case wire.Failed():
                yield event("response.failed", response=shape.failed(step.error))
            case wire.Finished():
                text, whole = step.message.content, shape.done(step.message, step.cost)
                yield event("response.output_text.done", **at, text=text, logprobs=[])
                yield event("response.content_part.done", **at, part=shape.part(text))
                yield event("response.output_item.done", output_index=0, item=whole["output"][0])
                yield event(f"response.{whole['status']}", response=whole)


def _stored_shape(request: Request, stored: Stored) -> _Shape:
    name = request.app.state.services.model.manifest.name
    return _Shape(name, stored.asked, PREFIX + stored.message.id, stored.message.created_at)


def _asked(wanted: ResponseRequest) -> Asked:
    return Asked(
        instructions=wanted.instructions, previous_response_id=wanted.previous_response_id,
        metadata=wanted.metadata or {}, temperature=wanted.temperature, top_p=wanted.top_p,
        max_output_tokens=wanted.max_output_tokens, format=(wanted.text or {}).get("format") or PLAIN,
        store=wanted.store is not False,
    )  # fmt: skip


def _schema(format: Any) -> object | None:
    """Here the schema lies flat in the format; chat completions wrap it once more."""
    if not isinstance(format, dict):
        raise RequestError("text.format must be an object", code="invalid_field")
    if format.get("type") == "json_schema":
        return response_schema({"type": "json_schema", "json_schema": format})
    return response_schema(format)


def _messages(given: str | list[dict[str, Any]]) -> list[wire.ChatMessage]:
    if isinstance(given, str):
        return [wire.ChatMessage(role="user", content=given)]
    return [_message(item, i) for i, item in enumerate(given)]


def _message(item: dict[str, Any], i: int) -> wire.ChatMessage:
    kind, role, content = item.get("type", "message"), item.get("role"), item.get("content")
    if kind != "message":
        raise RequestError(f"input[{i}] is of the type {str(kind)[:40]!a}", code="unsupported",
                           why="this model reads messages only")  # fmt: skip
    if not isinstance(role, str) or not isinstance(content, str | list):
        raise RequestError(f"input[{i}] is no message", code="invalid_field", why="it needs a role and a content")
    if isinstance(content, str):
        return wire.ChatMessage(role=role, content=content)
    for part in content:
        if not isinstance(part, dict) or part.get("type") not in TEXT_PARTS or not isinstance(part.get("text"), str):
            found = part.get("type") if isinstance(part, dict) else part
            raise RequestError(f"input[{i}] has a part of the type {str(found)[:40]!a}", code="unsupported",
                               why="this model reads text only")  # fmt: skip
    return wire.ChatMessage(role=role, content="".join(part["text"] for part in content))


ROUTES = [
    Route("/v1/responses", create, methods=["POST"]),
    Route("/v1/responses/{response_id}", show, methods=["GET"]),
    Route("/v1/responses/{response_id}", delete, methods=["DELETE"]),
    Route("/v1/responses/{response_id}/input_items", input_items, methods=["GET"]),
]
