"""A person at the terminal app: types, presses keys, reads the screen; the daemon is scripted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from textual.events import Key
from textual.keys import _character_to_key
from textual.pilot import Pilot

from assistant import launch, paths
from assistant.errors import DaemonUnavailable
from assistant.tui import connection
from assistant.tui.app import ChatApp
from assistant.tui.screens.chat import ChatScreen
from tests.fake_daemon import FakeDaemon

PATIENCE_S = 20.0


def launcher(_tell: Callable[[str], None]) -> None:
    """Starts nothing: a test decides when the daemon is there."""
    if not launch.accepts(paths.socket_path()):
        raise DaemonUnavailable("no daemon answers", why="the test has not started it")


class Person:
    """What someone does and sees."""

    def __init__(self, app: ChatApp, pilot: Pilot[None]):
        self.app = app
        self.pilot = pilot

    @property
    def chat(self) -> ChatScreen:
        screen = self.app.screen_stack[0]
        assert isinstance(screen, ChatScreen)
        return screen

    @property
    def draft(self) -> str:
        return self.chat.composer.text

    @property
    def screen(self) -> str:
        """The text on the screen, line by line."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in strips)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """As fast as a terminal pastes: a pilot waits for an idle processor after each letter."""
        driver = self.app._driver
        assert driver
        for letter in text:
            event = Key(_character_to_key(letter), letter)
            event.set_sender(self.app)
            driver.send_message(event)
        await self.pilot.pause()

    async def send(self, text: str) -> None:
        await self.type(text)
        await self.press("enter")

    async def sees(self, *texts: str) -> None:
        """Wait until all of it is on the screen."""
        await self.until(lambda: all(text in self.screen for text in texts), texts)

    async def sees_no(self, text: str) -> None:
        await self.until(lambda: text not in self.screen, f"no {text!r}")

    async def until(self, condition: Callable[[], object], what: object = "") -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    await self.pilot.pause(0.01)
        except TimeoutError:
            raise AssertionError(f"waited in vain for {what}; the screen:\n{self.screen}") from None

    async def idle(self) -> None:
        """Wait until nothing is on its way."""
        await self.until(lambda: self.chat.dialogue.idle and not self.chat.dialogue.busy)
        await self.pilot.pause()


Sit = Callable[..., AbstractAsyncContextManager[Person]]


@pytest.fixture(autouse=True)
def utc() -> Iterator[None]:
    """Days are drawn in local time: the same one on every machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(autouse=True)
def voice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same screens whether or not the extra is installed; test_voice.py brings a voice of its own."""
    monkeypatch.setattr("assistant.tui.voice.is_installed", lambda: False)


@pytest.fixture
async def daemon() -> AsyncIterator[FakeDaemon]:
    fake = FakeDaemon(paths.socket_path())
    await fake.start()
    yield fake
    await fake.kill()


@pytest.fixture
def sit(monkeypatch: pytest.MonkeyPatch) -> Sit:
    """`async with sit() as person:` opens the app; `size` and `resume` as on the command line."""
    monkeypatch.setattr(connection, "WATCH_S", 0.05)
    monkeypatch.setattr(connection, "BACKOFF_S", (0.02, 0.05))

    @asynccontextmanager
    async def open_app(resume: str | None = None, size: tuple[int, int] = (100, 30)) -> AsyncIterator[Person]:
        app = ChatApp(resume, launcher=launcher)
        async with app.run_test(size=size, notifications=True) as pilot:
            yield Person(app, pilot)

    return open_app
