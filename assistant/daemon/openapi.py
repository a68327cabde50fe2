"""The OpenAPI document of the whole API, made of the wire types that the routes read and write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from assistant import wire
from assistant.daemon.ollama_api import OllamaChat, OllamaGenerate, OllamaShow
from assistant.daemon.responses_api import ResponseRequest
from assistant.daemon.states_api import MEDIA_TYPE

SSE, NDJSON, JSON = "text/event-stream", "application/x-ndjson", "application/json"
BYTES = "application/octet-stream"
ID = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
REF = "#/components/schemas/{name}"


class Error(wire.Wire):
    """Every refusal outside of /api/, with what to do next."""

    error: wire.ErrorBody


class OllamaError(wire.Wire):
    """A refusal under /api/."""

    error: str


class ChatList(wire.Wire):
    data: list[wire.Chat]


class Deleted(wire.Wire):
    deleted: bool


class Cancelled(wire.Wire):
    cancelled: int


class Health(wire.Wire):
    status: str


class ModelList(wire.Wire):
    object: str
    data: list[wire.ModelCard]


def _object(**properties: str) -> dict[str, Any]:
    """An object that has at least these; the rest is in the vendor's reference."""
    return {
        "type": "object",
        "required": list(properties),
        "properties": {n: {"type": t} for n, t in properties.items()},
    }


CHAT_COMPLETION = _object(id="string", object="string", model="string", choices="array", usage="object", cost="object")
RESPONSE = _object(id="string", object="string", status="string", output="array", created_at="integer")
OLLAMA_MODELS = _object(models="array")


@dataclass(frozen=True, slots=True)
class Operation:
    """One route: what it takes and gives. `streams`: the other media type that its answer may have, when
    it is asked to stream or for that form."""

    method: str
    path: str
    summary: str
    takes: Any = None  # a wire type, or the media type of raw bytes
    gives: Any = None  # a wire type, a schema, or a media type
    status: int = 200
    streams: str | None = None
    refusals: tuple[int, ...] = ()
    query: Mapping[str, Any] = field(default_factory=dict)


CHAT_REFUSALS = (404, 409, 429, 503)
OPERATIONS = (
    Operation("GET", "/healthz", "Whether the process serves", gives=Health),
    Operation("GET", "/readyz", "What runs, and whether it can answer", gives=wire.Ready, refusals=(503,)),
    Operation("GET", "/openapi.json", "This document", gives=_object(openapi="string", paths="object")),
    Operation("POST", "/tokenize", "Text to token ids", wire.TokenizeRequest, wire.TokenizeResponse),
    Operation("GET", "/v1/models", "The model that is loaded", gives=ModelList),
    Operation("POST", "/v1/chat/completions", "Answer a conversation", wire.ChatCompletionRequest, CHAT_COMPLETION,
              streams=SSE, refusals=CHAT_REFUSALS),
    Operation("POST", "/v1/completions", "Continue a text", wire.CompletionRequest, CHAT_COMPLETION, streams=SSE,
              refusals=CHAT_REFUSALS),
    Operation("POST", "/v1/responses", "Answer, and keep the answer to go on from", ResponseRequest, RESPONSE,
              streams=SSE, refusals=CHAT_REFUSALS),
    Operation("GET", "/v1/responses/{response_id}", "A stored response", gives=RESPONSE, refusals=(404, 503)),
    Operation("DELETE", "/v1/responses/{response_id}", "Forget a response", gives=Deleted, refusals=(404, 503)),
    Operation("GET", "/v1/responses/{response_id}/input_items", "What a stored response was asked",
              gives=_object(object="string", data="array", has_more="boolean"), refusals=(404, 503)),
    Operation("GET", "/v1/chats", "All chats: pinned first, then the newest", gives=ChatList, refusals=(503,)),
    Operation("POST", "/v1/chats", "A new chat", wire.NewChat, wire.Chat, 201, refusals=(503,)),
    Operation("GET", "/v1/chats/{chat_id}", "A chat and its messages", gives=wire.ChatView, refusals=(404, 503)),
    Operation("PATCH", "/v1/chats/{chat_id}", "Rename, pin, or show another branch", wire.ChatPatch, wire.ChatView,
              refusals=(404, 503)),
    Operation("DELETE", "/v1/chats/{chat_id}", "Delete a chat for good", gives=Deleted, refusals=(404, 503)),
    Operation("POST", "/v1/chats/{chat_id}/messages", "Say something; the reply is a stream of events",
              wire.SendMessage, SSE, refusals=CHAT_REFUSALS),
    Operation("POST", "/v1/chats/{chat_id}/regenerate", "Answer a message again; a stream of events",
              wire.Regenerate, SSE, refusals=CHAT_REFUSALS),
    Operation("POST", "/v1/chats/{chat_id}/fork", "A new chat that shares a branch", wire.Fork, wire.ChatView, 201,
              refusals=(404, 503)),
    Operation("POST", "/v1/chats/{chat_id}/cancel", "Stop the reply being written", gives=Cancelled,
              refusals=(404, 503)),
    Operation("POST", "/v1/states", "A new chat of an exported state", BYTES, wire.ChatView, 201,
              refusals=(409, 503)),
    Operation("GET", "/v1/states/{message_id}", "The state after a reply, with the conversation", gives=MEDIA_TYPE,
              refusals=(404, 409, 503)),
    Operation("POST", "/v1/states/{message_id}/fork", "A new chat that goes on after a message", wire.Nothing,
              wire.ChatView, 201, refusals=(404, 503)),
    Operation("GET", "/v1/cost", "What the answers have cost", gives=wire.CostReport, refusals=(400,),
              query={"by": {"enum": ["day", "session", "backend"]}, "since": {"type": "string"}}),
    Operation("POST", "/v1/mood", "How a text sounds", wire.MoodRequest, wire.MoodAnswer, refusals=(429, 503)),
    Operation("GET", "/v1/prices", "What a hosted model would ask for tokens", gives=wire.CloudPrices),
    Operation("GET", "/v1/search", "Messages with these words", gives=wire.SearchResults, refusals=(400,),
              query={"q": {"type": "string"}, "chat": ID}),
    Operation("GET", "/v1/revision", "Whether anything has changed", gives=wire.Revision, refusals=(400,),
              query={"chat": ID}),
    Operation("GET", "/v1/chats/{chat_id}/tree", "All branches of a chat", gives=wire.ChatTree, refusals=(404,)),
    Operation("GET", "/v1/chats/{chat_id}/export", "A chat as a text", gives="text/markdown", streams=JSON,
              refusals=(400, 404), query={"format": {"enum": ["markdown", "json"]}}),
    Operation("GET", "/v1/documents", "The user's own documents that are indexed", gives=wire.DocumentList),
    Operation("POST", "/v1/documents/search", "Passages with these words", wire.DocumentQuery, wire.DocumentHits),
    Operation("POST", "/v1/documents/ask", "A question, answered by a quote or not at all", wire.DocumentQuery,
              wire.DocumentAnswer),
    Operation("GET", "/metrics", "Counters for Prometheus", gives="text/plain"),
    Operation("GET", "/v1/plan", "What runs, and why", gives=wire.PlanStatus, refusals=(503,)),
    Operation("POST", "/v1/plan", "Follow another policy", wire.PlanRequest, wire.PlanStatus, refusals=(503,)),
    Operation("POST", "/v1/plan/what-if", "What another policy would choose", wire.PlanRequest, wire.PlanView,
              refusals=(503,)),
    Operation("GET", "/v1/selftest", "The last self-test in short", gives=wire.SelfTests),
    Operation("POST", "/v1/selftest/attest", "What the daemon cannot do when it tries, now", wire.Nothing,
              wire.Attestation),
    Operation("GET", "/v1/skills", "What code answers, without the model", gives=wire.SkillList),
    Operation("GET", "/v1/reminders", "What is to be told, and what was lately", gives=wire.ReminderList,
              refusals=(400,)),
    Operation("POST", "/v1/reminders", "Set a reminder by a sentence", wire.NewReminder, wire.Reminder, 201),
    Operation("GET", "/v1/reminders/told", "What was told since; waits for something with the header Prefer: wait=30",
              gives=wire.ReminderList, refusals=(400,), query={"since": {"type": "number"}}),
    Operation("DELETE", "/v1/reminders/{reminder_id}", "Cancel a reminder", gives=Deleted, refusals=(400, 404)),
    Operation("GET", "/", "That somebody is there (Ollama)", gives="text/plain"),
    Operation("GET", "/api/version", "Our version (Ollama)", gives=_object(version="string")),
    Operation("GET", "/api/tags", "The model that is loaded (Ollama)", gives=OLLAMA_MODELS),
    Operation("GET", "/api/ps", "The model that is loaded (Ollama)", gives=OLLAMA_MODELS),
    Operation("POST", "/api/show", "About the model (Ollama)", OllamaShow,
              _object(details="object", model_info="object"), refusals=(404,)),
    Operation("POST", "/api/chat", "Answer a conversation (Ollama)", OllamaChat,
              _object(model="string", message="object", done="boolean"), streams=NDJSON, refusals=CHAT_REFUSALS),
    Operation("POST", "/api/generate", "Answer a prompt (Ollama)", OllamaGenerate,
              _object(model="string", response="string", done="boolean"), streams=NDJSON, refusals=CHAT_REFUSALS),
)  # fmt: skip


_RESPONSE_ID = ("response_id", "$response.body#/id")
_HEAD_ID = ("message_id", "$response.body#/chat/head_id")
LINKS = {  # what can be asked with the id that an answer gives: (operation, its parameter, where it stands)
    ("POST", "/v1/responses"): [("get_v1_responses_response_id", *_RESPONSE_ID),
                                ("get_v1_responses_response_id_input_items", *_RESPONSE_ID),
                                ("delete_v1_responses_response_id", *_RESPONSE_ID)],
    ("GET", "/v1/chats/{chat_id}"): [("get_v1_states_message_id", *_HEAD_ID),
                                     ("post_v1_states_message_id_fork", *_HEAD_ID)],
}  # fmt: skip


@cache
def document() -> bytes:
    """The document as JSON. Made on first use: the schemas of all types take a few milliseconds."""
    types = [x for op in OPERATIONS for x in (op.takes, op.gives) if isinstance(x, type)]
    unique = list(dict.fromkeys([Error, OllamaError, *types]))
    schemas, components = msgspec.json.schema_components(unique, ref_template=REF)
    by_type = dict(zip(unique, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for op in OPERATIONS:
        paths.setdefault(op.path, {})[op.method.lower()] = _described(op, by_type)
    return msgspec.json.encode({
        "openapi": "3.1.0",
        "info": {"title": "rwkv-assistant", "version": version("rwkv-assistant"),
                 "description": "A local assistant. On its unix socket it asks for nothing; over TCP for the token."},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}, {}],
    })  # fmt: skip


def _described(op: Operation, by_type: dict[type, Any]) -> dict[str, Any]:
    schema_of = lambda x: by_type[x] if isinstance(x, type) else x  # noqa: E731
    content: dict[str, Any] = {op.gives: {}} if isinstance(op.gives, str) else {JSON: {"schema": schema_of(op.gives)}}
    if op.streams:
        content[op.streams] = {}
    refusals = {401, 403, 408, *op.refusals, *((400, 413) if op.takes else ())}
    if "{" in op.path:
        refusals.add(404)
    kind = OllamaError if op.path.startswith("/api/") else Error
    described: dict[str, Any] = {
        "summary": op.summary,
        "operationId": re.sub(r"\W+", "_", f"{op.method.lower()}{op.path}").strip("_"),
        "responses": {str(op.status): {"description": "done", "content": content}}
        | {str(status): _refusal(op, status, by_type, kind) for status in sorted(refusals)},
    }
    if links := LINKS.get((op.method, op.path)):
        described["responses"][str(op.status)]["links"] = {
            target: {"operationId": target, "parameters": {name: value}} for target, name, value in links
        }
    if op.takes:
        media = op.takes if isinstance(op.takes, str) else JSON
        schema = {"type": "string", "format": "binary"} if isinstance(op.takes, str) else schema_of(op.takes)
        # No body means {}.
        needed = isinstance(op.takes, str) or any(field.required for field in msgspec.structs.fields(op.takes))
        described["requestBody"] = {"required": needed, "content": {media: {"schema": schema}}}
    parameters = [{"name": n, "in": "path", "required": True, "schema": ID} for n in re.findall(r"{(\w+)}", op.path)]
    parameters += [{"name": n, "in": "query", "schema": schema} for n, schema in op.query.items()]
    if parameters:
        described["parameters"] = parameters
    return described


def _refusal(op: Operation, status: int, by_type: dict[type, Any], kind: type) -> dict[str, Any]:
    if op.path == "/readyz" and status == 503:
        kind = wire.Ready
    kinds = [by_type[kind]] if kind is not OllamaError else [by_type[OllamaError], by_type[Error]]
    headers = {"Retry-After": {"schema": {"type": "integer"}}} if status in (409, 429, 503) else {}
    schema = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return {"description": "refused", "content": {JSON: {"schema": schema}}} | ({"headers": headers} if headers else {})


async def openapi(_request: Request):
    return Response(document(), media_type=JSON)


ROUTES = [Route("/openapi.json", openapi, methods=["GET"])]
