"""HTTP in and out: bounded JSON bodies into wire types, wire types and errors into responses, event streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from assistant import wire
from assistant.errors import AssistantError, BackendError, HistoryError, RequestError

T = TypeVar("T")

BODY_LIMIT_BYTES = 1 << 20
PING_EVERY_S = 5.0
RETRY_AFTER_S = 1


async def body(request: Request, kind: type[T]) -> T:
    """The request's JSON as `kind`. Raises RequestError naming the field that is wrong, or 413."""
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > BODY_LIMIT_BYTES:
            raise RequestError("the request is too large", status=413, code="too_large",
                               why=f"at most {BODY_LIMIT_BYTES} bytes are read")  # fmt: skip
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise RequestError("the request is not understood", code="invalid_field", why=error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError("the request is not JSON", code="invalid_json", why=error) from error


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def failure(error: AssistantError) -> Response:
    """Any of our errors in OpenAI's shape."""
    status = error.status if isinstance(error, RequestError) else 503 if isinstance(error, BackendError) else 500
    kind = "invalid_request_error" if status < 500 else "server_error"
    code = error.code if isinstance(error, RequestError) else "history" if isinstance(error, HistoryError) else None
    message = error.what + (f": {error.why}" if error.why else "")
    content = wire.ErrorBody(message=message, type=kind, code=code, param=error.where, hint=error.hint)
    headers = {"retry-after": str(RETRY_AFTER_S)} if status in (409, 429, 503) else None
    return answer({"error": content}, status, headers)


class EventStream:
    """An ASGI response of server-sent events. `on_close` is called however it ends, also when the client goes away."""

    def __init__(self, events: AsyncIterator[bytes], on_close: Callable[[], None]):
        self._events, self._on_close = events, on_close

    async def __call__(self, scope, receive, send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        writing = asyncio.create_task(self._write(send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({writing, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._on_close()
            for task in (writing, gone):
                task.cancel()
                with suppress(asyncio.CancelledError, OSError):
                    await task

    async def _write(self, send) -> None:
        async for payload in _with_pings(self._events):
            await send({"type": "http.response.body", "body": payload, "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


async def until_gone(request: Request, work: asyncio.Future[T], on_gone: Callable[[], None]) -> T:
    """Await `work`; if the client leaves meanwhile, call `on_gone` and await it all the same."""
    gone = asyncio.create_task(_disconnected(request.receive))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            on_gone()
        return await work
    finally:
        gone.cancel()


def event(value: Any) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


async def _with_pings(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A comment line when nothing else was sent for a while, so that silence means death."""
    upcoming = None
    try:
        while True:
            upcoming = upcoming or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait({upcoming}, timeout=PING_EVERY_S)
            if not done:
                yield b": ping\n\n"
                continue
            try:
                payload = upcoming.result()
            except StopAsyncIteration:
                return
            upcoming = None
            yield payload
    finally:
        if upcoming:
            upcoming.cancel()


async def _disconnected(receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
