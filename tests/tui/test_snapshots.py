"""Pictures of every screen in two sizes and two themes, as text with its styles; the walk-through's as SVG.

`pytest tests/tui/test_snapshots.py --snapshot-update` accepts a change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.app import App
from textual.pilot import Pilot

from assistant import paths, wire
from assistant.tui.app import ChatApp
from assistant.tui.screens.chat import ChatScreen
from assistant.tui.widgets.offline_badge import OfflineBadge
from tests import fake_plan
from tests.fake_daemon import DaemonThread, FakeDaemon

from .conftest import launcher

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs" / "walk-through"
SIZES, THEMES = [(100, 30), (60, 20)], ["textual-dark", "textual-light"]
ANSWER = """Use a **generator**: it keeps one line in memory.

```python
def lines(path):
    with open(path) as file:
        yield from file
```

1. it is short,
2. it is `lazy`."""


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    with DaemonThread(paths.socket_path()) as fake:
        yield fake


def plant(daemon: FakeDaemon) -> str:
    daemon.add_chat("A letter to the editor", "write", "Dear editor")
    chat_id = daemon.add_chat("Reading large files", "How do I read a file\nof 20 GB?", ANSWER)
    chat = daemon.chats[chat_id]
    first = daemon._branch(chat)[0]
    other = daemon._message(chat, first.id, "assistant", "Read it in one go.")
    other.status = "complete"
    chat.head_id = daemon._branch(chat)[0].id
    chat.head_id = next(m.id for m in daemon.messages.values() if m.parent_id == first.id)
    daemon.selftest = fake_plan.PASSED
    return chat_id


async def settle(pilot: Pilot[None], *texts: str) -> None:
    """Wait until the screen shows all of it, with a cursor that does not blink."""
    screen = pilot.app.screen_stack[0]
    assert isinstance(screen, ChatScreen)
    screen.composer.cursor_blink = False
    for field in pilot.app.screen.query("Input"):
        field.cursor_blink = False
    shown = ""
    for _ in range(2000):
        shown = "\n".join(s.text for s in pilot.app.screen._compositor.render_strips())
        if all(text in shown for text in texts):
            break
        await pilot.pause(0.01)
    else:
        raise AssertionError(f"waited in vain for {texts}:\n{shown}")
    await pilot.pause()


class Album:
    """Compares pictures with those that were accepted; tells all that differ at once."""

    def __init__(self, folder: Path, update: bool):
        self._folder, self._update = folder, update
        self._differ: list[str] = []

    def take(self, name: str, app: App[None]) -> None:
        self._compare(self._folder / f"{name}.txt", picture(app))

    def draw(self, name: str, app: App[None]) -> None:
        """For the docs: a drawing that fetches no font and runs no script."""
        svg = re.sub(r"@font-face \{.*?\}", "", app.export_screenshot(), flags=re.DOTALL)
        svg = re.sub(r"terminal-\d+-", "t-", re.sub(r"\s*<!--.*?-->", "", svg, flags=re.DOTALL))
        svg = re.sub(r"\n\s*\n+", "\n", svg)
        self._compare(DOCS / f"{name}.svg", svg if svg.endswith("\n") else svg + "\n")

    def _compare(self, file: Path, now: str) -> None:
        if self._update:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(now, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != now:
            before = file.read_text(encoding="utf-8") if file.exists() else "(nothing)"
            self._differ.append(f"--- {file.name}: accepted\n{before[:6000]}\n--- now\n{now[:6000]}")

    def check(self) -> None:
        assert not self._differ, "\n".join(self._differ)


def picture(app: App[None]) -> str:
    """The text of the screen, and below it the style of each run of cells, by number."""
    lines, runs, styles = [], [], {}
    for strip in app.screen._compositor.render_strips():
        lines.append(strip.text.rstrip())
        row = []
        for segment in strip.simplify():
            number = styles.setdefault(str(segment.style), len(styles))
            row.append(f"{number}x{segment.cell_length}")
        runs.append(" ".join(row))
    legend = [f"{number}: {style}" for style, number in styles.items()]
    return "\n".join([*lines, "-- styles", *runs, *legend]) + "\n"


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_every_screen(daemon: FakeDaemon, size: tuple[int, int], theme: str, pytestconfig: pytest.Config) -> None:
    album = Album(HERE / "pictures" / f"{size[0]}x{size[1]}-{theme}", pytestconfig.getoption("update_snapshots"))
    chat_id = plant(daemon)
    app = ChatApp(theme=theme, launcher=launcher)
    async with app.run_test(size=size) as pilot:
        press, chat = pilot.press, app.chat

        async def take(name: str, *texts: str) -> None:
            await settle(pilot, *texts)
            album.take(name, app)
            if (size, theme) == (SIZES[0], THEMES[0]):
                album.draw(name, app)

        await take("first-sight", "● ready", "Type a message")
        await chat.dialogue.open(chat_id)
        for tokens in range(8, 80, 6):  # as if it were being written
            chat.strip.meter.take(daemon.cost(tokens), False)
            chat.strip._draw()
        await press(*"And backwards?")
        await take("conversation", "it is lazy", "62%")
        await press("f8", "right")
        await take("reading", "it is lazy")
        await press("escape", "ctrl+u", "/", "e")
        await take("commands", "/export")
        await press("ctrl+u")
        await press("ctrl+b")
        await take("chats", "A letter to the edi")
        await press("r")
        await take("rename", "New title")
        await press("escape", "ctrl+b", "f3")
        await take("costs", "plot: energy")
        await press("f4")
        await settle(pilot, "runs ", "private")
        await press(*["down"] * 5, *["left"] * 10)
        await take("what-if", "▸ memory", "10 MB")
        await press("f5")
        await take("offline", "honeypot")
        await press("escape", "f6")
        await take("branches", "○", "Read it in one go")
        await press("escape", "f7", *"file")
        await take("search", "of 20 GB")
        await press("escape", "f1")
        await take("help", "Keys and help")
    album.check()


async def test_a_very_wide_terminal(daemon: FakeDaemon, pytestconfig: pytest.Config) -> None:
    """Lines stay short enough to be read, the figures use the room."""
    album = Album(HERE / "pictures" / "220x60", pytestconfig.getoption("update_snapshots"))
    chat_id = plant(daemon)
    daemon._message(
        daemon.chats[chat_id], daemon.chats[chat_id].head_id, "user", "a long line " * 30
    ).status = "complete"
    for theme in THEMES:
        app = ChatApp(chat_id, theme=theme, launcher=launcher)
        async with app.run_test(size=(220, 60)) as pilot:
            await settle(pilot, "● ready", "it is lazy", "a long line")
            album.take(f"conversation-{theme}", app)
            await pilot.press("f4")
            await settle(pilot, "runs ", "private")
            album.take(f"what-if-{theme}", app)
    album.check()


async def test_without_a_daemon(pytestconfig: pytest.Config) -> None:
    album = Album(HERE / "pictures" / "lost", pytestconfig.getoption("update_snapshots"))
    for size in SIZES:
        for theme in THEMES:
            app = ChatApp(theme=theme, launcher=launcher)
            async with app.run_test(size=size, notifications=True) as pilot:
                await pilot.press(*"Hello?", "enter", *"draft")
                await settle(pilot, "daemon lost", "waiting for the daemon", "No daemon")
                album.take(f"{size[0]}x{size[1]}-{theme}", app)
    album.check()


async def test_the_badge_in_each_of_its_states(daemon: FakeDaemon, pytestconfig: pytest.Config) -> None:
    album = Album(HERE / "pictures" / "badge", pytestconfig.getoption("update_snapshots"))
    app = ChatApp(launcher=launcher)
    seen = wire.SelfTestSummary(verdict="FAIL", finished_at=fake_plan.NOW, seconds=60, rungs={"honeypot": "FAIL"},
                                hosts=["example.com:443"])  # fmt: skip
    async with app.run_test(size=(100, 12)) as pilot:
        await settle(pilot, "● ready")
        for name, test in (("none", None), ("passed", fake_plan.PASSED), ("seen", seen)):
            app.chat.query_one(OfflineBadge).test = test
            await pilot.pause()
            album.take(name, app)
    album.check()
