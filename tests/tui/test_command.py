"""`assistant chat`: its options, and what it says where there is no terminal."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import assistant.tui
from assistant.errors import UsageError
from assistant.tui import command as module
from assistant.tui.command import command


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What the app would have been opened with, on a terminal."""
    calls: list[tuple] = []

    class Terminal:
        @staticmethod
        def isatty() -> bool:
            return True

    class FakeSys:
        stdin = stdout = Terminal
        exit = staticmethod(lambda code: (_ for _ in ()).throw(SystemExit(code)))

    monkeypatch.setattr(module, "sys", FakeSys)
    monkeypatch.setattr(assistant.tui, "run", lambda *options: calls.append(options) or 0)
    return calls


@pytest.mark.parametrize(
    ("args", "chat_id", "backend", "inline"),
    [([], None, None, False), (["--resume"], "last", None, False), (["--continue"], "last", None, False),
     (["--chat", "x"], "x", None, False), (["--inline"], None, None, True),
     (["--backend", "mythic-m1076", "--chat", "x"], "x", "mythic-m1076", False)],
)  # fmt: skip
def test_options_choose_the_chat_the_backend_and_the_room(opened: list, args, chat_id, backend, inline) -> None:
    assert CliRunner().invoke(command, args).exit_code == 0
    assert opened == [(chat_id, backend, inline)]


def test_plain_and_inline_exclude_each_other(opened: list) -> None:
    assert CliRunner().invoke(command, ["--plain", "--inline"]).exit_code == 2


def test_two_chats_at_once_are_refused(opened: list) -> None:
    assert CliRunner().invoke(command, ["--resume", "--chat", "x"]).exit_code == 2
    assert opened == []


def test_without_a_terminal_it_points_to_ask() -> None:
    result = CliRunner().invoke(command, [])
    assert isinstance(result.exception, UsageError)
    assert "assistant ask" in str(result.exception)
