"""The user's documents over HTTP, for reading only: what is indexed, search, and questions answered by quotes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.routing import Route

from assistant import wire
from assistant.daemon.answers import answer, body
from assistant.documents import sayings, search
from assistant.documents.answer import ask
from assistant.documents.index import Index, reading
from assistant.errors import RequestError

T = TypeVar("T")
QUERY_LIMIT_CHARS = 2000


async def documents(_request: Request):
    """GET /v1/documents"""
    return answer(await asyncio.to_thread(_read, sayings.listing, wire.DocumentList(folders=[], skipped=[])))


async def find(request: Request):
    """POST /v1/documents/search"""
    asked = await _query(request)
    work = lambda index: [sayings.passage(hit) for hit in search.search(index, asked.query, asked.limit)]  # noqa: E731
    return answer(wire.DocumentHits(query=asked.query, hits=await asyncio.to_thread(_read, work, [])))


async def questions(request: Request):
    """POST /v1/documents/ask"""
    asked = await _query(request)
    none = wire.DocumentAnswer(question=asked.query, known=False, confidence=0.0, text=sayings.NO_DOCUMENTS, quotes=[])
    work = lambda index: sayings.answer(ask(index, asked.query, asked.limit))  # noqa: E731
    return answer(await asyncio.to_thread(_read, work, none))


async def _query(request: Request) -> wire.DocumentQuery:
    asked = await body(request, wire.DocumentQuery)
    if len(asked.query) > QUERY_LIMIT_CHARS:
        raise RequestError("the query is too long", code="out_of_range", where="query",
                           why=f"at most {QUERY_LIMIT_CHARS} characters are read")  # fmt: skip
    return asked


def _read(work: Callable[[Index], T], none: T) -> T:
    """`work` on the index as it is now; `none` if there is none."""
    with reading() as index:
        return none if index is None else work(index)


ROUTES = [
    Route("/v1/documents", documents, methods=["GET"]),
    Route("/v1/documents/search", find, methods=["POST"]),
    Route("/v1/documents/ask", questions, methods=["POST"]),
]
