"""The kept chats as a library: full-text search, the tree of branches, export, and a number that tells of changes."""

from __future__ import annotations

import asyncio
import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from assistant import wire
from assistant.daemon.answers import answer
from assistant.errors import RequestError
from assistant.history import export, search, tree

FORMATS = {"markdown": ("text/markdown; charset=utf-8", export.markdown), "json": ("application/json", export.as_json)}


async def find(request: Request):
    """GET /v1/search?q=words[&chat=id]"""
    query, chat_id = request.query_params.get("q", ""), _chat_id(request)
    hits = await asyncio.to_thread(search.search, _history(request), query, chat_id)
    return answer(wire.SearchResults(query=query, hits=hits))


async def branches(request: Request):
    return answer(await asyncio.to_thread(tree.tree, _history(request), request.path_params["chat_id"]))


async def exported(request: Request):
    """GET /v1/chats/{id}/export?format=markdown|json"""
    form = request.query_params.get("format", "markdown")
    if form not in FORMATS:
        raise RequestError(f"format is '{form}'", code="out_of_range", why=f"it must be one of {', '.join(FORMATS)}")
    media_type, write = FORMATS[form]
    text = await asyncio.to_thread(write, _history(request), request.path_params["chat_id"])
    return Response(text, media_type=media_type)


async def revision(request: Request):
    """GET /v1/revision[?chat=id]: cheap enough to be asked every second."""
    history, chat_id = _history(request), _chat_id(request)
    try:
        chat = history.chat(chat_id) if chat_id else None
    except RequestError:  # deleted meanwhile: the caller sees that there is none
        chat = None
    return answer(wire.Revision(revision=search.revision(history), chat=chat))


def _chat_id(request: Request) -> str | None:
    """The chat that a question is about, or None. Raises RequestError for what cannot be an id."""
    found = request.query_params.get("chat")
    if found is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", found):
        raise RequestError("'chat' is not the id of a chat", code="out_of_range", why=f"it says {found[:80]!r}")
    return found


def _history(request: Request):
    return request.app.state.services.history


ROUTES = [
    Route("/v1/search", find, methods=["GET"]),
    Route("/v1/revision", revision, methods=["GET"]),
    Route("/v1/chats/{chat_id}/tree", branches, methods=["GET"]),
    Route("/v1/chats/{chat_id}/export", exported, methods=["GET"]),
]
