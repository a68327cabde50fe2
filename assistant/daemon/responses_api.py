"""OpenAI's Responses API: create (also as a stream of events), get, delete, and the input of a stored response.

Shapes: https://platform.openai.com/docs/api-reference/responses (the response object, streaming events). A response
that is stored (the default) is a reply in a hidden chat; `previous_response_id` goes on from its checkpoint, so that no
earlier text is read again.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from assistant import wire
from assistant.daemon.answers import EventStream, answer, body, until_gone
from assistant.daemon.openai_api import check_model
from assistant.daemon.requests import client, ready_services
from assistant.daemon.response_shape import ResponseShape, events
from assistant.errors import RequestError
from assistant.session.constrained import response_schema
from assistant.session.responses import PREFIX, Asked, Stored
from assistant.session.tools import read_tools

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
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
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
    for field in ("background", "conversation", "prompt", "top_logprobs", "include"):
        if getattr(wanted, field):
            raise RequestError(f"'{field}' cannot be used", code="unsupported", why="it is not supported")
    asked = _asked(wanted)
    sampling = wire.SendMessage(content="", temperature=wanted.temperature, top_p=wanted.top_p, seed=wanted.seed,
                                max_tokens=wanted.max_output_tokens, think=wanted.think)  # fmt: skip
    toolbox = read_tools(wanted.tools, wanted.tool_choice, wanted.parallel_tool_calls, flat=True)
    how = await services.completions.calling(sampling, toolbox, _schema(asked.format), wanted.think)
    asked.functions, asked.reads_calls, asked.tool_notes = how.functions, how.reads, how.notes
    if (constraint := how.constraint) and constraint.marker is None:
        sampling.think = None
    said, who = messages(wanted.input), client(request, wanted.user)
    shape = ResponseShape(services.model.manifest.name, asked)
    if asked.store:
        message, reply = services.responses.create(asked, said, sampling, who, constraint)
        shape.id, shape.created = PREFIX + message.id, message.created_at
    else:
        context = services.responses.context(asked, said)
        whole = wire.ChatCompletionRequest(
            messages=context, temperature=wanted.temperature, top_p=wanted.top_p, seed=wanted.seed,
            max_tokens=wanted.max_output_tokens, think=sampling.think,
        )  # fmt: skip
        reply = services.completions.chat(whole, who, constraint)
    if wanted.stream:
        return EventStream(events(reply, shape), on_close=reply.cancel, end=b"")
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
    items = [item | {"id": item.get("id", f"item_{n}")} for n, item in enumerate(stored.asked.items)][::-1] or [
        {"id": f"msg_{m.id}", "type": "message", "role": m.role, "status": "completed",
         "content": [{"type": "input_text" if m.role == "user" else "output_text", "text": m.content}]}
        for m in reversed(stored.inputs)
    ]  # fmt: skip
    ends = {"first_id": items[0]["id"], "last_id": items[-1]["id"]} if items else {"first_id": None, "last_id": None}
    return answer({"object": "list", "data": items, "has_more": False, **ends})


def _stored_shape(request: Request, stored: Stored) -> ResponseShape:
    name = request.app.state.services.model.manifest.name
    return ResponseShape(name, stored.asked, PREFIX + stored.message.id, stored.message.created_at)


def _asked(wanted: ResponseRequest) -> Asked:
    return Asked(
        instructions=wanted.instructions, previous_response_id=wanted.previous_response_id,
        metadata=wanted.metadata or {}, temperature=wanted.temperature, top_p=wanted.top_p,
        max_output_tokens=wanted.max_output_tokens, format=(wanted.text or {}).get("format") or PLAIN,
        store=wanted.store is not False, tools=wanted.tools or [],
        tool_choice=wanted.tool_choice or ("auto" if wanted.tools else "none"),
        parallel_tool_calls=bool(wanted.tools) and wanted.parallel_tool_calls is not False,
        items=_kept(wanted.input),
    )  # fmt: skip


def _schema(format: Any) -> object | None:
    """Here the schema lies flat in the format; chat completions wrap it once more."""
    if not isinstance(format, dict):
        raise RequestError("text.format must be an object", code="invalid_field")
    if format.get("type") == "json_schema":
        return response_schema({"type": "json_schema", "json_schema": format})
    return response_schema(format)


def messages(given: str | list[dict[str, Any]]) -> list[wire.ChatMessage]:
    """The input as chat completions have it: calls are part of the assistant's message, results a tool's."""
    if isinstance(given, str):
        return [wire.ChatMessage(role="user", content=given)]
    read: list[wire.ChatMessage] = []
    for i, item in enumerate(given):
        if item.get("type") == "function_call":
            if not read or read[-1].role != "assistant":
                read.append(wire.ChatMessage(role="assistant"))
            function = {"name": item.get("name"), "arguments": item.get("arguments", "{}")}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            read[-1].tool_calls = [*(read[-1].tool_calls or []), call]
        elif item.get("type") == "function_call_output":
            read.append(_result(item, i))
        else:
            read.append(_message(item, i))
    return read


def _result(item: dict[str, Any], i: int) -> wire.ChatMessage:
    call, output = item.get("call_id"), item.get("output")
    if not isinstance(call, str) or not isinstance(output, str | list):
        raise RequestError(f"input[{i}] is no result of a call", code="invalid_field", where=f"input[{i}]",
                           why="it needs a call_id and an output")  # fmt: skip
    content = _message({"role": "tool", "content": output}, i).content
    return wire.ChatMessage(role="tool", tool_call_id=call, content=content)


def _kept(given: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Input items to be told again as they came: those of calls, which the conversation holds as text."""
    if isinstance(given, str) or all(item.get("type", "message") == "message" for item in given):
        return []
    return given


def _message(item: dict[str, Any], i: int) -> wire.ChatMessage:
    kind, role, content = item.get("type", "message"), item.get("role"), item.get("content")
    if kind != "message":
        raise RequestError(f"input[{i}] is of the type {str(kind)[:40]!a}", code="unsupported",
                           why="this model reads messages, function_call and function_call_output")  # fmt: skip
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
