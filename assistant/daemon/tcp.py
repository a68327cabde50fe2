"""The guard of the TCP door: a token, and Host and Origin checks, so that no web page can reach the assistant.

A page that a browser shows can send requests to loopback, and with DNS rebinding it can even read the answers, because
its own name then points here. Such a request carries the page's name as Host, or its Origin; it never has the token.
"""

from __future__ import annotations

import hmac
import logging
import os
import secrets
import stat
from pathlib import Path

from assistant import paths
from assistant.daemon.answers import failure
from assistant.daemon.visitors import visitor_of
from assistant.errors import ConfigError, RequestError

log = logging.getLogger(__name__)

LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")


def read_token(path: Path | None = None) -> str:
    """The token in its 0600 file, which is made on first use. Raises ConfigError if others could have read it."""
    path = path or paths.token_file()
    paths.ensure_private_dir(path.parent)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigError("cannot open the token", where=path, why=error.strerror) from error
    with os.fdopen(handle, "r+") as file:
        info = os.fstat(handle)
        if info.st_uid != os.getuid() or stat.S_IMODE(info.st_mode) & 0o077:
            raise ConfigError("the token is no secret", where=path, why="others may read it",
                              hint="delete it, and a new one is made")  # fmt: skip
        token = file.read().strip()
        if not token:
            token = secrets.token_urlsafe(32)
            file.write(token + "\n")
            file.flush()
            os.fsync(handle)
    if len(token) < 16 or not token.isascii() or not token.isprintable():
        raise ConfigError("the token is too weak", where=path, why="it must be 16 or more printable ASCII characters",
                          hint="delete it, and a new one is made")  # fmt: skip
    return token


class TcpGuard:
    """ASGI middleware: requests that came over TCP must know the token and be addressed to this machine."""

    def __init__(self, app, token: str | None, port: int | None):
        self._app, self._token = app, token
        self._hosts = {f"{name}{suffix}" for name in LOCAL_NAMES for suffix in ("", f":{port}")}

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "http" and visitor_of(scope).door == "tcp":
            try:
                self.check(scope["headers"])
            except RequestError as error:
                log.warning("refused a request over TCP: %s", error.what)
                await failure(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def check(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Raises RequestError 403 (wrong host, a web page) or 401 (no or wrong token)."""
        values = lambda name: [v.decode("latin-1") for n, v in headers if n == name]  # noqa: E731
        hosts, origins = values(b"host"), values(b"origin")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            raise RequestError(f"the request is for the host '{(hosts or ['?'])[0][:80]}'", status=403,
                               code="wrong_host", why="only this machine is served, under its own names",
                               hint=f"use {LOCAL_NAMES[0]}")  # fmt: skip
        for origin in origins:
            scheme, _, rest = origin.lower().partition("://")
            if scheme != "http" or rest not in self._hosts:
                raise RequestError(f"web pages may not call the assistant (this one is '{origin[:80]}')", status=403,
                                   code="wrong_origin")  # fmt: skip
        if "cross-site" in values(b"sec-fetch-site"):
            raise RequestError("web pages may not call the assistant", status=403, code="wrong_origin")
        given = values(b"authorization")
        scheme, _, token = (given[0] if len(given) == 1 else "").partition(" ")
        known = hmac.compare_digest(token.strip().encode("latin-1"), (self._token or "").encode())
        if not (known and self._token and scheme.lower() == "bearer"):
            raise RequestError("the token is missing or wrong", status=401, code="invalid_api_key",
                               hint="send the header 'Authorization: Bearer <token>'; the daemon's log names the"
                                    " file that has it")  # fmt: skip
