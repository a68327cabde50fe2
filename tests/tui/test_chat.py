"""A conversation: type, send, read the stream, stop it, ask again, edit, take back."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request
from textual.events import Key

from assistant import wire
from assistant.tui.app import ChatApp
from assistant.tui.widgets.message import AssistantMessage, UserMessage
from assistant.tui.widgets.prose import Prose
from tests.fake_daemon import FakeDaemon, Reply

from .conftest import Sit


async def test_type_and_send(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit() as person:
        await person.send("Hi there")
        await person.sees("Hi there", "Hello from the fake.", "4 tokens", "● ready")
        assert person.draft == ""
        assert [chat.title for chat in daemon.chats.values()] == ["Hi there"]


async def test_a_second_message_continues_the_chat(daemon: FakeDaemon, sit: Sit) -> None:
    daemon.replies.extend([Reply(["first"]), Reply(["second"])])
    async with sit() as person:
        await person.send("one")
        await person.sees("first")
        await person.send("two")
        await person.sees("second")
    (chat_id,) = daemon.chats
    assert daemon.texts(chat_id) == ["one", "first", "two", "second"]


async def test_the_reply_and_its_cost_are_shown_while_they_arrive(daemon: FakeDaemon, sit: Sit) -> None:
    script = Reply(hold=2)
    daemon.replies.append(script)
    async with sit() as person:
        await person.send("Hi")
        await person.sees("Hello from", "replying", "25.0 tok/s", "40.0 ms/token", "TTFT 120 ms")
        await person.sees("2 tokens", "~500 mJ modelled")
        assert "the fake" not in person.screen
        script.release.set()
        await person.sees("Hello from the fake.", "~1.00 J modelled", "● ready")


async def test_a_simulated_device_is_marked_by_glyph_and_word(daemon: FakeDaemon, sit: Sit) -> None:
    daemon.simulated = True
    daemon.replies.append(Reply(basis="simulated"))
    async with sit(size=(140, 30)) as person:
        await person.sees("◇ fake simulated")
        await person.send("Hi")
        await person.sees("◇1.00 J simulated", "chip ◇2.00 ms/token")


async def test_escape_stops_the_reply_and_keeps_its_part(daemon: FakeDaemon, sit: Sit) -> None:
    daemon.replies.append(Reply(hold=2))
    async with sit() as person:
        await person.send("Hi")
        await person.sees("Hello from")
        await person.press("escape")
        await person.sees("stopped by you", "Hello from")
        await person.idle()
        await person.send("again")
        await person.sees("Hello from the fake.")
    (chat_id,) = daemon.chats
    assert daemon.texts(chat_id)[:3] == ["Hi", "Hello from ", "again"]


@pytest.mark.parametrize("route", ["new_chat", "send"])
@pytest.mark.parametrize("arrived", [True, False])
async def test_escape_before_the_daemon_has_answered_at_all(
    daemon: FakeDaemon, sit: Sit, monkeypatch: pytest.MonkeyPatch, route: str, arrived: bool
) -> None:
    real, waits = getattr(daemon, route), asyncio.Event()

    async def never(request: Request) -> None:
        if arrived:
            await real(request)
        waits.set()
        await asyncio.Event().wait()

    await daemon.kill()
    monkeypatch.setattr(daemon, route, never)
    await daemon.start()
    async with sit() as person:
        await person.send("Hi")
        await person.until(waits.is_set)
        await person.press("escape")
        await person.sees("stopped by you" if (route, arrived) != ("send", True) else "Hi")
        await person.idle()
        await daemon.kill()
        monkeypatch.setattr(daemon, route, real)
        await daemon.start()
        await person.sees("● ready")
        await person.press("ctrl+r")
        await person.sees("Hello from the fake.")
        await person.idle()
        assert len(person.chat.query(UserMessage)) == 1
    assert [m.content for m in daemon.messages.values()].count("Hi") == 1


async def test_typing_goes_on_while_the_reply_streams(daemon: FakeDaemon, sit: Sit) -> None:
    script = Reply(hold=1)
    daemon.replies.extend([script, Reply(["second"])])
    async with sit() as person:
        await person.send("one")
        await person.sees("Hello")
        await person.send("two")
        await person.sees("next: sent when the reply before is complete")
        await person.type("draft")
        script.release.set()
        await person.sees("second")
        assert person.draft == "draft"
    (chat_id,) = daemon.chats
    assert daemon.texts(chat_id) == ["one", "Hello from the fake.", "two", "second"]


async def test_new_lines_do_not_send(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit() as person:
        for key in ("ctrl+j", "shift+enter", "alt+enter"):
            await person.type("a")
            await person.press(key)
        await person.send("b")
        await person.sees("Hello from the fake.")
    (chat_id,) = daemon.chats
    assert daemon.texts(chat_id)[0] == "a\na\na\nb"


async def test_typing_goes_to_the_input_wherever_the_focus_is(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit() as person:
        await person.type("at once")  # nothing has been waited for
        person.chat.set_focus(None)
        await person.type(", and")
        person.chat.conversation.focus()
        await person.pilot.pause()
        await person.type(" Later")
        assert person.draft == "at once, and Later"
        assert person.chat.composer.has_focus


async def test_an_empty_message_is_not_sent(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit() as person:
        await person.sees("● ready")
        await person.press("enter", "space", "enter")
        await person.pilot.pause()
        assert person.draft == " "
    assert daemon.chats == {}


def test_alt_enter_of_a_plain_terminal_is_a_new_line() -> None:
    from textual._xterm_parser import XTermParser

    keys = [event.key for event in XTermParser().feed("a\x1b\rb") if isinstance(event, Key)]
    assert keys == ["a", "ctrl+j", "b"]


async def test_a_link_of_the_model_opens_nothing(daemon: FakeDaemon, sit: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(ChatApp, "open_url", lambda _app, url, **_options: opened.append(url))
    daemon.replies.append(Reply(["[look](http://example.com/)"]))
    async with sit() as person:
        await person.send("Hi")
        await person.sees("look")
        await person.idle()
        await person.pilot.click("Prose", offset=(3, 0))
        await person.sees("Copied, not opened: http://example.com/")
        assert person.app.clipboard == "http://example.com/"
    assert opened == []


async def test_a_code_block_is_a_block(daemon: FakeDaemon, sit: Sit) -> None:
    daemon.replies.append(Reply(["Look:\n\n```py", "thon\ndef f():\n", "    pass\n``", "`\nDone."]))
    async with sit() as person:
        await person.send("code")
        await person.sees("def f():", "    pass", "Done.")
        assert "```" not in person.screen
        assert [code.text for code in person.chat.query_one(Prose).codes] == ["def f():\n    pass"]


async def test_thoughts_are_one_line_until_opened(daemon: FakeDaemon, sit: Sit) -> None:
    daemon.replies.append(Reply(["<thi", "nk>let me", " see</th", "ink>\n\n", "The answer."]))
    async with sit() as person:
        await person.send("why")
        await person.sees("▸ thought for 3 words", "The answer.")
        assert "let me see" not in person.screen
        await person.pilot.click("Thought")
        await person.sees("let me see")
        assert "think>" not in person.screen
        person.chat.query_one("Thought").focus()
        await person.press("enter")
        await person.sees_no("let me see")


async def test_new_chat(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit() as person:
        await person.send("one")
        await person.sees("Hello from the fake.")
        await person.press("ctrl+n")
        await person.sees_no("Hello from the fake.")
        await person.send("two")
        await person.sees("Hello from the fake.")
    assert sorted(chat.title for chat in daemon.chats.values()) == ["one", "two"]


async def test_regenerate_replaces_the_answer_and_counts_it(daemon: FakeDaemon, sit: Sit) -> None:
    daemon.replies.extend([Reply(["first answer"]), Reply(["better answer"])])
    async with sit() as person:
        await person.send("question")
        await person.sees("first answer")
        await person.idle()
        await person.press("ctrl+r")
        await person.sees("better answer")
        await person.idle()
        assert "first answer" not in person.screen
        assert person.screen.count("question") == 2  # the title and the message
        assert len(person.chat.query(AssistantMessage)) == 1


async def test_up_edits_the_last_message(daemon: FakeDaemon, sit: Sit) -> None:
    chat_id = daemon.add_chat("old", "first", "answer 1", "second", "answer 2")
    daemon.replies.append(Reply(["answer 3"]))
    async with sit(resume=chat_id) as person:
        await person.sees("answer 2")
        await person.press("up")
        await person.until(lambda: person.draft == "second")
        await person.sees("editing an earlier message")
        await person.send(" thought")
        await person.sees("second thought", "answer 3")
        await person.idle()
        assert "answer 2" not in person.screen
    assert daemon.texts(chat_id) == ["first", "answer 1", "second thought", "answer 3"]
    sent = daemon.requests[-1][2]
    assert sent["parent_id"] == daemon._branch(daemon.chats[chat_id])[1].id


async def test_up_again_edits_the_very_first_message(daemon: FakeDaemon, sit: Sit) -> None:
    chat_id = daemon.add_chat("old", "first", "answer 1", "second", "answer 2")
    async with sit(resume=chat_id) as person:
        await person.sees("answer 2")
        await person.press("up")
        await person.until(lambda: person.draft == "second")
        await person.press("up")
        await person.until(lambda: person.draft == "first")
        await person.send("!")
        await person.sees("Hello from the fake.")
    assert daemon.texts(chat_id) == ["first!", "Hello from the fake."]


async def test_escape_leaves_an_edit_without_a_trace(daemon: FakeDaemon, sit: Sit) -> None:
    chat_id = daemon.add_chat("old", "first", "answer 1")
    async with sit(resume=chat_id) as person:
        await person.sees("answer 1")
        await person.press("up", "x", "escape")
        await person.sees_no("editing")
        assert person.draft == ""
        assert "answer 1" in person.screen


async def test_undo_takes_back_the_last_turn_and_redo_brings_it_back(daemon: FakeDaemon, sit: Sit) -> None:
    chat_id = daemon.add_chat("old", "first", "answer 1", "second", "answer 2")
    async with sit(resume=chat_id) as person:
        await person.sees("answer 2")
        await person.press("ctrl+t")
        await person.sees_no("answer 2")
        assert daemon.texts(chat_id) == ["first", "answer 1"]
        assert person.draft == "second"
        await person.press("alt+t")
        await person.sees("answer 2")
        assert daemon.texts(chat_id) == ["first", "answer 1", "second", "answer 2"]


async def test_undo_of_the_only_turn_and_a_new_beginning(daemon: FakeDaemon, sit: Sit) -> None:
    chat_id = daemon.add_chat("old", "first", "answer 1")
    async with sit(resume=chat_id) as person:
        await person.sees("answer 1")
        await person.press("ctrl+t")
        await person.sees_no("answer 1")
        await person.until(lambda: person.draft == "first")
        await person.send("!")
        await person.sees("Hello from the fake.")
        assert len(person.chat.query(UserMessage)) == 1
    assert daemon.texts(chat_id) == ["first!", "Hello from the fake."]


async def test_a_failed_reply_says_why_and_can_be_tried_again(daemon: FakeDaemon, sit: Sit) -> None:
    error = wire.ErrorBody(message="the device is gone", hint="plug it in")
    daemon.replies.append(Reply(["par", "tial"], error=error))
    async with sit() as person:
        await person.send("Hi")
        await person.sees("partial", "failed: the device is gone. Plug it in")
        await person.press("ctrl+r")
        await person.sees("Hello from the fake.")
        await person.idle()
        assert "partial" not in person.screen
    (chat_id,) = daemon.chats
    assert daemon.texts(chat_id) == ["Hi", "Hello from the fake."]


async def test_a_refused_message_is_not_lost(daemon: FakeDaemon, sit: Sit) -> None:
    daemon.replies.append(Reply(status=429, error=wire.ErrorBody(message="too many chats")))
    async with sit() as person:
        await person.send("Hi")
        await person.sees("Hi", "not sent: too many chats")
        await person.press("ctrl+r")
        await person.sees("Hello from the fake.")
    (chat_id,) = daemon.chats
    assert daemon.texts(chat_id) == ["Hi", "Hello from the fake."]


async def test_a_chat_that_is_busy_elsewhere_is_waited_for(daemon: FakeDaemon, sit: Sit) -> None:
    busy = wire.ErrorBody(message="a reply is being written in this chat", code="busy")
    daemon.replies.extend([Reply(status=409, error=busy)] * 4)
    async with sit() as person:
        await person.send("Hi")
        await person.sees("waiting for another reply in this chat")
        await person.sees("Hello from the fake.")
        await person.idle()
        assert "waiting for" not in person.screen
    (chat_id,) = daemon.chats
    assert daemon.texts(chat_id) == ["Hi", "Hello from the fake."]


async def test_stored_statuses_are_told_in_words(daemon: FakeDaemon, sit: Sit) -> None:
    chat_id = daemon.add_chat("old", "a", "b", "c", "d", "e", "f")
    branch = daemon._branch(daemon.chats[chat_id])
    branch[1].status = "cancelled"
    branch[3].status = "interrupted"
    branch[5].status = "error"
    async with sit(resume=chat_id) as person:
        await person.sees("stopped by you", "interrupted: the daemon went away", "failed")


async def test_what_the_model_writes_cannot_drive_the_terminal(daemon: FakeDaemon, sit: Sit) -> None:
    daemon.replies.append(Reply(["a\x1b]0;owned\x07b [red]c[/red] <b>d</b>"]))
    async with sit() as person:
        await person.send("[bold]x\x1b[/bold]")
        await person.sees("[red]c[/red]", "[bold]x")
        assert "\x1b" not in person.screen
        assert "\x07" not in person.screen


async def test_enter_never_overtakes_the_keys_before_it(daemon: FakeDaemon, sit: Sit) -> None:
    """As when a slow machine finds a whole line and Enter waiting in one read."""
    text = "a whole line at once"
    async with sit() as person:
        for character in text:
            person.app.post_message(Key(character, character))
        person.app.post_message(Key("enter", "\r"))
        await person.sees("Hello from the fake.")
        assert person.draft == ""
    (chat_id,) = daemon.chats
    assert daemon.texts(chat_id)[0] == text
