"""One HTTP/1.1 connection: who it is, how long it may take, and how much it may leave unread."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from http import HTTPStatus

import h11
import msgspec
from uvicorn.protocols.http.h11_impl import H11Protocol

from assistant import wire
from assistant.config import Daemon
from assistant.daemon.visitors import may_enter, visitor

log = logging.getLogger(__name__)

HEADER_LIMIT_BYTES = 16 << 10
LINGER_S = 1.0  # for the last words to a client that is sent away


def protocol(limits: Daemon) -> Callable[..., Connection]:
    """What uvicorn makes its connections with."""
    return functools.partial(Connection, limits)


class Connection(H11Protocol):
    """HTTP that drops strangers before a byte is read, and slow clients before they cost anything.

    A request has to be complete `client_timeout_s` after its first byte (a new connection: after connecting), and an
    answer may lie unread for as long; then the connection is dropped, and with it whatever was being written for it.
    """

    def __init__(self, limits: Daemon, *arguments, **options):
        super().__init__(*arguments, **options)
        self._limits = limits
        self._unsent: asyncio.TimerHandle | None = None  # runs while the client has yet to send something
        self._unread: asyncio.TimerHandle | None = None  # runs while the client has something to read

    def connection_made(self, transport) -> None:
        sock = transport.get_extra_info("socket")
        who = visitor(sock)
        if not may_enter(sock, who):
            log.warning("refused a connection of user %s (process %s)", who.uid, who.pid)
            transport.abort()
            return
        transport.set_write_buffer_limits(high=0)  # so that "paused" means: something is unread
        super().connection_made(transport)
        self.app_state = {**self.app_state, "visitor": who}
        if len(self.connections) > self._limits.max_connections:
            self._send_away(503, "too many connections", f"at most {self._limits.max_connections} are served")
            return
        self._wait_for_request()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._wait_for_request()
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):  # the request is complete
            self._unsent = _stopped(self._unsent)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # From here the shorter keep-alive clock runs, unless a part of the next request has come already.
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self._unsent = _stopped(self._unsent)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self._limits.client_timeout_s, self._drop, "left an answer unread")

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread = _stopped(self._unread)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unsent, self._unread = _stopped(self._unsent), _stopped(self._unread)
        if self.flow is not None:  # else it was refused
            super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What cannot be read as HTTP is refused in the shape of every other error."""
        self._send_away(400, "the request is not HTTP/1.1, or its head is too large",
                        f"at most {HEADER_LIMIT_BYTES} bytes of headers are read")  # fmt: skip

    def _wait_for_request(self) -> None:
        if self._unsent is None:
            self._unsent = self.loop.call_later(self._limits.client_timeout_s, self._too_slow)

    def _too_slow(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self._send_away(408, "the request did not come in time",
                            f"it has to be complete after {self._limits.client_timeout_s:g} s")  # fmt: skip
        else:
            self._drop("was too slow to send its request")

    def _send_away(self, status: int, message: str, why: str) -> None:
        kind = "invalid_request_error" if status < 500 else "server_error"
        body = msgspec.json.encode({"error": wire.ErrorBody(message=f"{message}: {why}", type=kind, code="http")})
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "content-type: application/json",
                 f"content-length: {len(body)}", "retry-after: 1", "connection: close", "", ""]  # fmt: skip
        self.transport.write("\r\n".join(lines).encode() + body)
        self.transport.close()
        self.loop.call_later(LINGER_S, self.transport.abort)

    def _drop(self, why: str) -> None:
        log.warning("dropped a connection: the client %s for %g s", why, self._limits.client_timeout_s)
        self.transport.abort()


def _stopped(timer: asyncio.TimerHandle | None) -> None:
    if timer:
        timer.cancel()
