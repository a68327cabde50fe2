"""Search, tree, export and revision of the history."""

from __future__ import annotations

import json

import pytest

from assistant import wire
from assistant.history import History, export, search, tree
from assistant.history.migrations import MIGRATIONS, words_of_messages


@pytest.fixture
def history() -> History:
    return History(None)


def turn(history: History, chat_id: str, parent_id: str | None, text: str, answer: str) -> wire.Message:
    _, reply = history.add_turn(chat_id, parent_id, text)
    history.update_reply(reply.id, answer, "complete", "stop", wire.Cost(completion_tokens=2, energy_j=1.0))
    return history.message(reply.id)


def plain(hits: list[wire.SearchHit]) -> list[str]:
    return [hit.snippet.replace(search.HIT, "[").replace(search.END, "]") for hit in hits]


def test_words_are_found_wherever_they_stand_and_whatever_their_accents(history: History) -> None:
    chat = history.create_chat("cafés")
    turn(history, chat.id, None, "Which café is open?", "The CAFE at the corner, and the tearoom.")
    assert sorted(plain(search.search(history, "cafe"))) == [
        "The [CAFE] at the corner, and the tearoom.", "Which [café] is open?",
    ]  # fmt: skip
    assert plain(search.search(history, "corner caf")) == ["The [CAFE] at the [corner], and the tearoom."]
    assert plain(search.search(history, "room")) == ["The CAFE at the corner, and the tea[room]."]
    assert search.search(history, "corner nothing") == []
    assert search.search(history, "  ") == []
    for hostile in ('"', "'; DROP TABLE chats; --", "NEAR(", "a* OR b", "%", "_", "\\"):
        search.search(history, hostile)


def test_only_one_chat_and_only_what_is_still_there(history: History) -> None:
    one, two = history.create_chat("one"), history.create_chat("two")
    for chat in (one, two):
        turn(history, chat.id, None, "hello", "hello yourself")
    assert len(search.search(history, "hello")) == 4
    assert {h.chat_id for h in search.search(history, "hello", two.id)} == {two.id}
    history.delete_chat(two.id)
    assert {h.chat_id for h in search.search(history, "hello")} == {one.id}


def test_hidden_chats_stay_hidden(history: History) -> None:
    chat = history.create_chat("", hidden=True)
    turn(history, chat.id, None, "stored by a program", "yes")
    assert search.search(history, "stored") == search.search(history, "tored") == []


def test_a_reply_is_found_when_it_is_complete_and_as_it_is_then(history: History) -> None:
    chat = history.create_chat("")
    _, reply = history.add_turn(chat.id, None, "question")
    history.update_reply(reply.id, "half an answ")
    history.update_reply(reply.id, "half an answer")
    history.update_reply(reply.id, "half an answer, whole", "complete", "stop")
    assert plain(search.search(history, "half")) == ["[half] an answer, whole"]


def test_a_hit_on_another_branch_brings_its_end_along(history: History) -> None:
    chat = history.create_chat("")
    first = turn(history, chat.id, None, "start", "ok")
    old = turn(history, chat.id, first.id, "left", "old answer")
    new = turn(history, chat.id, first.id, "right", "new answer")
    (hit,) = search.search(history, "left")
    assert hit.head_id == old.id
    (hit,) = search.search(history, "right")
    assert hit.head_id == new.id
    (hit,) = search.search(history, "start")
    assert hit.head_id == new.id  # the branch that is shown


def test_the_index_is_filled_for_a_history_that_had_none(tmp_path) -> None:
    file = tmp_path / "h.sqlite3"
    history = History(file)
    chat = history.create_chat("")
    turn(history, chat.id, None, "before the index", "yes")
    with history._write() as db:
        for name in ("words_insert", "words_update", "words_delete"):
            db.execute(f"DROP TRIGGER {name}")
        db.execute("DROP TABLE words")
        for column in ("mood", "skill"):  # of a later migration
            db.execute(f"ALTER TABLE messages DROP COLUMN {column}")
        db.execute(f"PRAGMA user_version = {MIGRATIONS.index(words_of_messages)}")
    history.close()
    assert len(search.search(History(file), "index")) == 1


def test_the_tree_has_every_branch_and_its_newest_end(history: History) -> None:
    chat = history.create_chat("")
    first = turn(history, chat.id, None, "q", "a")
    deep = turn(history, chat.id, first.id, "q2", "a2")
    other = history.add_reply(chat.id, first.parent_id)
    deeper = turn(history, chat.id, deep.id, "q3", "a3")
    found = {node.preview: node for node in tree.tree(history, chat.id).nodes}
    assert found["q"].head_id == found["a"].head_id == found["q2"].head_id == deeper.id
    assert found[""].head_id == other.id
    assert found["a"].parent_id == found[""].parent_id == found["q"].id


def test_export_for_people_and_for_programs(history: History) -> None:
    chat = history.create_chat("A title", "Be kind.")
    first = turn(history, chat.id, None, "question", "**answer**")
    history.add_reply(chat.id, first.parent_id)
    history.update_chat(chat.id, head_id=first.id)
    text = export.markdown(history, chat.id)
    assert text.startswith("# A title\n")
    for part in ("> Be kind.", "## You\n\nquestion", "## Assistant\n\n**answer**", "2 tokens", "1 J modelled"):
        assert part in text
    whole = json.loads(export.as_json(history, chat.id))
    assert (whole["format"], whole["chat"]["title"], len(whole["messages"])) == (1, "A title", 3)


def test_the_revision_grows_with_every_change_only(history: History) -> None:
    before = search.revision(history)
    history.chats()
    assert search.revision(history) == before
    history.create_chat("")
    assert search.revision(history) > before
