"""`assistant chat`: its options, and what it says where there is no terminal."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import assistant.tui
from assistant.errors import UsageError
from assistant.tui import command as module
from assistant.tui.command import command


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """What the app would have been opened with, on a terminal."""
    calls: list[str | None] = []

    class Terminal:
        @staticmethod
        def isatty() -> bool:
            return True

    class FakeSys:
        stdin = stdout = Terminal
        exit = staticmethod(lambda code: (_ for _ in ()).throw(SystemExit(code)))

    monkeypatch.setattr(module, "sys", FakeSys)
    monkeypatch.setattr(assistant.tui, "run", lambda chat_id: calls.append(chat_id) or 0)
    return calls


@pytest.mark.parametrize(
    ("args", "chat_id"),
    [([], None), (["--resume"], "last"), (["--continue"], "last"), (["--chat", "x"], "x")],
)
def test_options_choose_the_chat(opened: list[str | None], args: list[str], chat_id: str | None) -> None:
    assert CliRunner().invoke(command, args).exit_code == 0
    assert opened == [chat_id]


def test_two_chats_at_once_are_refused(opened: list[str | None]) -> None:
    assert CliRunner().invoke(command, ["--resume", "--chat", "x"]).exit_code == 2
    assert opened == []


def test_without_a_terminal_it_points_to_ask() -> None:
    result = CliRunner().invoke(command, [])
    assert isinstance(result.exception, UsageError)
    assert "assistant ask" in str(result.exception)
