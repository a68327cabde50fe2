"""The history database's schema, as the list of steps that led to it."""

from __future__ import annotations

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
