"""Pictures of the main screen: what a change of layout or colour does is seen before it is merged.

`pytest tests/tui/test_snapshots.py --snapshot-update` accepts a change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from textual.pilot import Pilot

from assistant import paths
from assistant.tui.app import ChatApp
from assistant.tui.screens.chat import ChatScreen
from tests.fake_daemon import DaemonThread, FakeDaemon

from .conftest import launcher

ANSWER = """Use a **generator**: it keeps one line in memory.

```python
def lines(path):
    with open(path) as file:
        yield from file
```

1. it is short,
2. it is `lazy`."""
SIZES = [pytest.param((100, 30), id="100x30"), pytest.param((60, 20), id="60x20")]

Compare = Callable[..., bool]


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    # In a thread, because the comparison runs the app in an event loop of its own.
    with DaemonThread(paths.socket_path()) as fake:
        yield fake


def plant(daemon: FakeDaemon) -> str:
    daemon.add_chat("A letter to the editor", "write", "Dear editor")
    return daemon.add_chat("Reading large files", "How do I read a file\nof 20 GB?", ANSWER)


async def settle(pilot: Pilot[None], *texts: str) -> None:
    """Wait until the screen shows all of it, with a cursor that does not blink."""
    screen = pilot.app.screen_stack[0]
    assert isinstance(screen, ChatScreen)
    screen.composer.cursor_blink = False
    for _ in range(2000):
        shown = "\n".join(s.text for s in pilot.app.screen._compositor.render_strips())
        if all(text in shown for text in texts):
            break
        await pilot.pause(0.01)
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES)
def test_conversation(snap_compare: Compare, daemon: FakeDaemon, size: tuple[int, int]) -> None:
    async def look(pilot: Pilot[None]) -> None:
        await settle(pilot, "● ready", "it is lazy")
        await pilot.press(*"And backwards?")

    app = ChatApp(plant(daemon), launcher=launcher)
    assert snap_compare(app, terminal_size=size, run_before=look)


@pytest.mark.parametrize("size", SIZES)
def test_first_sight(snap_compare: Compare, daemon: FakeDaemon, size: tuple[int, int]) -> None:
    async def look(pilot: Pilot[None]) -> None:
        await settle(pilot, "● ready", "Type a message")

    assert snap_compare(ChatApp(launcher=launcher), terminal_size=size, run_before=look)


@pytest.mark.parametrize("size", SIZES)
def test_chats(snap_compare: Compare, daemon: FakeDaemon, size: tuple[int, int]) -> None:
    async def look(pilot: Pilot[None]) -> None:
        await settle(pilot, "● ready", "it is lazy")
        await pilot.press("ctrl+b")
        await settle(pilot, "A letter to the editor")

    app = ChatApp(plant(daemon), launcher=launcher)
    assert snap_compare(app, terminal_size=size, run_before=look)


@pytest.mark.parametrize("size", SIZES)
def test_help(snap_compare: Compare, daemon: FakeDaemon, size: tuple[int, int]) -> None:
    async def look(pilot: Pilot[None]) -> None:
        await settle(pilot, "● ready")
        await pilot.press("f1")
        await settle(pilot, "Keys and help")

    assert snap_compare(ChatApp(launcher=launcher), terminal_size=size, run_before=look)


@pytest.mark.parametrize("size", SIZES)
def test_daemon_lost(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def look(pilot: Pilot[None]) -> None:
        await pilot.press(*"Hello?", "enter", *"draft")
        await settle(pilot, "daemon lost", "waiting for the daemon", "No daemon")

    assert snap_compare(ChatApp(launcher=launcher), terminal_size=size, run_before=look)
