"""Branches, forks, search, the list of chats, slash commands, reading by keys, $EDITOR, export, two terminals."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from textual.widgets import Input

from assistant import paths
from assistant.tui import library
from assistant.tui.commands import COMMANDS, matching
from assistant.tui.screens.chat import ChatScreen
from assistant.tui.screens.tree import rows_of
from assistant.tui.widgets import conversation as conversation_module
from assistant.tui.widgets.chat_list import ChatList
from tests.fake_daemon import FakeDaemon, Reply

from .conftest import Sit

CODE = "Look:\n\n```python\nprint(1)\n```\n\nand\n\n```\nls\n```"


# --- branches ---


@pytest.mark.parametrize("how", [["f9"], [*"/fork A twin", "enter"]])
async def test_a_fork_is_a_chat_of_its_own(daemon: FakeDaemon, sit: Sit, how: list[str]) -> None:
    chat_id = daemon.add_chat("old", "first", "answer 1")
    async with sit(resume=chat_id) as person:
        await person.sees("answer 1")
        await person.press(*how)
        await person.sees("This is now a chat of its own: " + ("A twin" if how[1:] else "old (fork)"))
        await person.send("only here")
        await person.sees("Hello from the fake.")
    fork = next(c for c in daemon.chats if c != chat_id)
    assert daemon.texts(chat_id) == ["first", "answer 1"]
    assert daemon.texts(fork)[:3] == ["first", "answer 1", "only here"]


async def test_every_branch_is_in_the_tree_and_enter_goes_back_to_it(daemon: FakeDaemon, sit: Sit) -> None:
    chat_id = daemon.add_chat("old", "first", "answer 1")
    daemon.replies.append(Reply(["answer 2"]))
    async with sit(resume=chat_id) as person:
        await person.sees("answer 1")
        await person.press("ctrl+r")
        await person.sees("answer 2")
        await person.idle()
        await person.press("f6")
        await person.sees("├─ ○     answer 1", "└─ ●     answer 2")
        await person.press("up", "enter")
        await person.sees_no("answer 2")
        await person.sees("answer 1")
        assert daemon.texts(chat_id) == ["first", "answer 1"]
        await person.press("f6")
        await person.sees("● you first")
        await person.press("escape")
        await person.until(lambda: isinstance(person.app.screen, ChatScreen))


def test_the_tree_is_indented_only_where_it_parts(daemon: FakeDaemon) -> None:
    chat_id = daemon.add_chat("old", "q", "a", "q2", "a2")
    chat = daemon.chats[chat_id]
    first = daemon._branch(chat)[0]
    daemon._message(chat, first.id, "assistant", "b")
    from assistant import wire

    nodes = [
        wire.Node(id=m.id, parent_id=m.parent_id, role=m.role, status=m.status, preview=m.content,
                  created_at=0, head_id="")
        for m in daemon.messages.values()
    ]  # fmt: skip
    assert [(indent, node.preview) for indent, node in rows_of(nodes)] == [
        ("", "q"), ("├─ ", "a"), ("│  ", "q2"), ("│  ", "a2"), ("└─ ", "b"),
    ]  # fmt: skip


# --- search ---


@pytest.mark.parametrize("key", ["ctrl+f", "f7"])
async def test_search_finds_in_all_chats_and_jumps_to_the_message(daemon: FakeDaemon, sit: Sit, key: str) -> None:
    daemon.add_chat("about cats", "cats?", "They purr.", *["more", "words " * 40] * 20, "thanks", "purring still")
    here = daemon.add_chat("about dogs", "dogs?", "They bark.")
    async with sit(resume=here) as person:
        await person.sees("They bark.")
        await person.press(key)
        await person.sees("in all chats")
        await person.type("purr")
        await person.sees("about cats · answer", "They purr.", "purring still")
        await person.press("down", "up", "enter")
        await person.sees("They purr.")
        await person.until(lambda: person.chat.conversation.chosen)
        assert person.chat.conversation.chosen.text == "They purr."
        await person.press("escape")
        await person.send("and on")
        await person.sees("Hello from the fake.")


async def test_search_in_this_chat_only_and_nothing_found(daemon: FakeDaemon, sit: Sit) -> None:
    daemon.add_chat("about cats", "cats?", "They purr.")
    here = daemon.add_chat("about dogs", "dogs?", "They bark.")
    async with sit(resume=here) as person:
        await person.sees("They bark.")
        await person.type("/search they")
        await person.press("enter")
        await person.sees("about cats", "about dogs")
        await person.press("ctrl+t")
        await person.sees("in this chat")
        await person.sees_no("about cats")
        await person.press(*" xyz")
        await person.sees("nothing found")
        await person.press("escape")
        await person.until(lambda: isinstance(person.app.screen, ChatScreen))


# --- the list of chats ---


async def test_pin_rename_delete_and_undo(daemon: FakeDaemon, sit: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "UNDO_S", 300.0)
    old = daemon.add_chat("about cats", "cats?", "They purr.")
    daemon.add_chat("about dogs", "dogs?", "They bark.")
    async with sit() as person:
        await person.sees("● ready")
        await person.press("ctrl+b")
        await person.sees("about cats", "about dogs")
        await person.press("down", "p")
        await person.until(lambda: daemon.chats[old].pinned)
        await person.sees("★about cats")
        await person.press("home", "r")
        await person.until(lambda: person.app.screen.query(Input))
        await person.press(*"!", "enter")
        await person.sees("about cats!")
        await person.until(lambda: isinstance(person.app.screen, ChatScreen))
        await person.press("d")
        await person.sees("Deleted: about cats!")
        await person.until(lambda: "about cats!" not in str(person.chat.query_one(ChatList)._chats))
        assert old in daemon.chats
        await person.press("u")
        await person.sees("Brought back: about cats!")
        await person.until(lambda: len(person.chat.query_one(ChatList)._chats) == 2)
        await person.press("home", "delete")
        await person.until(lambda: len(person.chat.query_one(ChatList)._chats) == 1)
        await person.press("r")
        await person.until(lambda: person.app.screen.query(Input))
        await person.press("escape")
        await person.until(lambda: isinstance(person.app.screen, ChatScreen))
    assert old not in daemon.chats  # leaving makes it final


async def test_the_open_chat_is_deleted_by_a_command_and_gone_after_a_while(
    daemon: FakeDaemon, sit: Sit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "UNDO_S", 0.05)
    chat_id = daemon.add_chat("about cats", "cats?", "They purr.")
    async with sit(resume=chat_id) as person:
        await person.sees("They purr.")
        await person.type("/delete")
        await person.press("enter")
        await person.sees_no("They purr.")
        await person.until(lambda: chat_id not in daemon.chats)


# --- slash commands ---


async def test_a_slash_opens_the_commands_and_letters_find_one(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit() as person:
        await person.sees("● ready")
        await person.type("/")
        await person.sees("/new", "Begin a new chat")
        await person.type("cst")
        await person.sees("What all answers have cost")
        await person.press("enter")
        await person.sees("plot: energy")
        await person.press("escape", *"/pers", "tab")
        await person.until(lambda: person.draft == "/persona ")
        await person.type("teacher")
        await person.press("enter")
        await person.sees("persona: teacher")
        await person.send("Hi")
        await person.sees("Hello from the fake.")
        assert "teacher" in next(iter(daemon.chats.values())).system
        await person.press(*"/e", "down", "up", "backspace", "backspace")
        assert person.draft == ""


SAID = {
    "/sarch x": "there is no command '/sarch'",
    "/theme nrd": "there is no theme 'nrd'",
    "/policy": "Followed: private. There are battery, cim-lab, private",
    "/policy cim-lab": "Follows 'cim-lab'",
    "/persona": "Personas: none, friend, teacher",
    "/persona teachr": "there is no persona 'teachr'",
    "/system": "There is no system prompt",
    "/undelete": "nothing was deleted just now",
    "/fork": "this chat has not begun yet",
    "/rename Better": "this chat has not begun yet",
    "/export": "this chat has not begun yet",
}


async def test_commands_say_what_they_did_or_why_not(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit(size=(140, 30)) as person:
        await person.sees("● ready")
        for line, seen in SAID.items():
            person.chat.composer.put(line + " ")
            await person.press("enter")
            await person.sees(seen)
            person.app.clear_notifications()
            await person.sees_no(seen)
            person.chat.composer.put("")
        person.chat.composer.put("/theme nord ")
        await person.press("enter")
        await person.until(lambda: person.app.theme == "nord")
    assert not daemon.chats


async def test_two_slashes_send_one(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit() as person:
        await person.send("//etc is a folder")
        await person.sees("Hello from the fake.")
    (chat_id,) = daemon.chats
    assert daemon.texts(chat_id)[0] == "/etc is a folder"


def test_every_command_is_found_by_its_name_and_leads_somewhere() -> None:
    for command in COMMANDS:
        assert matching(command.name)[0] is command
        name = command.action.partition("(")[0].removeprefix("app.")
        owner = library.Library if command.library else ChatScreen
        from assistant.tui.app import ChatApp

        assert hasattr(owner, name) or hasattr(owner, f"action_{name}") or hasattr(ChatApp, f"action_{name}")
    assert not matching("zzz")


async def test_a_persona_of_ones_own(daemon: FakeDaemon, sit: Sit) -> None:
    folder = paths.config_file().parent / "personas"
    folder.mkdir(parents=True)
    (folder / "pirate.md").write_text("Arr.")
    async with sit() as person:
        await person.sees("● ready")
        await person.type("/persona pirate")
        await person.press("enter")
        await person.sees("persona: pirate")
        await person.type("/system You are a cat.")
        await person.press("enter")
        await person.sees("persona: your own")
        await person.send("Hi")
        await person.sees("Hello from the fake.")
        assert [chat.system for chat in daemon.chats.values()] == ["You are a cat."]


# --- reading by keys ---


async def test_messages_and_code_blocks_are_copied_by_keys(daemon: FakeDaemon, sit: Sit) -> None:
    chat_id = daemon.add_chat("old", "show me", CODE)
    async with sit(resume=chat_id) as person:
        await person.sees("print(1)")
        await person.type("draft")
        await person.press("f8", "y")
        await person.until(lambda: person.app.clipboard == CODE)
        await person.press("right", "c")
        await person.until(lambda: person.app.clipboard == "print(1)")
        await person.press("b", "enter")
        await person.until(lambda: person.app.clipboard == "ls")
        await person.press("k", "y")
        await person.until(lambda: person.app.clipboard == "show me")
        await person.press("j", "up", "down", "y")
        await person.until(lambda: person.app.clipboard == CODE)
        await person.press("escape")
        await person.until(lambda: person.chat.composer.has_focus)
        await person.type("ed")
        assert person.draft == "drafted"


async def test_fork_edit_and_retry_at_any_message(daemon: FakeDaemon, sit: Sit) -> None:
    chat_id = daemon.add_chat("old", "first", "answer 1", "second", "answer 2")
    daemon.replies.append(Reply(["answer 3"]))
    async with sit(resume=chat_id) as person:
        await person.sees("answer 2")
        await person.press("f8", "up", "up", "r")
        await person.sees("answer 3")
        await person.idle()
        assert daemon.texts(chat_id) == ["first", "answer 3"]
        await person.press("f8", "up", "e")
        await person.sees("editing an earlier message")
        assert person.draft == "first"
        await person.press("escape", "f8", "f")
        await person.sees("This is now a chat of its own")
    assert len(daemon.chats) == 2


# --- files ---


@pytest.mark.parametrize(("line", "name"), [("/export", "reading-files.md"), ("/export json x.json", "x.json")])
async def test_export_writes_a_private_file_and_none_twice(
    daemon: FakeDaemon, sit: Sit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    chat_id = daemon.add_chat("Reading files", "how?", "so")
    async with sit(resume=chat_id, size=(150, 30)) as person:
        await person.sees("so")
        await person.type(line + " ")
        await person.press("enter")
        await person.sees("Written:")
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        assert "how?" in (tmp_path / name).read_text()
        if line == "/export":
            await person.press("ctrl+s")
            await person.until((tmp_path / "reading-files-2.md").exists)
        else:
            await person.type(line + " ")
            await person.press("enter")
            await person.sees("was not exported")


async def test_the_message_is_written_in_an_editor(
    daemon: FakeDaemon, sit: Sit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contextlib import nullcontext

    script = tmp_path / "editor"
    script.write_text('#!/bin/sh\nprintf "%s, longer\\n\\n" "$(cat "$1")" > "$1"\n')
    script.chmod(0o700)
    monkeypatch.setenv("EDITOR", str(script))
    monkeypatch.delenv("VISUAL", raising=False)
    async with sit() as person:
        await person.sees("● ready")
        monkeypatch.setattr(person.app, "suspend", nullcontext)
        await person.type("short")
        await person.press("ctrl+g")
        await person.until(lambda: person.draft == "short, longer")
        monkeypatch.setenv("EDITOR", "no-such-editor")
        await person.press("ctrl+g")
        await person.sees("did not start")
        assert person.draft == "short, longer"


# --- two terminals, and long chats ---


async def test_two_terminals_on_one_daemon_stay_in_step(daemon: FakeDaemon, sit: Sit) -> None:
    chat_id = daemon.add_chat("old", "first", "answer 1")
    async with sit(resume=chat_id) as one:
        await one.sees("answer 1")
        async with sit(resume=chat_id) as other:
            await other.sees("answer 1")
            await other.send("from the other")
            await other.sees("Hello from the fake.")
            await other.idle()
            await one.sees("from the other", "Hello from the fake.")
            await one.type("/rename Ours")
            await one.press("enter")
            await other.sees("Ours")
            await one.press("ctrl+t")
            await other.sees_no("from the other")
            assert other.draft == ""


async def test_a_long_chat_is_drawn_as_far_as_it_is_looked_at(
    daemon: FakeDaemon, sit: Sit, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, number in {"FIRST": 4, "MORE": 6, "KEPT": 18, "FAR": 10}.items():
        monkeypatch.setattr(conversation_module, name, number)
    chat_id = daemon.add_chat("long", *[f"message {n}." for n in range(32)])
    async with sit(resume=chat_id, size=(60, 20)) as person:
        await person.sees("message 31.")
        conversation = person.chat.conversation
        seen: list[int] = []

        async def leaf(key: str, aim: str) -> None:
            """Page by page: nothing is left out, nothing comes twice, and never too much is drawn."""
            for _ in range(200):
                await person.press(key)
                seen.extend(map(int, re.findall(r"message (\d+)\.", person.screen)))
                assert len(conversation._messages()) <= 18 + 6
                if aim in person.screen:
                    return
            raise AssertionError(person.screen)

        await leaf("pageup", "message 0.")
        assert {*seen} >= {*range(28)}
        assert conversation._end is not None  # the newest are not drawn any more
        seen.clear()
        await leaf("pagedown", "message 31.")
        assert {*seen} >= {*range(8, 32)}
        assert conversation._first > 0
        conversation.focus()
        await person.press("home")
        await person.sees("message 0.")
        assert len(conversation._messages()) < 18
        await person.press("end")
        await person.sees("message 31.")
        await person.send("and on")
        await person.sees("Hello from the fake.")
