"""The terminal app in a real terminal (tmux) against a real daemon: type, stream, resume, survive a crash."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

PATIENCE_S = 60.0

pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="THE TERMINAL IS NOT TESTED: tmux is not installed")


class Terminal:
    """A tmux of its own, so that nobody's sessions are touched."""

    def __init__(self, daemon):
        self.daemon, self.opened = daemon, 0

    def tmux(self, *arguments: str) -> str:
        command = ["tmux", "-S", str(self.daemon.home / f"tmux{self.opened}"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=self.daemon.env(), check=False).stdout

    def open(self, *arguments: str, size: tuple[int, int] = (100, 30)) -> None:
        self.opened += 1  # another server each time: one that is just ending would take the new session with it
        command = shlex.join([sys.executable, "-m", "assistant", "chat", *arguments])
        self.tmux("new-session", "-d", "-s", "t", "-x", str(size[0]), "-y", str(size[1]), f"{command}; sleep 600")

    def type(self, *keys: str) -> None:
        self.tmux("send-keys", "-t", "t", *keys)

    def screen(self) -> str:
        return self.tmux("capture-pane", "-t", "t", "-p")

    def sees(self, *texts: str) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if all(text in (screen := self.screen()) for text in texts):
                return screen
            time.sleep(0.1)
        raise AssertionError(f"waited in vain for {texts}; the screen:\n{screen}")

    def close(self) -> None:
        self.tmux("kill-server")


@pytest.fixture
def terminal(daemon) -> Iterator[Terminal]:
    made = Terminal(daemon)
    yield made
    made.close()


def test_a_person_chats_leaves_comes_back_and_loses_nothing_to_a_crash(terminal, daemon):
    daemon.start()
    terminal.open()
    terminal.sees("Type a message")
    terminal.type("Hello out there", "Enter")
    screen = terminal.sees("40 tokens", "tok/s", "modelled", "● ready")
    assert "Hello out there" in screen
    terminal.type("C-q")
    terminal.close()

    terminal.open("--resume")
    terminal.sees("Hello out there", "40 tokens")
    daemon.kill()
    terminal.type("are you still there", "Enter")
    daemon.start()
    terminal.sees("are you still there", "● ready")
    with daemon.http() as http:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            (chat,) = http.get("/v1/chats").json()["data"]
            messages = http.get(f"/v1/chats/{chat['id']}").json()["messages"]
            if len(messages) == 4 and messages[-1]["status"] == "complete":
                break
            time.sleep(0.2)
    assert [m["content"] for m in messages if m["role"] == "user"] == ["Hello out there", "are you still there"]
    assert messages[-1]["status"] == "complete"


def test_the_first_chat_starts_the_daemon_and_says_so(terminal, daemon):
    terminal.open(size=(60, 20))
    terminal.sees("● ready", "Type a message")
    terminal.type("Hi", "Enter")
    terminal.sees("40 tokens")
    pid = daemon.run("ask", "--json", "x")
    assert pid.returncode == 0, pid.stderr
    with daemon.http() as http:
        import os
        import signal

        os.kill(http.get("/readyz").json()["pid"], signal.SIGTERM)
