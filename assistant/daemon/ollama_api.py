"""A subset of Ollama's API, so that its clients just work: /api/tags, show, ps, version, chat and generate.

Shapes: https://github.com/ollama/ollama/blob/main/docs/api.md. Answers stream by default, one JSON object a line.
Options that have no meaning here (a context window, graphics cards) or that our sampler lacks are not an error, because
clients send them unasked; the last object names them as `ignored_options`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from assistant import wire
from assistant.daemon.answers import EventStream, answer, body, until_gone
from assistant.daemon.ollama_tools import CalledMessages, OllamaMessage, messages
from assistant.daemon.openai_api import check_model
from assistant.daemon.requests import client, ready_services
from assistant.daemon.services import Services
from assistant.errors import RequestError
from assistant.session.calling import Calling
from assistant.session.constrained import ANY_OBJECT
from assistant.session.reply import Reply
from assistant.session.tools import read_tools

PREFIX = "/api/"
LATEST = ":latest"
NS = 1e9
SAMPLING = ("temperature", "top_p", "top_k", "seed", "stop", "presence_penalty", "frequency_penalty")


class _Common(wire.Wire):
    model: str = ""
    stream: bool | None = None  # default true
    format: str | dict[str, Any] | None = None  # "json" or a JSON schema
    options: dict[str, Any] | None = None
    think: bool | str | None = None
    keep_alive: str | float | None = None


class OllamaChat(_Common, kw_only=True):
    messages: list[OllamaMessage] = msgspec.field(default_factory=list)
    tools: list[Any] | None = None


class OllamaGenerate(_Common, kw_only=True):
    prompt: str = ""
    system: str = ""
    suffix: str | None = None
    template: str | None = None
    context: list[int] | None = None
    images: list[Any] | None = None
    raw: bool = False


class OllamaShow(wire.Wire):
    model: str = ""
    name: str = ""  # as older clients say it


async def running(_request: Request):
    """What a client reads to see whether anybody is there."""
    return PlainTextResponse("rwkv-assistant is running")


async def api_version(_request: Request):
    return answer({"version": version("rwkv-assistant")})


async def tags(request: Request):
    return answer({"models": [_model(request.app.state.services)]})


async def ps(request: Request):
    services: Services = request.app.state.services
    return answer({"models": [_model(services) | {"size_vram": 0}] if services.is_ready else []})


async def show(request: Request):
    services, wanted = request.app.state.services, await body(request, OllamaShow)
    _check(services, wanted.model or wanted.name)
    status, config = services.status().model, services.model.weights.config
    abilities = ["completion", "tools"] if services.model.template.calls_tools else ["completion"]
    return answer({
        "modelfile": "", "parameters": "", "license": services.model.manifest.licence or "",
        "template": services.model.manifest.template, "details": _details(services), "capabilities": abilities,
        "model_info": {
            "general.architecture": "rwkv7", "general.parameter_count": status.parameters,
            "rwkv7.block_count": config.layers, "rwkv7.embedding_length": config.width,
            "rwkv7.feed_forward_length": config.ffn, "rwkv7.wkv.head_size": config.head_size,
        },
        "modified_at": services.model.manifest.added_at,
    })  # fmt: skip


async def chat(request: Request):
    services, wanted = ready_services(request), await body(request, OllamaChat)
    _check(services, wanted.model)
    _refuse(images=any(m.images for m in wanted.messages))
    piece = lambda text: {"message": {"role": "assistant", "content": text}}  # noqa: E731
    if not wanted.messages:  # how clients load a model
        return answer(_loaded(services, piece("")))
    fields, ignored = _options(wanted.options)
    asked = wire.ChatCompletionRequest(messages=messages(wanted.messages), think=_think(wanted.think), **fields)
    how = await services.completions.calling(asked, read_tools(wanted.tools), _schema(wanted.format), asked.think)
    if how.constraint and how.constraint.marker is None:
        asked.think = None
    reply = services.completions.chat(asked, client(request), how.constraint, how.functions)
    return await _respond(request, services, wanted.stream, reply, piece, ignored, how)


async def generate(request: Request):
    services, wanted = ready_services(request), await body(request, OllamaGenerate)
    _check(services, wanted.model)
    _refuse(suffix=wanted.suffix, template=wanted.template, context=wanted.context, images=wanted.images)
    piece = lambda text: {"response": text}  # noqa: E731
    if not wanted.prompt:
        return answer(_loaded(services, piece("")))
    fields, ignored = _options(wanted.options)
    if wanted.raw:
        text = wire.CompletionRequest(prompt=wanted.prompt, **fields)
        constraint = await services.completions.constraint(text, _schema(wanted.format))
        reply = services.completions.text(text, client(request), constraint)
    else:
        system = [wire.ChatMessage(role="system", content=wanted.system)] if wanted.system else []
        told = [*system, wire.ChatMessage(role="user", content=wanted.prompt)]
        asked = wire.ChatCompletionRequest(messages=told, think=_think(wanted.think), **fields)
        constraint = await services.completions.constraint(asked, _schema(wanted.format))
        if constraint:
            asked.think = None
        reply = services.completions.chat(asked, client(request), constraint)
    return await _respond(request, services, wanted.stream, reply, piece, ignored)


async def _respond(
    request: Request,
    services: Services,
    stream: bool | None,
    reply: Reply,
    piece: Callable[[str], dict[str, Any]],
    ignored: list[str],
    how: Calling | None = None,
):
    started = time.perf_counter()
    name = services.model.manifest.name
    how = how or Calling()
    told = CalledMessages(how.reads, piece)

    def last(finished: wire.Finished, content: dict[str, Any]) -> dict[str, Any]:
        cost = finished.cost
        reason = "length" if finished.message.finish_reason == "length" else "stop"
        notes = {"tool_notes": how.notes} if how.notes else {}
        return _line(name, content) | notes | {
            "done": True, "done_reason": reason, "total_duration": int((time.perf_counter() - started) * NS),
            "load_duration": 0, "prompt_eval_count": cost.cached_tokens + cost.prompt_tokens,
            "prompt_eval_duration": int(cost.prefill_s * NS), "eval_count": cost.completion_tokens,
            "eval_duration": int((cost.decode_s + cost.sample_s) * NS), "cost": cost,
        } | ({"ignored_options": ignored} if ignored else {})  # fmt: skip

    async def lines() -> AsyncIterator[bytes]:
        async for step in reply.events():
            match step:
                case wire.Delta():
                    for content in told.take(step.text):
                        yield _encoded(_line(name, content))
                case wire.Failed():
                    yield _encoded({"error": step.error.message})
                case wire.Finished():
                    for content in told.rest():
                        yield _encoded(_line(name, content))
                    yield _encoded(last(step, piece("")))

    if stream is not False:
        return EventStream(lines(), reply.cancel, media_type="application/x-ndjson", end=b"", ping=b"")
    done = await until_gone(request, asyncio.ensure_future(reply.done()), reply.cancel)
    if isinstance(done, wire.Failed):
        return answer({"error": done.error.message}, status=500)
    return answer(last(done, told.whole(done.message.content)))


def _line(name: str, content: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {"model": name, "created_at": now, **content, "done": False}


def _loaded(services: Services, content: dict[str, Any]) -> dict[str, Any]:
    return _line(services.model.manifest.name, content) | {"done": True, "done_reason": "load"}


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value) + b"\n"


def _options(options: dict[str, Any] | None) -> tuple[dict[str, Any], list[str]]:
    """(fields of ours, names of options that change nothing). Raises RequestError for a value of the wrong type."""
    given = {name: value for name, value in (options or {}).items() if value is not None}
    fields = {name: given.pop(name) for name in SAMPLING if name in given}
    limit = given.pop("num_predict", None)
    if type(limit) is int and limit < 0:
        limit = None  # "until it ends": the configured limit
    if limit is not None:
        fields["max_tokens"] = limit
    for name, value in fields.items():
        try:
            fields[name] = msgspec.convert(value, _TYPES[name], strict=True)
        except msgspec.ValidationError as error:
            raise RequestError(f"the option '{name}' is not understood", code="invalid_field", why=error) from error
    return fields, sorted(given)


_TYPES = {field.name: field.type for field in msgspec.structs.fields(wire.SamplingFields)}


def _schema(format: str | dict[str, Any] | None) -> object | None:
    if format in (None, ""):
        return None
    if format == "json":
        return ANY_OBJECT
    if isinstance(format, str):
        raise RequestError(f"unknown format {format[:40]!a}", code="unsupported",
                           why='a format is "json" or a JSON schema')  # fmt: skip
    return format


def _think(value: bool | str | None) -> bool | None:
    return value if isinstance(value, bool | None) else True  # "low", "medium", "high"


def _refuse(**given: object) -> None:
    for name, value in given.items():
        if value:
            raise RequestError(f"'{name}' cannot be used", code="unsupported", why="it is not supported")


def _check(services: Services, wanted: str) -> None:
    check_model(services, wanted.removesuffix(LATEST))


def _details(services: Services) -> dict[str, Any]:
    status = services.status()
    size = status.model.parameters
    return {
        "parent_model": "", "format": services.model.manifest.format, "family": "rwkv7", "families": ["rwkv7"],
        "parameter_size": f"{size / 1e9:.1f}B" if size >= 1e9 else f"{size / 1e6:.1f}M",
        "quantization_level": status.backend.precision,
    }  # fmt: skip


def _model(services: Services) -> dict[str, Any]:
    manifest = services.model.manifest
    return {
        "name": manifest.name + LATEST, "model": manifest.name + LATEST, "modified_at": manifest.added_at,
        "size": services.model.weights.nbytes, "digest": manifest.source.sha256, "details": _details(services),
    }  # fmt: skip


ROUTES = [
    Route("/", running, methods=["GET"]),
    Route("/api/version", api_version, methods=["GET"]),
    Route("/api/tags", tags, methods=["GET"]),
    Route("/api/ps", ps, methods=["GET"]),
    Route("/api/show", show, methods=["POST"]),
    Route("/api/chat", chat, methods=["POST"]),
    Route("/api/generate", generate, methods=["POST"]),
]
