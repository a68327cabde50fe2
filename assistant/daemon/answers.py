"""HTTP in and out: bounded JSON bodies into wire types, wire types and errors into responses, event streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from assistant import wire
from assistant.errors import AssistantError, BackendError, HistoryError, RequestError, StorageFull

T = TypeVar("T")

BODY_LIMIT_BYTES = 1 << 20
PING_EVERY_S = 5.0
RETRY_AFTER_S = 1


async def body(request: Request, kind: type[T]) -> T:
    """The request's JSON as `kind`. Raises RequestError naming the field that is wrong, or 413."""
    raw = await raw_body(request, BODY_LIMIT_BYTES)
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise RequestError("the request is not understood", code="invalid_field", why=error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError("the request is not JSON", code="invalid_json", why=error) from error


async def raw_body(request: Request, limit_bytes: int) -> bytes:
    """Raises RequestError 413 as soon as it is longer, whatever its declared length."""
    too_large = RequestError("the request is too large", status=413, code="too_large",
                             why=f"at most {limit_bytes} bytes are read")  # fmt: skip
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit_bytes:
        raise too_large
    raw = bytearray()
    try:
        async for part in request.stream():
            raw += part
            if len(raw) > limit_bytes:
                raise too_large
    except ClientDisconnect:
        raise RequestError("the client went away", code="gone") from None  # nobody reads it
    return bytes(raw)


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers, "application/json")


_STATUS = {BackendError: 503, StorageFull: 507}


def failure(error: AssistantError) -> Response:
    """Any of our errors in OpenAI's shape."""
    status = error.status if isinstance(error, RequestError) else _STATUS.get(type(error), 500)
    kind = "invalid_request_error" if status < 500 else "server_error"
    code = error.code if isinstance(error, RequestError) else "history" if isinstance(error, HistoryError) else None
    message = error.what + (f": {error.why}" if error.why else "")
    content = wire.ErrorBody(message=message, type=kind, code=code, param=error.where, hint=error.hint)
    headers = {}
    if status in (409, 429, 503):
        headers["retry-after"] = str((isinstance(error, RequestError) and error.retry_after_s) or RETRY_AFTER_S)
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return answer({"error": content}, status, headers)


class EventStream:
    """An ASGI response of server-sent events. `on_close` is called however it ends, also when the client goes away.

    `end`: the last bytes; `ping`: what is sent into a long silence. Both are empty where a protocol has none.
    """

    def __init__(
        self,
        events: AsyncIterator[bytes],
        on_close: Callable[[], None],
        *,
        media_type: str = "text/event-stream; charset=utf-8",
        end: bytes = b"data: [DONE]\n\n",
        ping: bytes = b": ping\n\n",
    ):
        self._events, self._on_close = events, on_close
        self._media_type, self._end, self._ping = media_type, end, ping

    async def __call__(self, scope, receive, send) -> None:
        headers = [(b"content-type", self._media_type.encode()), (b"cache-control", b"no-store")]
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
        async for payload in _with_pings(self._events, self._ping) if self._ping else self._events:
            await send({"type": "http.response.body", "body": payload, "more_body": True})
        await send({"type": "http.response.body", "body": self._end})


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


async def _with_pings(events: AsyncIterator[bytes], ping: bytes) -> AsyncIterator[bytes]:
    """A comment line when nothing else was sent for a while, so that silence means death."""
    upcoming = None
    try:
        while True:
            upcoming = upcoming or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait({upcoming}, timeout=PING_EVERY_S)
            if not done:
                yield ping
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
