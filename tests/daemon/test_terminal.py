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
    terminal.sees("are you still there", "● ready")  # it has brought the daemon back by itself
    with daemon.http() as http:
        daemon.adopt(http.get("/readyz").json()["pid"])
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


def test_type_stream_cancel_fork_search_what_if_and_quit(terminal, daemon):
    """The whole way through a real terminal."""
    daemon.configure('[model]\nname = "bytes"\n[sampling]\nmax_tokens = 20000\n')
    daemon.start()
    terminal.open(size=(130, 40))
    terminal.sees("● ready", "NOT PROVEN")
    terminal.type("a pangolin walks in", "Enter")
    screen = terminal.sees("replying", "tok/s", "modelled", "session")
    terminal.type("typed meanwhile")
    terminal.sees("typed meanwhile")
    terminal.type("Escape")
    screen = terminal.sees("stopped by you", "● ready")
    assert "typed meanwhile" in screen  # the draft stays
    terminal.type("C-u", "F9")
    terminal.sees("This is now a chat of its own", "(fork)")
    terminal.type("C-f")
    terminal.sees("in all chats")
    terminal.type("pangol")
    terminal.sees("a pangolin walks in", "· you")
    terminal.type("Enter")
    terminal.sees("Type a message", "a pangolin walks in")
    terminal.type("Escape")
    time.sleep(0.3)  # an escape and a key that follow at once are another key
    terminal.type("F6")
    terminal.sees("Branches of this chat", "● you a pangolin")
    terminal.type("Escape")
    terminal.sees("Type a message")
    terminal.type("F4")
    terminal.sees("Plan and what-if", "choice", "at once", "ms per token")
    terminal.type("Down", "Left", "Left")
    terminal.sees(" *")
    terminal.type("Escape")
    terminal.sees("Type a message")
    terminal.type("F3")
    terminal.sees("by day (D)", "modelled")
    terminal.type("Escape")
    terminal.sees("Type a message")
    terminal.type("/quit", "Enter")
    deadline = time.monotonic() + PATIENCE_S
    while "Type a message" in terminal.screen() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "Type a message" not in terminal.screen()
    with daemon.http() as http:
        assert len(http.get("/v1/chats").json()["data"]) == 2


def test_plain_and_inline(terminal, daemon):
    daemon.start()
    said = daemon.run("chat", "--plain", input="Hello out there\n/chats\n/quit\n")
    assert said.returncode == 0, said.stderr
    assert "Assistant: " in said.stdout
    assert "[40 tokens" in said.stdout
    assert "1. Hello out there, 2 messages" in said.stdout
    assert "\x1b" not in said.stdout
    terminal.open("--inline", "--resume")
    terminal.sees("Hello out there", "● ready")
    terminal.type("C-q")
