"""History and checkpoints: trees, forks, interruption, damage, size cap."""

from __future__ import annotations

import sqlite3
import stat

import numpy as np
import pytest

from assistant import wire
from assistant.errors import HistoryError, RequestError
from assistant.history import Checkpoint, Checkpoints, History
from assistant.history.migrations import MIGRATIONS
from backends.base import State
from tests.synthetic import ONE_HEAD, TINY


@pytest.fixture
def history(tmp_path):
    made = History(tmp_path / "h.sqlite3")
    yield made
    made.close()


def turn(history: History, chat_id: str, parent: str | None, text: str, reply: str) -> tuple[str, str]:
    user, answer = history.add_turn(chat_id, parent, text)
    history.update_reply(answer.id, reply, "complete", "stop", wire.Cost(completion_tokens=3))
    return user.id, answer.id


def test_a_branch_is_the_path_to_its_head(history):
    chat = history.create_chat("t", "be kind")
    _, a1 = turn(history, chat.id, None, "one", "1")
    u2, _ = turn(history, chat.id, a1, "two", "2")
    turn(history, chat.id, a1, "two again", "2b")
    again = history.add_reply(chat.id, u2)
    path = history.path(chat.id, again.id)
    assert [m.content for m in path] == ["one", "1", "two", ""]
    assert (path[2].siblings, path[2].sibling_index) == (2, 0)
    assert (path[3].siblings, path[3].sibling_index) == (2, 1)
    assert path[1].cost.completion_tokens == 3
    assert history.chat(chat.id).head_id == again.id
    assert history.chat(chat.id).messages == 7


def test_the_file_is_private_and_survives(tmp_path):
    file = tmp_path / "h.sqlite3"
    first = History(file)
    chat = first.create_chat("kept")
    turn(first, chat.id, None, "q", "a")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    first.close()
    second = History(file)
    assert [c.title for c in second.chats()] == ["kept"]
    second.close()


def test_what_a_dead_process_left_streaming_is_interrupted(history):
    chat = history.create_chat("t")
    _, reply = history.add_turn(chat.id, None, "q")
    history.update_reply(reply.id, "half a")
    assert history.mark_interrupted() == 1
    message = history.message(reply.id)
    assert (message.status, message.content) == ("interrupted", "half a")
    assert history.mark_interrupted() == 0


def test_a_fork_is_apart(history):
    chat = history.create_chat("t", "sys")
    u1, a1 = turn(history, chat.id, None, "one", "1")
    turn(history, chat.id, a1, "two", "2")
    fork, ids = history.fork(chat.id, a1, "fork")
    assert [m.content for m in history.path(fork.id, fork.head_id)] == ["one", "1"]
    assert set(ids) == {u1, a1}
    assert fork.system == "sys"
    turn(history, fork.id, fork.head_id, "other", "o")
    assert history.chat(chat.id).messages == 4
    history.delete_chat(chat.id)
    assert [m.content for m in history.path(fork.id, history.chat(fork.id).head_id)] == ["one", "1", "other", "o"]


def test_a_message_keeps_its_mood_and_what_a_skill_said_in_a_fork_too(history):
    chat = history.create_chat("t", "")
    user, reply = turn(history, chat.id, None, "one", "1")
    mood = wire.Mood(label="joy", valence="positive", intensity=0.5, confidence=0.7, source="lexicon")
    skill = wire.SkillAnswer(skill="clock", text="noon", quotes=[wire.Quote(file="a.md", text="b", line=3)])
    history.annotate(user, mood=mood)
    history.annotate(reply, skill=skill)
    history.annotate("gone", mood=mood)
    fork, _ = history.fork(chat.id, reply, "fork")
    for chat_id in (chat.id, fork.id):
        asked, answered = history.path(chat_id, history.chat(chat_id).head_id)
        assert (asked.mood, asked.skill) == (mood, None)
        assert (answered.mood, answered.skill) == (None, skill)


def test_what_is_not_there_is_told(history):
    chat, other = history.create_chat("t"), history.create_chat("o")
    _, reply = turn(history, chat.id, None, "q", "a")
    for call in (
        lambda: history.chat("x"), lambda: history.message("x"), lambda: history.path(chat.id, "x"),
        lambda: history.delete_chat("x"), lambda: history.update_chat(other.id, head_id=reply),
        lambda: history.path(other.id, reply),
    ):  # fmt: skip
        with pytest.raises(RequestError) as error:
            call()
        assert error.value.status == 404


def test_chats_are_pinned_first_then_newest(history):
    ids = [history.create_chat(str(i)).id for i in range(3)]
    history.update_chat(ids[0], title="0!")
    history.update_chat(ids[1], pinned=True)
    assert [c.title for c in history.chats()] == ["1", "0!", "2"]


def test_a_damaged_or_newer_database_is_not_touched(tmp_path):
    damaged = tmp_path / "d.sqlite3"
    damaged.write_bytes(b"not a database at all" * 50)
    before = damaged.read_bytes()
    with pytest.raises(HistoryError, match="cannot open"):
        History(damaged)
    assert damaged.read_bytes() == before

    newer = tmp_path / "n.sqlite3"
    db = sqlite3.connect(newer)
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    with pytest.raises(HistoryError, match="version"):
        History(newer)


# --- checkpoints ---


def checkpoint(seed: int, config=TINY, logits: bool = False) -> Checkpoint:
    rng = np.random.default_rng(seed)
    state = State(config, rng.standard_normal(config.state_floats, np.float32))
    return Checkpoint(state, seed, b"\xff." * seed, rng.standard_normal(config.vocab, np.float32) if logits else None)


def reopened(tmp_path, key: str = "m", cap: int = 1 << 30, config=TINY) -> Checkpoints:
    return Checkpoints(tmp_path, config, key, cap)


@pytest.mark.parametrize("logits", [True, False])
@pytest.mark.parametrize("seed", [0, 1, 2, 3])  # header lengths of every remainder
def test_a_checkpoint_survives_the_process_bit_for_bit(tmp_path, seed, logits):
    first = reopened(tmp_path)
    kept = checkpoint(seed, logits=logits)
    first.put("a", kept)
    first.close()
    found = reopened(tmp_path).get("a")
    assert np.array_equal(found.state.data, kept.state.data)
    assert (found.tokens, found.pending) == (kept.tokens, kept.pending)
    assert (found.logits is None) == (not logits)
    assert not logits or np.array_equal(found.logits, kept.logits)
    assert stat.S_IMODE((tmp_path / "a.ckpt").stat().st_mode) == 0o600


def test_foreign_torn_and_lost_checkpoints_are_misses(tmp_path):
    first = reopened(tmp_path)
    first.put("a", checkpoint(1))
    first.close()
    assert reopened(tmp_path, key="another model").get("a") is None
    assert reopened(tmp_path, config=ONE_HEAD, key="another model").get("a") is None
    file = tmp_path / "a.ckpt"
    whole = file.read_bytes()
    for cut in (0, 5, 40, 60, len(whole) - 1):
        file.write_bytes(whole[:cut])
        assert reopened(tmp_path).get("a") is None
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    file.write_bytes(flipped)
    assert reopened(tmp_path).get("a") is None
    assert reopened(tmp_path).get("b") is None


def test_the_oldest_files_go_first_when_the_cap_is_reached(tmp_path):
    size = checkpoint(1).state.data.nbytes
    store = reopened(tmp_path, cap=int(size * 3.5))
    for i in range(6):
        store.put(f"m{i}", checkpoint(i + 1))
    store.close()
    assert {p.stem for p in tmp_path.glob("*.ckpt")} == {"m3", "m4", "m5"}


def test_drop_and_copy(tmp_path):
    store = reopened(tmp_path)
    store.put("a", checkpoint(1))
    store.copy("a", "b")
    store.drop(["a"])
    store.close()
    again = reopened(tmp_path)
    assert again.get("a") is None
    assert again.get("b").tokens == 1


def test_a_checkpoint_is_found_while_it_waits_to_be_written(tmp_path):
    """More conversations at once than memory keeps: none of them may find its state missing."""
    store = Checkpoints(tmp_path, TINY, "key")
    for i in range(80):
        store.put(f"m{i}", Checkpoint(State(TINY), i))
    assert [store.get(f"m{i}").tokens for i in range(80)] == list(range(80))
    store.close()
    assert len(list(tmp_path.glob("*.ckpt"))) == 80
    assert not store._unsaved


def test_a_clock_that_is_set_back_changes_no_order(history, monkeypatch):
    """The newest chat stays the first, and alternatives stay in the order in which they were written."""
    clock = iter([1000.0, 1001.0, 1002.0, *(500.0 + i for i in range(100))])
    monkeypatch.setattr("assistant.history.store.time.time", lambda: next(clock))
    old = history.create_chat("before")
    new = history.create_chat("after the clock was set back")
    user, first = history.add_turn(new.id, None, "hello")
    second = history.add_reply(new.id, user.id)
    assert [c.id for c in history.chats()] == [new.id, old.id]
    assert history.message(first.id).sibling_index == 0
    assert history.message(second.id).sibling_index == 1
    assert [m.siblings for m in history.path(new.id, second.id)] == [1, 2]
    history.update_chat(old.id, title="touched last")
    assert [c.id for c in history.chats()] == [old.id, new.id]
