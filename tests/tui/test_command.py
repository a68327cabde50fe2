"""`assistant chat`: its options, and what it says where there is no terminal."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import assistant.tui
from assistant.errors import UsageError
from assistant.tui import command as module
from assistant.tui.command import command


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str | None, str | None]]:
    """What the app would have been opened with, on a terminal."""
    calls: list[tuple[str | None, str | None]] = []

    class Terminal:
        @staticmethod
        def isatty() -> bool:
            return True

    class FakeSys:
        stdin = stdout = Terminal
        exit = staticmethod(lambda code: (_ for _ in ()).throw(SystemExit(code)))

    monkeypatch.setattr(module, "sys", FakeSys)
    monkeypatch.setattr(assistant.tui, "run", lambda *chat_and_backend: calls.append(chat_and_backend) or 0)
    return calls


@pytest.mark.parametrize(
    ("args", "chat_id", "backend"),
    [([], None, None), (["--resume"], "last", None), (["--continue"], "last", None), (["--chat", "x"], "x", None),
     (["--backend", "mythic-m1076", "--chat", "x"], "x", "mythic-m1076")],
)  # fmt: skip
def test_options_choose_the_chat_and_the_backend(opened: list, args: list[str], chat_id, backend) -> None:
    assert CliRunner().invoke(command, args).exit_code == 0
    assert opened == [(chat_id, backend)]


def test_two_chats_at_once_are_refused(opened: list) -> None:
    assert CliRunner().invoke(command, ["--resume", "--chat", "x"]).exit_code == 2
    assert opened == []


def test_without_a_terminal_it_points_to_ask() -> None:
    result = CliRunner().invoke(command, [])
    assert isinstance(result.exception, UsageError)
    assert "assistant ask" in str(result.exception)
