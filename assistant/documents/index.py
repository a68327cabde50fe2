"""The index on disk: one SQLite file, opened read-only by everyone who asks and for writing by one at a time."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from assistant import paths
from assistant.documents.migrations import MIGRATIONS, check, migrate
from assistant.documents.passages import Passage
from assistant.errors import DocumentsError

NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY)  # the low byte of the error code
WAIT_S = 5.0
READERS_PATIENCE_S = 1.0
REBUILD = "delete it and add your documents again: nothing but the index is lost"


@dataclass(frozen=True, slots=True)
class File:
    """A file that was read, or was not and why. `passages` is 0 for those."""

    id: int
    root: Path
    path: Path
    kind: str
    size: int
    mtime_ns: int
    sha256: bytes | None
    read_at: float
    reason: str
    passages: int = 0


@dataclass(frozen=True, slots=True)
class Root:
    id: int
    path: Path
    files: int
    skipped: int
    passages: int
    bytes: int


def index_file() -> Path:
    """Everything that is kept of documents, with `-wal` and `-shm` beside it while it is in use."""
    return paths.data_dir() / "documents" / "index.sqlite3"


class Index:
    """An open index. Use `reading` and `writing` to get one."""

    def __init__(self, db: sqlite3.Connection, file: Path | None):
        self.db, self.file = db, file

    def count(self) -> int:
        """How many passages there are, about: the largest id."""
        return self.db.execute("SELECT ifnull(max(id), 0) FROM passages").fetchone()[0]

    def roots(self) -> list[Root]:
        rows = self.db.execute(
            """SELECT r.id, r.path, count(f.id) FILTER (WHERE f.reason = ''), count(f.id) FILTER (WHERE f.reason <> ''),
                      ifnull(sum((SELECT count(*) FROM passages p WHERE p.file_id = f.id)), 0),
                      ifnull(sum(f.size) FILTER (WHERE f.reason = ''), 0)
               FROM roots r LEFT JOIN files f ON f.root_id = r.id GROUP BY r.id ORDER BY r.path"""
        )
        return [Root(row[0], _path(row[1]), *row[2:]) for row in rows]

    def files(self, root_id: int | None = None) -> list[File]:
        rows = self.db.execute(
            """SELECT f.id, r.path, f.path, f.kind, f.size, f.mtime_ns, f.sha256, f.read_at, f.reason,
                      (SELECT count(*) FROM passages p WHERE p.file_id = f.id)
               FROM files f JOIN roots r ON r.id = f.root_id WHERE ?1 IS NULL OR f.root_id = ?1 ORDER BY f.path""",
            (root_id,),
        )
        return [File(row[0], _path(row[1]), _path(row[2]), *row[3:]) for row in rows]

    # --- writing ---

    def add_root(self, path: Path, now: float) -> int:
        row = self.db.execute("SELECT id FROM roots WHERE path = ?", (os.fsencode(path),)).fetchone()
        if row:
            return row[0]
        return self.db.execute("INSERT INTO roots(path, added_at) VALUES (?, ?)", (os.fsencode(path), now)).lastrowid

    def put(self, file: File, root_id: int, name: str, passages: list[Passage]) -> None:
        """A file with its passages, in the place of what there was of it, in one transaction."""
        with self.transaction():
            self._delete(os.fsencode(file.path))
            row = self.db.execute(
                "INSERT INTO files(root_id, path, kind, size, mtime_ns, sha256, read_at, reason)"
                " VALUES (?,?,?,?,?,?,?,?)",
                (root_id, os.fsencode(file.path), file.kind, file.size, file.mtime_ns, file.sha256, file.read_at,
                 _storable(file.reason)),
            )  # fmt: skip
            self.db.executemany(
                "INSERT INTO passages(file_id, name, heading, body, line, numbers, page) VALUES (?,?,?,?,?,?,?)",
                [(row.lastrowid, _storable(name), _storable(p.heading), _storable(p.body), *_lines(p), p.page)
                 for p in passages],
            )  # fmt: skip

    def touch(self, file: File) -> None:
        """The same content as before, with another time on it."""
        self.db.execute("UPDATE files SET size = ?, mtime_ns = ?, read_at = ? WHERE id = ?",
                        (file.size, file.mtime_ns, file.read_at, file.id))  # fmt: skip

    def delete(self, path: Path) -> None:
        with self.transaction():
            self._delete(os.fsencode(path))

    def delete_root(self, root_id: int) -> None:
        with self.transaction():
            ids = "SELECT id FROM files WHERE root_id = ?"
            self.db.execute(f"DELETE FROM passages WHERE file_id IN ({ids})", (root_id,))
            self.db.execute("DELETE FROM roots WHERE id = ?", (root_id,))

    def _delete(self, path: bytes) -> None:
        row = self.db.execute("SELECT id FROM files WHERE path = ?", (path,)).fetchone()
        if row:  # a cascade would fire no triggers here
            self.db.execute("DELETE FROM passages WHERE file_id = ?", row)
            self.db.execute("DELETE FROM files WHERE id = ?", row)

    def tidy(self) -> None:
        """Leave no byte of deleted text in the file, and merge the full-text index into one piece."""
        self.db.execute("INSERT INTO words(words) VALUES ('optimize')")
        self.db.execute("VACUUM")
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.db.execute("COMMIT")
        except BaseException:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise


@contextmanager
def reading(file: Path | None = None) -> Iterator[Index | None]:
    """The index as it is now; None if there is none (one stat). Raises DocumentsError if it cannot be read."""
    file = file or index_file()
    if not file.exists():
        yield None
        return
    with _explained(file):
        # Not to be created here, nor changed; its write-ahead log may still have to be made.
        uri = f"file:{_quoted(file)}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=READERS_PATIENCE_S, isolation_level=None)) as db:
            if check(db) != len(MIGRATIONS):
                raise ValueError("it was made by an earlier version; `assistant docs update` renews it")
            yield Index(db, file)


@contextmanager
def writing(file: Path | None = None) -> Iterator[Index]:
    """The index to change; made if there is none. Raises DocumentsError, also if somebody else writes."""
    file = file or index_file()
    paths.ensure_private_dir(file.parent)
    handle = os.open(file.with_suffix(".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            why = "another `assistant docs` is at work"
            raise DocumentsError("the index is in use", where=file, why=why, hint="wait for it to end") from error
        with _explained(file):
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
            with closing(sqlite3.connect(file, timeout=WAIT_S, isolation_level=None)) as db:
                _require_fts5(db)
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = NORMAL")  # it can be made again
                db.execute("PRAGMA foreign_keys = ON")
                db.execute("PRAGMA secure_delete = ON")
                migrate(db)
                yield Index(db, file)
                empty = not db.execute("SELECT 1 FROM roots LIMIT 1").fetchone()
            if empty:
                for suffix in ("", "-wal", "-shm"):
                    Path(f"{file}{suffix}").unlink(missing_ok=True)
                with suppress(OSError):
                    file.with_suffix(".lock").unlink()
                    file.parent.rmdir()
    finally:
        os.close(handle)


def in_memory() -> Index:
    """An index that is gone with the process, for measurements."""
    db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _require_fts5(db)
    migrate(db)
    return Index(db, None)


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, ValueError) as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        hint = None
        if code in NO_ROOM:
            hint = "check free space and permissions; nothing was half-written"
        elif code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            hint = REBUILD
        raise DocumentsError("cannot use the index of documents", where=file, why=error, hint=hint) from error


def _require_fts5(db: sqlite3.Connection) -> None:
    try:
        db.execute("CREATE VIRTUAL TABLE temp.probe USING fts5(x)")
        db.execute("DROP TABLE temp.probe")
    except sqlite3.OperationalError as error:
        raise DocumentsError(
            "this Python's SQLite cannot search text",
            why=f"SQLite {sqlite3.sqlite_version} was built without FTS5 ({error})",
            hint="use a Python whose sqlite3 has FTS5, as those of Debian, Fedora, Homebrew and python.org have",
        ) from error  # fmt: skip


def _lines(passage: Passage) -> tuple[int | None, str]:
    if passage.page is not None:
        return None, ""
    first = passage.numbers[0]
    follow = passage.numbers == tuple(range(first, first + len(passage.numbers)))
    return first, "" if follow else ",".join(map(str, passage.numbers))


def _storable(text: str) -> str:
    """A name with odd bytes as something that can be shown."""
    return text.encode("utf-8", "replace").decode()


def _path(raw: bytes) -> Path:
    return Path(os.fsdecode(raw))


def _quoted(file: Path) -> str:
    from urllib.parse import quote

    return quote(os.fsencode(file))
