"""The link to the daemon: starts it, watches it, comes back after a loss, tells each change."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from assistant import wire
from assistant.client import Client, DaemonSlow
from assistant.errors import AssistantError
from assistant.tui import warm

WATCH_S = 2.0
LOADING_WATCH_S = 0.1
BACKOFF_S = (0.1, 0.3, 1.0, 2.0, 5.0)

Launcher = Callable[[Callable[[str], None]], object]


class Phase(enum.Enum):
    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"
    SLOW = "busy"
    LOST = "daemon lost"


@dataclass(frozen=True)
class Link:
    """What is known about the daemon at one moment."""

    phase: Phase = Phase.STARTING
    detail: str = ""
    ready: wire.Ready | None = None  # the last answer of /readyz, kept while the daemon is away


class Connection:
    """Owns the client; `run()` never returns."""

    def __init__(
        self,
        on_change: Callable[[Link], None],
        launcher: Launcher | None = None,
        on_look: Callable[[], Awaitable[None]] | None = None,
    ):
        """`on_look` is awaited each time the daemon has been found ready."""
        self._on_look = on_look
        self.client = Client()
        self.link = Link()
        self._on_change = on_change
        self._launcher = launcher
        self._poke = asyncio.Event()

    @property
    def ready(self) -> bool:
        return self.link.phase is Phase.READY

    def check(self) -> None:
        """Look at once: a request has just failed."""
        self._set(Phase.LOST)
        self._poke.set()

    async def run(self) -> None:
        failures = 0
        while True:
            try:
                await self._launch()
                while True:
                    await self._look()
                    failures = 0
                    await self._pause(WATCH_S if self.ready else LOADING_WATCH_S)
            except AssistantError as error:
                pause_s = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
                failures += 1
                # The first try after a loss comes so soon that its reason is only noise.
                self._set(Phase.LOST, "" if failures == 1 else f"{error.what}: {error.why}")
            await asyncio.sleep(pause_s)

    async def aclose(self) -> None:
        await self.client.aclose()

    async def _look(self) -> None:
        try:
            ready = await self.client.ready()
        except DaemonSlow:
            self._set(Phase.SLOW, "it does not answer in time")
            return
        phase = Phase.READY if ready.ready else Phase.LOADING
        self._set(phase, ready.reason or "", ready)
        if self._on_look and phase is Phase.READY:
            await self._on_look()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._poke.wait()
        except TimeoutError:
            pass
        self._poke.clear()

    async def _launch(self) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def tell(text: str) -> None:
            loop.call_soon_threadsafe(self._set, Phase.STARTING, text)

        def settle(error: BaseException | None) -> None:
            if not done.done():
                done.set_exception(error) if error else done.set_result(None)

        def work() -> None:
            error = None
            try:
                if self._launcher is None:
                    from assistant.launch import ensure_daemon

                    ensure_daemon(tell)
                else:
                    self._launcher(tell)
                warm.up()
            except BaseException as caught:
                error = caught
            with contextlib.suppress(RuntimeError):  # the app has been closed meanwhile
                loop.call_soon_threadsafe(settle, error)

        # Not the loop's executor: leaving the app would wait for a launch that takes its time.
        threading.Thread(target=work, name="daemon-launch", daemon=True).start()
        await done

    def _set(self, phase: Phase, detail: str = "", ready: wire.Ready | None = None) -> None:
        if ready is None or not ready.ready:
            ready = self.link.ready
        link = Link(phase, detail, ready)
        if link != self.link:
            self.link = link
            self._on_change(link)
