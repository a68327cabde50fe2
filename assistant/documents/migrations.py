"""The schema of the index of documents, as the list of steps that led to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

MIGRATIONS: list[Callable[[sqlite3.Connection], None]] = []
"""MIGRATIONS[i] brings an index from version i to i + 1; released steps are never edited."""


def migration(step: Callable[[sqlite3.Connection], None]) -> Callable[[sqlite3.Connection], None]:
    MIGRATIONS.append(step)
    return step


@migration
def files_and_passages(db: sqlite3.Connection) -> None:
    """Paths are bytes, as the kernel has them. `numbers`: the lines of `body` in the file, where they do not follow one
    another, with commas; `line` is the first of them. The full-text table keeps no copy of the text."""
    db.execute("CREATE TABLE roots (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, added_at REAL NOT NULL) STRICT")
    db.execute(
        """CREATE TABLE files (
            id INTEGER PRIMARY KEY, root_id INTEGER NOT NULL REFERENCES roots(id) ON DELETE CASCADE,
            path BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
            sha256 BLOB, read_at REAL NOT NULL, reason TEXT NOT NULL DEFAULT ''
        ) STRICT"""
    )
    db.execute("CREATE INDEX files_by_root ON files(root_id)")
    db.execute(
        """CREATE TABLE passages (
            id INTEGER PRIMARY KEY, file_id INTEGER NOT NULL REFERENCES files(id) ON DELETE CASCADE,
            name TEXT NOT NULL, heading TEXT NOT NULL, body TEXT NOT NULL,
            line INTEGER, numbers TEXT NOT NULL DEFAULT '', page INTEGER
        ) STRICT"""
    )
    db.execute("CREATE INDEX passages_by_file ON passages(file_id)")
    db.execute(
        """CREATE VIRTUAL TABLE words USING fts5(name, heading, body, content = 'passages', content_rowid = 'id',
            tokenize = 'porter unicode61 remove_diacritics 2')"""
    )
    db.execute("CREATE VIRTUAL TABLE vocabulary USING fts5vocab(words, row)")
    new = "INSERT INTO words(rowid, name, heading, body) VALUES (new.id, new.name, new.heading, new.body)"
    old = (
        "INSERT INTO words(words, rowid, name, heading, body)"
        " VALUES ('delete', old.id, old.name, old.heading, old.body)"
    )
    db.execute(f"CREATE TRIGGER passages_added AFTER INSERT ON passages BEGIN {new}; END")
    db.execute(f"CREATE TRIGGER passages_deleted AFTER DELETE ON passages BEGIN {old}; END")


def migrate(db: sqlite3.Connection) -> None:
    """Bring `db` to the newest version, all steps in one transaction. Raises ValueError if it is newer than we are."""
    version = check(db)
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


def check(db: sqlite3.Connection) -> int:
    """The version of an index. Raises ValueError if it is newer than we are."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise ValueError(f"it has version {version}, this program knows {len(MIGRATIONS)}")
    return version
