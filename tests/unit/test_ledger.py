"""Costs in the history: messages = session = day, forks cost nothing, deleted chats leave only sums."""

from __future__ import annotations

import datetime
import sqlite3

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant import wire
from assistant.history import History, ledger
from assistant.history.costs import cost_report
from assistant.history.migrations import MIGRATIONS
from assistant.meter import prices

amounts = st.floats(0, 1e3)
costs = st.builds(
    wire.Cost, prompt_tokens=st.integers(0, 99), cached_tokens=st.integers(0, 99), completion_tokens=st.integers(0, 99),
    elapsed_s=amounts, queue_s=amounts, prefill_s=amounts, decode_s=amounts, sample_s=amounts, text_s=amounts,
    other_s=st.floats(-1e-9, 1), store_s=amounts, device_s=amounts, energy_j=amounts, macs=st.integers(0, 10**14),
    bytes_moved=st.integers(0, 10**14), backend=st.sampled_from(["cpu", "onnx"]), precision=st.just("int8"),
    energy_basis=st.sampled_from(["measured", "modelled"]),
)  # fmt: skip


def same(a: wire.CostTotals, b: wire.CostTotals) -> None:
    for name in ("answers", *ledger.SUMMED):
        mine, theirs = getattr(a, name), getattr(b, name)
        if isinstance(mine, dict):
            mine, theirs = ({k: v for k, v in x.items() if v > 1e-6} for x in (mine, theirs))
        assert mine == pytest.approx(theirs, rel=1e-9, abs=1e-6), name


def answered(history: History, chat_id: str, cost: wire.Cost | None, status: wire.MessageStatus = "complete") -> str:
    _, reply = history.add_turn(chat_id, None, "q")
    history.update_reply(reply.id, "a", status, "stop" if status == "complete" else None, cost)
    return reply.id


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2), costs), max_size=12), st.lists(costs, max_size=4), st.booleans())
def test_messages_sum_up_to_sessions_and_sessions_to_the_day(chatted, asked, delete):
    history = History(None)
    chats = [history.create_chat(f"chat {i}") for i in range(3)]
    for i, cost in chatted:
        answered(history, chats[i].id, cost)
    for cost in asked:
        history.add_cost(cost)
    everything = ledger.totals_of_costs([*(c for _, c in chatted), *asked])
    by_chat = {chat.id: totals for chat, totals in history.cost_of_chats()}
    for i, chat in enumerate(chats):
        same(by_chat.get(chat.id, wire.CostTotals()), ledger.totals_of_costs(c for k, c in chatted if k == i))
    if delete:
        history.delete_chat(chats[0].id)
    table = prices.load()
    for by in ("day", "backend", "session"):
        report = cost_report(history, by, None, table, [])
        same(report.total, everything)
        parts = wire.CostTotals()
        for row in report.rows:
            for name in ("answers", *ledger.SUMMED):
                value = getattr(row.totals, name)
                if isinstance(value, dict):
                    for basis, amount in value.items():
                        getattr(parts, name)[basis] = getattr(parts, name).get(basis, 0.0) + amount
                else:
                    setattr(parts, name, getattr(parts, name) + value)
        if everything.other_s >= 0 or by != "session":
            same(parts, everything)
    history.close()


@pytest.fixture
def history():
    made = History(None)
    yield made
    made.close()


COST = wire.Cost(completion_tokens=3, energy_j=1.5, backend="cpu", precision="int8")


def total(history: History, since: str | None = None) -> wire.CostTotals:
    return ledger.totals_of(history.cost_rows(since))


def test_a_deleted_chat_leaves_its_day_and_nothing_that_names_it(history):
    chat = history.create_chat("a secret title")
    answered(history, chat.id, COST)
    history.delete_chat(chat.id)
    assert total(history).completion_tokens == 3
    assert history.cost_of_chats() == []
    rows = cost_report(history, "session", None, prices.load(), []).rows
    assert [(r.key, r.label) for r in rows] == [("", "(deleted chats)")]
    columns = {c[1] for c in history._rows("PRAGMA table_info(cost_days)")}
    assert not columns & {"chat_id", "message_id", "title", "created_at"}


def test_a_fork_has_cost_nothing(history):
    chat = history.create_chat("t")
    reply = answered(history, chat.id, COST)
    fork, ids = history.fork(chat.id, reply, "fork")
    assert total(history).answers == 1
    assert [c.id for c, _ in history.cost_of_chats()] == [chat.id]
    assert history.message(ids[reply]).cost.completion_tokens == 3, "its copy still shows what it cost"
    answered(history, fork.id, COST)
    assert total(history).answers == 2


def test_an_answer_is_counted_once_and_only_when_it_is_complete(history):
    chat = history.create_chat("t")
    reply = answered(history, chat.id, COST, status="streaming")
    assert total(history).answers == 0
    for _ in range(2):
        history.update_reply(reply, "a", "cancelled", "cancelled", COST)
    assert total(history).answers == 1


def test_what_a_killed_daemon_had_spent_counts_as_of_its_last_save(history):
    chat = history.create_chat("t")
    answered(history, chat.id, COST, status="streaming")
    answered(history, chat.id, None, status="streaming")
    assert history.mark_interrupted() == 2
    assert (total(history).answers, total(history).completion_tokens) == (1, 3)
    assert history.mark_interrupted() == 0
    assert total(history).answers == 1


def test_an_answer_of_a_chat_that_was_deleted_meanwhile_counts(history):
    chat = history.create_chat("t")
    _, reply = history.add_turn(chat.id, None, "q")
    history.delete_chat(chat.id)
    history.update_reply(reply.id, "a", "cancelled", "cancelled", COST)
    assert total(history).answers == 1


def test_since_counts_whole_days(history):
    with history._write() as db:
        for day in ("2026-11-01", "2026-11-02", "2026-11-03"):
            ledger.add(db, day, "api", COST)
    assert total(history, "2026-11-02").answers == 2
    assert [r.key for r in cost_report(history, "day", None, prices.load(), []).rows] == [
        "2026-11-03", "2026-11-02", "2026-11-01",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "day"),
    [("today", "2026-11-23"), ("yesterday", "2026-11-22"), ("1d", "2026-11-23"), ("7d", "2026-11-17"),
     ("2w", "2026-11-10"), ("2026-10", "2026-10-01"), ("2026-10-05", "2026-10-05"), ("all", None), (None, None)],
)  # fmt: skip
def test_days_in_words(text, day):
    assert ledger.since_day(text, datetime.date(2026, 11, 23)) == day


@pytest.mark.parametrize("text", ["tomorow", "7x", "2026-13", "2026-02-30", "-1d", ""])
def test_what_is_no_day(text):
    if text:
        with pytest.raises(ValueError, match="is no day"):
            ledger.since_day(text)


def test_an_old_history_is_filled_in(tmp_path):
    """Version 1 knew costs of messages only, and forks had copied them."""
    file = tmp_path / "old.sqlite3"
    db = sqlite3.connect(file, isolation_level=None)
    MIGRATIONS[0](db)
    db.execute("PRAGMA user_version = 1")
    old = msgspec.json.encode({"completion_tokens": 4, "decode_s": 0.5, "energy_j": 2.0, "backend": "cpu"}).decode()
    for chat in ("a", "fork"):
        db.execute("INSERT INTO chats(id, title, created_at, updated_at) VALUES (?, 't', 1.0, 1.0)", (chat,))
        db.execute("INSERT INTO messages VALUES (?, ?, NULL, 'assistant', 'x', 'complete', 'stop', 1e9, ?)",
                   (f"m{chat}", chat, old))  # fmt: skip
    db.close()
    history = History(file)
    assert (total(history).answers, total(history).energy_j) == (1, {"modelled": 2.0})
    assert total(history).elapsed_s == 0.5
    assert [c.id for c, _ in history.cost_of_chats()] == ["a"]
    history.close()
