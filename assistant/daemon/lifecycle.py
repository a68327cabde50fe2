"""One daemon from start to end: lock, open, listen, load, serve, drain, settle."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import msgspec
import uvicorn

from assistant import config as configuration
from assistant import paths, silence
from assistant.daemon.app import create_app
from assistant.daemon.connection import HEADER_LIMIT_BYTES, protocol
from assistant.daemon.door import BACKLOG, LOOPBACK, bind, inherited, take_locks
from assistant.daemon.journal import log_to_stderr
from assistant.daemon.notify import Notifier
from assistant.daemon.services import Services
from assistant.daemon.tcp import TcpGuard, read_token

log = logging.getLogger(__name__)

IDLE_CHECK_S = 1.0
GRACE_S = 5  # for responses in flight, once all replies are stored


class Server(uvicorn.Server):
    """uvicorn that finishes or stores the replies being written first, so that their streams end and are not cut."""

    def __init__(self, config: uvicorn.Config, services: Services, notifier: Notifier):
        super().__init__(config)
        self._services, self._notifier = services, notifier
        self._hurry = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but a stop that went well is not ended by the signal once more: we exit with 0."""
        before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal ends the daemon after the replies under way, the second cuts them off, a third ends all."""
        self.force_exit, self._hurry, self.should_exit = self._hurry, self.should_exit, True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._notifier.send("STOPPING=1", "STATUS=finishing the replies under way")
        for server in self.servers:
            server.close()  # who comes now waits in a service manager's socket, or finds nobody
        live = sum(self._services.engine.load) if self._services.is_ready else 0
        if live:
            log.info("stopping after %d reply(ies), %.0f s at most; stop once more to cut them off", live,
                     self._services.config.daemon.drain_s)  # fmt: skip
        await self._services.drain(self._services.config.daemon.drain_s, lambda: self._hurry)
        await self._services.close()
        await super().shutdown(sockets)


async def _serve(
    services: Services, listeners: list[socket.socket], app, idle_exit_s: float, notifier: Notifier
) -> int:
    settings = uvicorn.Config(
        app, http=protocol(services.config.daemon), ws="none", lifespan="off", access_log=False, log_config=None,
        timeout_graceful_shutdown=GRACE_S, server_header=False, date_header=False,
        h11_max_incomplete_event_size=HEADER_LIMIT_BYTES, backlog=BACKLOG,
    )  # fmt: skip
    server = Server(settings, services, notifier)
    unload_after_s = services.config.daemon.unload_after_s

    async def load() -> None:
        try:
            await services.start()
            what = f"{services.model.manifest.name} on {services.backend.info.name}"
            log.info("ready: %s", what)
            notifier.send("READY=1", f"STATUS=serving {what}")
            tasks.append(asyncio.create_task(notifier.feed_watchdog(services.alive)))
            await services.verify_weights()
        except Exception:
            log.exception("the model could not be loaded")
            server.should_exit, failed[0] = True, 1

    async def unload_when_idle() -> None:
        while True:
            await asyncio.sleep(IDLE_CHECK_S)
            if services.is_ready and not services.backend.asleep and services.model_idle_s() >= unload_after_s:
                await asyncio.to_thread(services.backend.release)

    async def leave_when_idle() -> None:
        while services.idle_s() < idle_exit_s or services.bell.waiting:  # see docs/decisions/019
            await asyncio.sleep(IDLE_CHECK_S)
        log.info("leaving: nobody has asked for %.0f s", idle_exit_s)
        server.should_exit = True

    failed = [0]
    tasks = [asyncio.create_task(load())]
    if unload_after_s:
        tasks.append(asyncio.create_task(unload_when_idle()))
    if idle_exit_s:
        tasks.append(asyncio.create_task(leave_when_idle()))
    try:
        await server.serve(sockets=listeners)
    finally:
        for task in tasks:
            task.cancel()
    return failed[0]


def serve(
    *,
    fd: int | None = None,
    tcp: socket.socket | None = None,
    idle_exit_s: float | None = None,
    backend: str | None = None,
) -> int:
    """Run a daemon until a signal or the idle clock ends it; returns the exit code. Raises AssistantError.

    `tcp` listens on loopback and is served as well: it had to be opened before the network was denied. `backend`
    overrides the configured one. That is also how a simulated chip is asked for: nothing else chooses one.
    """
    log_to_stderr()
    faulthandler.enable()  # the watchdog's SIGABRT then tells where every thread hung
    notifier = Notifier()
    if silence.reason:
        log.warning("this process could reach a network: %s", silence.reason)
    config = configuration.load()
    if backend is not None:
        config = msgspec.structs.replace(config, backend=msgspec.structs.replace(config.backend, name=backend))
    locks = take_locks(config.history.enabled)
    try:
        services = Services(config)
        path = paths.socket_path()
        listeners = [inherited(fd) if fd is not None else bind(path)]
        log.info("listening on %s", path if fd is None else f"descriptor {fd}")
        try:
            app = create_app(services)
            if tcp is not None:
                listeners.append(tcp)
                port = tcp.getsockname()[1]
                app.add_middleware(TcpGuard, token=read_token(), port=port)
                log.info("listening on %s:%d; the token is in %s", LOOPBACK, port, paths.token_file())
            idle = config.daemon.idle_exit_s if idle_exit_s is None else idle_exit_s
            return asyncio.run(_serve(services, listeners, app, idle, notifier))
        finally:
            for listener in listeners:
                listener.close()
            if fd is None:
                path.unlink(missing_ok=True)
    finally:
        for lock in locks:
            os.close(lock)
