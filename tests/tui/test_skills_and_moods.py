"""What code found out and what a message sounds like: live, stored, in lines, and quotes that open in an editor."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant import paths, wire
from assistant.client import Client
from assistant.tui import editor
from assistant.tui.app import ChatApp
from assistant.tui.plain import Plain
from assistant.tui.widgets.mood_tag import MoodTag
from assistant.tui.widgets.quote_line import QuoteLine
from assistant.tui.widgets.skill_mark import SkillMark
from tests.fake_daemon import FakeDaemon, Reply

from .conftest import Sit

SAD = wire.Mood(label="sad", valence="negative", intensity=0.6, confidence=0.8, source="lexicon")


def answer(file: Path) -> wire.SkillAnswer:
    quote = wire.Quote(file=str(file), text="Water the ferns on Monday.", heading="Plants", line=3)
    return wire.SkillAnswer(skill="documents", text="Monday.", quotes=[quote])


async def test_a_mood_is_a_word_and_a_bar_and_absent_without_one(daemon: FakeDaemon, sit: Sit) -> None:
    daemon.replies += [Reply(mood=SAD), Reply()]
    async with sit() as person:
        await person.send("My cat died")
        await person.sees("sad ▰▰▰▱▱", "Hello from the fake")
        await person.send("Thanks")
        await person.idle()
        assert len(person.chat.query(MoodTag)) == 1
        chat_id = next(iter(daemon.chats))
        await person.chat.dialogue.open(None)
        await person.chat.dialogue.open(chat_id)  # as it is stored
        await person.sees("sad ▰▰▰▱▱")


def test_moods_in_words() -> None:
    from assistant.tui.widgets.mood_tag import name, spoken

    assert spoken(SAD) == "Sounds clearly sad."
    unsure = wire.Mood(label="happy", valence="positive", intensity=0.1, confidence=0.3, source="lexicon")
    assert name(unsure) == "perhaps happy"
    assert spoken(unsure) == "Sounds faintly perhaps happy."


@pytest.mark.parametrize("how", ["enter", "o", "click"])
async def test_a_skills_answer_is_marked_and_its_quote_opens(
    daemon: FakeDaemon, sit: Sit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    file = tmp_path / "garden.md"
    file.write_text("# Garden\n## Plants\nWater the ferns on Monday.\n")
    opened: list[tuple[str, int | None]] = []
    monkeypatch.setattr(editor, "show", lambda _app, name, line=None: opened.append((name, line)))
    daemon.replies.append(Reply(["Monday."], skill=answer(file)))
    async with sit() as person:
        await person.send("When do I water the ferns?")
        await person.sees("▣ documents · exact, not written by the model", "~/garden.md:3 · Plants", "Water the ferns")
        await person.idle()
        assert len(person.chat.query(SkillMark)) == 1  # told live and again with the end
        if how == "click":
            await person.pilot.click(QuoteLine, offset=(4, 0))
        elif how == "o":
            await person.press("f8", "o")
        else:
            person.chat.query_one(QuoteLine).focus()
            await person.press("enter")
        await person.until(lambda: opened == [(str(file), 3)])


async def test_a_file_that_is_gone_is_told(daemon: FakeDaemon, sit: Sit, tmp_path: Path) -> None:
    daemon.replies.append(Reply(["Monday."], skill=answer(tmp_path / "gone.md")))
    async with sit() as person:
        await person.send("When?")
        await person.sees("gone.md:3")
        await person.idle()
        person.chat.query_one(QuoteLine).focus()
        await person.press("enter")
        await person.sees("the file is not there any more")


def test_editors_are_asked_for_a_line_in_their_own_way() -> None:
    assert editor.at("vim", "/f", 3) == ["+3", "/f"]
    assert editor.at("hx", "/f", 3) == ["/f:3"]
    assert editor.at("code", "/f", 3) == ["--goto", "/f:3"]
    assert editor.at("unheard-of", "/f", 3) == ["/f"]
    assert editor.at("vim", "/f", None) == ["/f"]


async def test_lines_of_text_tell_the_same(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.replies.append(Reply(["Monday."], mood=SAD, skill=answer(Path("/home/me/garden.md"))))
    async with Client(paths.socket_path()) as client:
        plain = Plain(client)
        await plain._send("When?")
        await plain._read_out()
    out = capsys.readouterr().out
    for text in ("[Exact, by the skill documents; not written by the model.]", "[Your message: Sounds clearly sad.]",
                 "[From /home/me/garden.md line 3: Water the ferns on Monday.]"):  # fmt: skip
        assert out.count(text) == 2, out  # live, and when read out


async def test_the_header_tells_of_the_queue_and_of_the_voice(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit() as person:
        await person.sees("● ready")
        assert "queue" not in person.screen
        daemon.queued = 2
        await person.sees("● ready · 2 in the queue")
        person.chat.header.voice = "listening"
        await person.sees("2 in the queue · listening")


async def test_a_chosen_theme_is_kept_and_nothing_else_changes(daemon: FakeDaemon, sit: Sit) -> None:
    file = paths.config_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('# mine\n[sampling]\ntemperature = 0.7  # warm\n\n[tui]\ntheme = "textual-dark"  # for now\n')
    async with sit() as person:
        await person.sees("● ready")
        await person.press("ctrl+p")
        await person.pilot.pause()
        await person.type("theme")
        await person.sees("Change the colours")
        await person.press("enter")
        await person.pilot.pause()
        await person.type("nord")
        await person.sees("nord")
        await person.press("enter")
        await person.until(lambda: person.app.theme == "nord")
        await person.pilot.pause()
    assert file.read_text() == ('# mine\n[sampling]\ntemperature = 0.7  # warm\n\n[tui]\ntheme = "nord"  # for now\n')
    assert isinstance(person.app, ChatApp)
