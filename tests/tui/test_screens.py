"""Around the conversation: the chats, the help, the palette, small terminals, scrolling."""

from __future__ import annotations

import pytest
from textual.binding import Binding
from textual.command import CommandPalette

from assistant.tui.app import ChatApp
from assistant.tui.screens.chat import ChatScreen
from assistant.tui.screens.help import HelpScreen
from assistant.tui.widgets.chat_list import ChatList
from assistant.tui.widgets.composer import Composer
from tests.fake_daemon import FakeDaemon, Reply

from .conftest import Sit


def bindings() -> list[Binding]:
    owners = (ChatApp, ChatScreen, Composer, ChatList)
    return [binding for owner in owners for binding in owner.BINDINGS if binding.description]


@pytest.mark.parametrize("key", ["ctrl+b", "ctrl+o", "f2"])
async def test_a_chat_is_chosen_from_the_list_and_resumed(daemon: FakeDaemon, sit: Sit, key: str) -> None:
    daemon.add_chat("about cats", "cats?", "They purr.")
    daemon.add_chat("about dogs", "dogs?", "They bark.")
    async with sit() as person:
        await person.sees("● ready")
        await person.press(key)
        await person.sees("about cats", "about dogs")
        await person.press("down", "enter")
        await person.sees("They purr.")
        assert "They bark." not in person.screen
        await person.until(lambda: person.chat.composer.has_focus)
        await person.sees("▸ about cats")
        await person.press(key)
        await person.sees_no("about dogs")


async def test_resume_opens_the_newest_chat(daemon: FakeDaemon, sit: Sit) -> None:
    daemon.add_chat("old", "cats?", "They purr.")
    daemon.add_chat("new", "dogs?", "They bark.")
    async with sit(resume="last") as person:
        await person.sees("dogs?", "They bark.")


async def test_resume_without_any_chat_is_a_new_one(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit(resume="last") as person:
        await person.sees("● ready", "Type a message and press Enter")
        await person.send("Hi")
        await person.sees("Hello from the fake.")


async def test_a_chat_that_does_not_exist_is_told(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit(resume="nonsense") as person:
        await person.sees("there is no such chat")
        await person.send("Hi")
        await person.sees("Hello from the fake.")


async def test_a_chat_is_not_left_while_its_reply_is_written(daemon: FakeDaemon, sit: Sit) -> None:
    script = Reply(hold=1)
    daemon.replies.append(script)
    async with sit() as person:
        await person.send("Hi")
        await person.sees("Hello")
        for key in ("ctrl+n", "ctrl+r", "ctrl+t"):
            await person.press(key)
            await person.sees("a message is on its way")
        script.release.set()
        await person.sees("Hello from the fake.")


async def test_the_help_names_every_key(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit(size=(100, 110)) as person:
        await person.press("ctrl+b", "f1")
        await person.sees("Keys and help")
        for binding in bindings():
            assert (binding.tooltip or binding.description) in person.screen
        assert "modelled (~)" in person.screen
        await person.press("escape")
        await person.until(lambda: not isinstance(person.app.screen, HelpScreen))


async def test_f1_opens_and_closes_and_the_draft_stays(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit() as person:
        await person.type("draft")
        await person.press("f1")
        await person.sees("Keys and help")
        await person.press("f1")
        await person.sees_no("Keys and help")
        await person.type("ed")
        assert person.draft == "drafted"


async def test_the_palette_finds_and_runs_every_action(daemon: FakeDaemon, sit: Sit) -> None:
    chat_id = daemon.add_chat("old", "first", "answer 1")
    async with sit(resume=chat_id) as person:
        titles = {command.title for command in person.app.get_system_commands(person.chat)}
        wanted = {b.description for b in (*ChatApp.BINDINGS, *ChatScreen.BINDINGS) if b.description}
        assert wanted - {"Commands"} <= titles
        await person.sees("answer 1")
        await person.press("ctrl+p")
        await person.until(lambda: isinstance(person.app.screen, CommandPalette))
        await person.type("take back")
        await person.sees("Take back the last turn")
        await person.press("enter")
        await person.sees_no("answer 1")
        assert daemon.texts(chat_id) == ["first", "answer 1"]


async def test_ctrl_q_leaves(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit() as person:
        await person.press("ctrl+q")
        await person.until(lambda: not person.app.is_running)
    assert person.app.return_code == 0


async def test_a_terminal_of_60_by_20(daemon: FakeDaemon, sit: Sit) -> None:
    daemon.add_chat("about cats", "cats?", "They purr.")
    async with sit(size=(60, 20)) as person:
        await person.send("Hi")
        await person.sees("● ready", "Hello from the fake.", "fake · fp32")
        await person.idle()
        strip = person.screen.splitlines()[-1]
        assert "25.0 tok/s" in strip
        assert "~1.00 J modelled" in strip
        assert len(strip) <= 60
        # The list takes the room of the conversation and gives it back.
        await person.press("ctrl+b")
        await person.sees("about cats")
        assert "Hello from the fake." not in person.screen
        await person.press("down", "enter")
        await person.sees("They purr.")
        assert not person.chat.query(ChatList)


async def test_the_bottom_is_followed_until_the_person_scrolls(daemon: FakeDaemon, sit: Sit) -> None:
    script = Reply([f"line {n}\n\n" for n in range(40)], hold=30)
    daemon.replies.append(script)
    async with sit(size=(80, 24)) as person:
        await person.send("count")
        await person.sees("line 29")
        await person.press("pageup", "pageup")
        await person.sees_no("line 29")
        above = person.chat.conversation.scroll_y
        script.release.set()
        await person.idle()
        assert "line 39" not in person.screen
        assert person.chat.conversation.scroll_y == above
        for _ in range(6):
            await person.press("pagedown")
        await person.sees("line 39")
        # At the end it follows again.
        daemon.replies.append(Reply(["and on"]))
        await person.send("more")
        await person.sees("and on")


async def test_a_short_conversation_does_not_move_when_paged(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit() as person:
        await person.send("Hi")
        await person.sees("Hello from the fake.")
        await person.idle()
        before = person.screen
        await person.press("pageup")
        await person.pilot.pause()
        assert person.screen == before
