"""The plain mode: lines in, lines out, nothing that a screen reader would stumble over."""

from __future__ import annotations

import io
import sys

import pytest

from assistant import launch, paths
from assistant.tui import plain
from tests.fake_daemon import DaemonThread, Reply


def talk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *lines: str, chat_id=None) -> str:
    monkeypatch.setattr(launch, "ensure_daemon", lambda *_a, **_k: False)
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    assert plain.run(chat_id) == 0
    return capsys.readouterr().out


def test_a_conversation_in_lines(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    with DaemonThread(paths.socket_path()) as daemon:
        daemon.replies.append(Reply(["<think>hm</think>", "It ", "is\x1b[31m so."]))
        said = talk(monkeypatch, capsys, "Hi", "/retry", "/rename Two words", "/fork", "/chats", "/search Hi",
                    "/export json", "/undo", "//x", "/costs", "/plan", "/offline", "/help", "/persona",
                    "/persona terse", "/tree",                    "/nonsense", "/quit", "never sent")  # fmt: skip
        assert [chat.title for chat in daemon.chats.values()] == ["Two words", "Two words (fork)", "/x"]
    assert "Model test-3m on fake, fp32" in said
    assert "Assistant: It is\N{REPLACEMENT CHARACTER}[31m so.\n[3 tokens at 25 per second, 750 mJ modelled]" in said
    assert "Assistant: Hello from the fake." in said
    for text in ("called: Two words", "a chat of its own: Two words (fork)", "1. Two words (fork), 0 messages",
                 "Written: ", "1 answers, 100 tokens, 1.00 J modelled and 500 mJ simulated", "Policy private",
                 "not proven", "/search [WORDS]:", "Personas: none", "A new chat with terse",
                 "/tree needs the full screen", "there is no command '/nonsense'"):  # fmt: skip
        assert text in said, text
    assert "\x1b" not in said
    assert not set(said) & set("█▏▕│╭●◇~")


def test_the_newest_chat_is_read_out_and_goes_on(monkeypatch, capsys) -> None:
    with DaemonThread(paths.socket_path()) as daemon:
        daemon.add_chat("old", "first", "answer 1")
        said = talk(monkeypatch, capsys, "second", chat_id="last")
    assert "Chat: old\nYou: first\nAssistant: answer 1\n" in said
    assert "Assistant: Hello from the fake." in said
