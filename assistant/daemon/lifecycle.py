"""One daemon from start to end: lock, open, listen, load, serve, settle."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import uvicorn

from assistant import config as configuration
from assistant import paths
from assistant.daemon.app import create_app
from assistant.daemon.connection import HEADER_LIMIT_BYTES, protocol
from assistant.daemon.door import BACKLOG, LOOPBACK, bind, bind_loopback, inherited, take_lock
from assistant.daemon.services import Services
from assistant.daemon.tcp import TcpGuard, read_token

log = logging.getLogger(__name__)

IDLE_CHECK_S = 1.0
GRACE_S = 5  # for responses in flight, once all replies are stored


class Server(uvicorn.Server):
    """uvicorn that stops the replies being written first, so that their streams end instead of being cut."""

    def __init__(self, config: uvicorn.Config, services: Services):
        super().__init__(config)
        self._services = services

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but a stop that went well is not ended by the signal once more: we exit with 0."""
        before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._services.close()
        await super().shutdown(sockets)


async def _serve(services: Services, listeners: list[socket.socket], app, idle_exit_s: float) -> int:
    settings = uvicorn.Config(
        app, http=protocol(services.config.daemon), ws="none", lifespan="off", access_log=False, log_config=None,
        timeout_graceful_shutdown=GRACE_S, server_header=False, date_header=False,
        h11_max_incomplete_event_size=HEADER_LIMIT_BYTES, backlog=BACKLOG,
    )  # fmt: skip
    server = Server(settings, services)

    async def load() -> None:
        try:
            await services.start()
            log.info("ready: %s on %s", services.model.manifest.name, services.backend.info.name)
            await services.verify_weights()
        except Exception:
            log.exception("the model could not be loaded")
            server.should_exit, failed[0] = True, 1

    async def leave_when_idle() -> None:
        while services.idle_s() < idle_exit_s:
            await asyncio.sleep(IDLE_CHECK_S)
        log.info("leaving: nobody has asked for %.0f s", idle_exit_s)
        server.should_exit = True

    failed = [0]
    tasks = [asyncio.create_task(load())]
    if idle_exit_s:
        tasks.append(asyncio.create_task(leave_when_idle()))
    try:
        await server.serve(sockets=listeners)
    finally:
        for task in tasks:
            task.cancel()
    return failed[0]


def serve(
    *, fd: int | None = None, tcp: int | None = None, idle_exit_s: float | None = None, backend: str | None = None
) -> int:
    """Run a daemon until a signal or the idle clock ends it; returns the exit code. Raises AssistantError.

    `tcp` is a port on loopback to listen on as well. `backend` overrides the configured one. That is also how a
    simulated chip is asked for: nothing else chooses one.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    config = configuration.load()
    if backend is not None:
        config = msgspec.structs.replace(config, backend=msgspec.structs.replace(config.backend, name=backend))
    lock = take_lock()
    try:
        services = Services(config)
        path = paths.socket_path()
        listeners = [inherited(fd) if fd is not None else bind(path)]
        log.info("listening on %s", path if fd is None else f"descriptor {fd}")
        try:
            app = create_app(services)
            if tcp is not None:
                listeners.append(bind_loopback(tcp))
                port = listeners[-1].getsockname()[1]
                app.add_middleware(TcpGuard, token=read_token(), port=port)
                log.info("listening on %s:%d; the token is in %s", LOOPBACK, port, paths.token_file())
            idle = config.daemon.idle_exit_s if idle_exit_s is None else idle_exit_s
            return asyncio.run(_serve(services, listeners, app, idle))
        finally:
            for listener in listeners:
                listener.close()
            if fd is None:
                path.unlink(missing_ok=True)
    finally:
        os.close(lock)
