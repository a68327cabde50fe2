"""The history database's schema, as the list of steps that led to it."""

from __future__ import annotations

import datetime
import json
import sqlite3
from collections.abc import Callable

MIGRATIONS: list[Callable[[sqlite3.Connection], None]] = []
"""MIGRATIONS[i] brings a database from version i to i + 1; released steps are never edited."""


def migration(step: Callable[[sqlite3.Connection], None]) -> Callable[[sqlite3.Connection], None]:
    MIGRATIONS.append(step)
    return step


@migration
def chats_and_messages(db: sqlite3.Connection) -> None:
    db.execute(
        """CREATE TABLE chats (
            id TEXT PRIMARY KEY, title TEXT NOT NULL, system TEXT NOT NULL DEFAULT '',
            created_at REAL NOT NULL, updated_at REAL NOT NULL, pinned INTEGER NOT NULL DEFAULT 0,
            head_id TEXT
        ) STRICT"""
    )
    db.execute(  # a tree: parent_id is NULL for a first message; cost is the wire.Cost as JSON
        """CREATE TABLE messages (
            id TEXT PRIMARY KEY, chat_id TEXT NOT NULL REFERENCES chats(id) ON DELETE CASCADE,
            parent_id TEXT, role TEXT NOT NULL, content TEXT NOT NULL, status TEXT NOT NULL,
            finish_reason TEXT, created_at REAL NOT NULL, cost TEXT
        ) STRICT"""
    )
    db.execute("CREATE INDEX messages_by_parent ON messages(chat_id, parent_id, created_at)")
    db.execute("CREATE INDEX messages_streaming ON messages(status) WHERE status = 'streaming'")


@migration
def costs_by_day(db: sqlite3.Connection) -> None:
    """Sums by day (see assistant.history.ledger), filled from the answers there are."""
    counts = ["prompt_tokens", "cached_tokens", "completion_tokens", "macs", "bytes_moved"]
    sums = [
        "elapsed_s",
        "queue_s",
        "prefill_s",
        "decode_s",
        "sample_s",
        "text_s",
        "other_s",
        "store_s",
        "device_s",
        "energy_j",
    ]
    db.execute(
        f"""CREATE TABLE cost_days (
            day TEXT NOT NULL, source TEXT NOT NULL, backend TEXT NOT NULL, precision TEXT NOT NULL,
            basis TEXT NOT NULL, energy_basis TEXT NOT NULL, answers INTEGER NOT NULL,
            {", ".join(f"{c} INTEGER NOT NULL" for c in counts)}, {", ".join(f"{s} REAL NOT NULL" for s in sums)},
            PRIMARY KEY (day, source, backend, precision, basis, energy_basis)
        ) STRICT, WITHOUT ROWID"""
    )
    # the day that an answer's cost was added to; NULL: not added (no cost, or a fork's copy of an answer)
    db.execute("ALTER TABLE messages ADD COLUMN day TEXT")
    names, seen = [*counts, *sums], set()
    rows = db.execute("SELECT id, created_at, cost FROM messages WHERE cost IS NOT NULL ORDER BY rowid").fetchall()
    for message_id, created_at, text in rows:
        if (created_at, text) in seen:
            continue
        seen.add((created_at, text))
        cost = json.loads(text)
        cost.setdefault("elapsed_s", sum(cost.get(k, 0.0) for k in ("queue_s", "prefill_s", "decode_s", "sample_s")))
        day = datetime.datetime.fromtimestamp(created_at).astimezone().date().isoformat()
        key = (day, "chat", cost.get("backend", ""), cost.get("precision", ""), cost.get("basis", "modelled"),
               cost.get("energy_basis", "modelled"))  # fmt: skip
        db.execute(
            f"INSERT INTO cost_days VALUES (?,?,?,?,?,?,1{',?' * len(names)}) ON CONFLICT DO UPDATE SET"
            f" answers = answers + 1, {', '.join(f'{n} = {n} + excluded.{n}' for n in names)}",
            (*key, *(cost.get(n, 0) for n in names)),
        )
        db.execute("UPDATE messages SET day = ? WHERE id = ?", (day, message_id))
    db.execute("CREATE INDEX messages_by_day ON messages(day) WHERE day IS NOT NULL")


@migration
def responses(db: sqlite3.Connection) -> None:
    """A hidden chat holds what /v1/responses stores; a response is a reply in it, and what was asked for with it."""
    db.execute("ALTER TABLE chats ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0")
    db.execute(
        """CREATE TABLE responses (
            message_id TEXT PRIMARY KEY REFERENCES messages(id) ON DELETE CASCADE, first_id TEXT NOT NULL,
            request TEXT NOT NULL
        ) STRICT"""
    )


@migration
def words_of_messages(db: sqlite3.Connection) -> None:
    """The full-text index behind assistant.history.search; a reply enters it when it is written to its end.

    It refers to rowids, which a VACUUM may change: whoever adds one fills the index anew.
    """
    try:
        db.execute("CREATE VIRTUAL TABLE words USING fts5(content, tokenize = 'unicode61 remove_diacritics 2')")
    except sqlite3.OperationalError:  # an SQLite without FTS5: the search reads the messages themselves
        return
    db.execute("INSERT INTO words(rowid, content) SELECT rowid, content FROM messages WHERE status != 'streaming'")
    for when in ("INSERT", "UPDATE OF content, status"):
        name = when.partition(" ")[0].lower()
        db.execute(
            f"""CREATE TRIGGER words_{name} AFTER {when} ON messages WHEN new.status != 'streaming' BEGIN
                DELETE FROM words WHERE rowid = new.rowid;
                INSERT INTO words(rowid, content) VALUES (new.rowid, new.content); END"""
        )
    db.execute(
        """CREATE TRIGGER words_delete AFTER DELETE ON messages BEGIN
            DELETE FROM words WHERE rowid = old.rowid; END"""
    )


@migration
def moods_and_skills(db: sqlite3.Connection) -> None:
    """What a user's message sounds like (wire.Mood), and what a skill said in a reply (wire.SkillAnswer), as JSON."""
    db.execute("ALTER TABLE messages ADD COLUMN mood TEXT")
    db.execute("ALTER TABLE messages ADD COLUMN skill TEXT")


def migrate(db: sqlite3.Connection) -> None:
    """Bring `db` to the newest version, all steps in one transaction. Raises ValueError if it is newer than we are."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise ValueError(f"the database has version {version}, this program knows {len(MIGRATIONS)}")
    if version == len(MIGRATIONS):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        for step in MIGRATIONS[version:]:
            step(db)
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
