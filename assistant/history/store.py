"""Chats and their message trees in SQLite: every acknowledged message is on disk before it is answered."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from assistant import wire
from assistant.errors import HistoryError, RequestError, StorageFull
from assistant.history import ledger
from assistant.history.migrations import migrate

T = TypeVar("T")

_CHAT = "SELECT c.*, (SELECT count(*) FROM messages m WHERE m.chat_id = c.id) AS n FROM chats c"


NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR)  # the low byte of the error code
CHECK_LIMIT_BYTES = 256 << 20
"""A larger database is not read through at every start."""


def new_id() -> str:
    """16 hex digits; collisions within one user's history are not a concern at 64 bits."""
    return secrets.token_hex(8)


class History:
    """The history database. One writer at a time; safe to call from any thread."""

    def __init__(self, file: Path | None):
        """`None` keeps everything in memory. Raises HistoryError if the file cannot be opened or is damaged."""
        self._file, self._lock = file, threading.RLock()
        try:
            if file:
                os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
            self._db = sqlite3.connect(file or ":memory:", check_same_thread=False, isolation_level=None, timeout=5)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # an acknowledged message survives a power cut
            self._db.execute("PRAGMA foreign_keys = ON")
            migrate(self._db)
        except (sqlite3.Error, OSError, ValueError) as error:
            raise HistoryError(
                "cannot open the history",
                where=file,
                why=error,
                hint="make its folder writable, or move a damaged file away to start afresh (nothing in it is changed);"
                " with `[history] enabled = false` the daemon runs without one",
            ) from error

    def verify(self) -> None:
        """Read the database through once, some 10 ms for each 10 MB. Raises HistoryError if it is damaged."""
        try:
            size = self._file.stat().st_size if self._file else 0
            rows = self._rows("PRAGMA quick_check(1)") if size <= CHECK_LIMIT_BYTES else []
            found = [row[0] for row in rows if row[0] != "ok"]
        except HistoryError as error:
            found = [error.why]
        if found:
            raise HistoryError(
                "the history is damaged",
                where=self._file,
                why=found[0],
                hint="nothing in it was changed: restore a backup, or save what can be read with"
                " `sqlite3 history.sqlite3 .recover`, or move it and its -wal file away to start afresh",
            )

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                full = getattr(error, "sqlite_errorcode", 0) & 0xFF in NO_ROOM
                raise (StorageFull if full else HistoryError)(
                    "cannot write the history",
                    where=self._file,
                    why=error,
                    hint="check free space and permissions; nothing was half-written",
                ) from error

    def _rows(self, sql: str, *args: object) -> list[sqlite3.Row]:
        with self._lock:
            try:
                return self._db.execute(sql, args).fetchall()
            except sqlite3.Error as error:
                raise HistoryError("cannot read the history", where=self._file, why=error) from error

    # --- chats ---

    def create_chat(self, title: str, system: str = "", hidden: bool = False) -> wire.Chat:
        """A hidden chat is left out of the list."""
        chat_id, now = new_id(), time.time()
        with self._write() as db:
            changed = _next_change(db, now)
            db.execute(
                "INSERT INTO chats(id, title, system, created_at, updated_at, hidden) VALUES (?,?,?,?,?,?)",
                (chat_id, title, system, now, changed, hidden),
            )
        return self.chat(chat_id)

    def chats(self, limit: int = 1000) -> list[wire.Chat]:
        """Pinned first, then by last change, newest first."""
        return [
            _chat(r)
            for r in self._rows(
                f"{_CHAT} WHERE NOT hidden ORDER BY pinned DESC, updated_at DESC, c.rowid DESC LIMIT ?", limit
            )
        ]

    def chat(self, chat_id: str) -> wire.Chat:
        """Raises RequestError 404 if there is none."""
        rows = self._rows(f"{_CHAT} WHERE c.id = ?", chat_id)
        if not rows:
            raise RequestError(f"there is no chat '{chat_id}'", status=404, hint="list the chats to see their ids")
        return _chat(rows[0])

    def update_chat(self, chat_id: str, **changes: object) -> wire.Chat:
        """Set title, pinned or head_id (None: before the first message). The head must be a message of this chat."""
        self.chat(chat_id)
        if changes.get("head_id") is not None and self.message(changes["head_id"]).chat_id != chat_id:
            raise RequestError(
                f"message '{changes['head_id']}' is not in chat '{chat_id}'", status=404, code="unknown_message"
            )
        with self._write() as db:
            for column, value in changes.items():
                if column not in ("title", "pinned", "head_id"):
                    raise ValueError(f"not a column of a chat that may change: {column}")
                changed = _next_change(db, time.time())
                db.execute(f"UPDATE chats SET {column} = ?, updated_at = ? WHERE id = ?", (value, changed, chat_id))
        return self.chat(chat_id)

    def delete_chat(self, chat_id: str) -> list[str]:
        """Delete a chat for good; returns the ids of its messages (their checkpoints can go too)."""
        self.chat(chat_id)
        ids = [r["id"] for r in self._rows("SELECT id FROM messages WHERE chat_id = ?", chat_id)]
        with self._write() as db:
            db.execute("DELETE FROM chats WHERE id = ?", (chat_id,))
        return ids

    def fork(
        self, chat_id: str, message_id: str | None, title: str, system: str | None = None, hidden: bool = False
    ) -> tuple[wire.Chat, dict[str, str]]:
        """Copy the branch that ends at `message_id` into a new chat. Returns it and {old message id: new id}.

        With another `system` prompt than the old chat's its checkpoints are not the old ones' any more.
        """
        source, path = self.chat(chat_id), self.path(chat_id, message_id)
        fork = self.create_chat(title, source.system if system is None else system, hidden)
        new_ids = {m.id: new_id() for m in path}
        with self._write() as db:
            for m in path:
                db.execute(
                    "INSERT INTO messages SELECT ?, ?, ?, role, content, status, finish_reason, created_at, cost,"
                    " NULL, mood, skill FROM messages WHERE id = ?",  # a copy has cost nothing: no day
                    (new_ids[m.id], fork.id, new_ids.get(m.parent_id), m.id),
                )
            head = new_ids[path[-1].id] if path else None
            db.execute("UPDATE chats SET head_id = ? WHERE id = ?", (head, fork.id))
        return self.chat(fork.id), new_ids

    # --- messages ---

    def message(self, message_id: str) -> wire.Message:
        """Raises RequestError 404 if there is none."""
        rows = self._rows("SELECT * FROM messages WHERE id = ?", message_id)
        if not rows:
            raise RequestError(f"there is no message '{message_id}'", status=404, code="unknown_message")
        row = rows[0]
        siblings = [
            r["id"]
            for r in self._rows(
                "SELECT id FROM messages WHERE chat_id = ? AND parent_id IS ? ORDER BY rowid",
                row["chat_id"],
                row["parent_id"],
            )
        ]
        return _message(row, siblings)

    def path(self, chat_id: str, message_id: str | None) -> list[wire.Message]:
        """Messages from the first to `message_id`; empty for None."""
        rows = self._rows(
            """WITH RECURSIVE up(id, depth) AS (
                   SELECT ?, 0 UNION ALL
                   SELECT m.parent_id, depth + 1 FROM messages m JOIN up USING (id) WHERE m.parent_id IS NOT NULL)
               SELECT m.*, (SELECT group_concat(s.id) FROM (SELECT id FROM messages b WHERE b.chat_id = m.chat_id
                   AND b.parent_id IS m.parent_id ORDER BY b.rowid) s) AS siblings
               FROM up JOIN messages m USING (id) WHERE m.chat_id = ? ORDER BY depth DESC""",
            message_id,
            chat_id,
        )
        if message_id is not None and not rows:
            raise RequestError(
                f"there is no message '{message_id}' in chat '{chat_id}'", status=404, code="unknown_message"
            )
        return [_message(r, r["siblings"].split(",")) for r in rows]

    def add_turn(self, chat_id: str, parent_id: str | None, content: str) -> tuple[wire.Message, wire.Message]:
        """Store a user message and its reply, empty and `streaming`, in one transaction; the reply becomes the head."""
        user_id = new_id()
        with self._write() as db:
            self._insert(db, user_id, chat_id, parent_id, "user", content, "complete")
            reply_id = self._insert(db, new_id(), chat_id, user_id, "assistant", "", "streaming")
        return self.message(user_id), self.message(reply_id)

    def add_past(self, chat_id: str, parent_id: str | None, turns: Sequence[tuple[wire.Role, str]]) -> str | None:
        """Store finished messages, one after the other, in one transaction; returns the id of the last (or parent)."""
        with self._write() as db:
            for role, content in turns:
                parent_id = self._insert(db, new_id(), chat_id, parent_id, role, content, "complete")
        return parent_id

    def add_reply(self, chat_id: str, user_id: str) -> wire.Message:
        """Another empty, streaming reply to a user message; it becomes the head."""
        with self._write() as db:
            reply_id = self._insert(db, new_id(), chat_id, user_id, "assistant", "", "streaming")
        return self.message(reply_id)

    def _insert(
        self,
        db: sqlite3.Connection,
        message_id: str,
        chat_id: str,
        parent_id: str | None,
        role: str,
        content: str,
        status: str,
    ) -> str:
        now = time.time()
        db.execute(
            "INSERT INTO messages(id, chat_id, parent_id, role, content, status, created_at) VALUES (?,?,?,?,?,?,?)",
            (message_id, chat_id, parent_id, role, content, status, now),
        )
        changed = _next_change(db, now)
        db.execute("UPDATE chats SET head_id = ?, updated_at = ? WHERE id = ?", (message_id, changed, chat_id))
        return message_id

    def update_reply(
        self,
        message_id: str,
        content: str,
        status: wire.MessageStatus = "streaming",
        finish_reason: wire.FinishReason | None = None,
        cost: wire.Cost | None = None,
    ) -> None:
        """Store what a reply has become; once it is complete, its cost is added to its day.

        A deleted message is no error: its chat was deleted meanwhile, and what it cost counts all the same.
        """
        with self._write() as db:
            db.execute(
                "UPDATE messages SET content = ?, status = ?, finish_reason = ?, cost = ? WHERE id = ?",
                (content, status, finish_reason, cost and msgspec.json.encode(cost).decode(), message_id),
            )
            if cost and status != "streaming":
                self._count(db, message_id, cost)

    def annotate(self, message_id: str, mood: wire.Mood | None = None, skill: wire.SkillAnswer | None = None) -> None:
        """Keep a user message's mood, or what a skill said in a reply. A deleted message is no error."""
        for column, value in (("mood", mood), ("skill", skill)):
            if value is not None:
                text = msgspec.json.encode(value).decode()
                with self._write() as db:
                    db.execute(f"UPDATE messages SET {column} = ? WHERE id = ?", (text, message_id))

    def skill_answers(self, user_id: str) -> list[wire.SkillAnswer]:
        """What skills have said to a user message, oldest first."""
        rows = self._rows(
            "SELECT skill FROM messages WHERE parent_id = ? AND skill IS NOT NULL ORDER BY rowid", user_id
        )
        return [msgspec.json.decode(row["skill"], type=wire.SkillAnswer) for row in rows]

    # --- responses: what /v1/responses has to say again ---

    def add_response(self, message_id: str, first_id: str, request: str) -> None:
        """`first_id`: the first message that came with the request; `request`: JSON to be given back."""
        with self._write() as db:
            db.execute("INSERT INTO responses(message_id, first_id, request) VALUES (?,?,?)",
                       (message_id, first_id, request))  # fmt: skip

    def response(self, message_id: str) -> tuple[str, str]:
        """(first_id, request). Raises RequestError 404 if there is none."""
        rows = self._rows("SELECT first_id, request FROM responses WHERE message_id = ?", message_id)
        if not rows:
            raise RequestError("there is no such response", status=404, code="not_found",
                               why="it was never stored, or it was deleted")  # fmt: skip
        return rows[0]["first_id"], rows[0]["request"]

    def delete_response(self, message_id: str) -> str | None:
        """Forget a response; returns its hidden chat if that holds no other and can go too."""
        self.response(message_id)
        chat_id = self.message(message_id).chat_id
        with self._write() as db:
            db.execute("DELETE FROM responses WHERE message_id = ?", (message_id,))
        left = self._rows("SELECT 1 FROM responses JOIN messages m ON m.id = message_id WHERE m.chat_id = ?", chat_id)
        hidden = self._rows("SELECT hidden FROM chats WHERE id = ?", chat_id)[0]["hidden"]
        return chat_id if hidden and not left else None

    def mark_interrupted(self) -> int:
        """At start: replies that a dead process left `streaming` keep what they have and say so. Returns how many."""
        with self._write() as db:
            cut = db.execute("SELECT id, cost FROM messages WHERE status = 'streaming'").fetchall()
            for row in cut:
                if row["cost"]:  # as it was at the last save
                    self._count(db, row["id"], msgspec.json.decode(row["cost"], type=wire.Cost))
            db.execute("UPDATE messages SET status = 'interrupted' WHERE status = 'streaming'")
            return len(cut)

    # --- costs ---

    def add_cost(self, cost: wire.Cost, source: str = "api") -> None:
        """Count an answer that belongs to no chat."""
        with self._write() as db:
            ledger.add(db, ledger.day_of(), source, cost)

    def cost_rows(self, since: str | None = None) -> list[sqlite3.Row]:
        """Sums by day, source, device and basis since a day."""
        return self._rows("SELECT * FROM cost_days WHERE day >= ? ORDER BY day", since or "")

    def cost_of_chats(self, since: str | None = None) -> list[tuple[wire.Chat, wire.CostTotals]]:
        """What the answers of each chat that is still there have cost since a day, the newest chat first."""
        costs: dict[str, list[wire.Cost]] = {}
        for row in self._rows("SELECT chat_id, cost FROM messages WHERE day >= ?", since or ""):
            costs.setdefault(row["chat_id"], []).append(msgspec.json.decode(row["cost"], type=wire.Cost))
        chats = [_chat(r) for r in self._rows(f"{_CHAT} ORDER BY updated_at DESC")]
        return [(chat, ledger.totals_of_costs(costs[chat.id])) for chat in chats if chat.id in costs]

    @staticmethod
    def _count(db: sqlite3.Connection, message_id: str, cost: wire.Cost) -> None:
        row = db.execute("SELECT created_at, day FROM messages WHERE id = ?", (message_id,)).fetchone()
        if row is None or row["day"] is None:
            day = ledger.day_of(row["created_at"] if row else None)
            ledger.add(db, day, "chat", cost)
            db.execute("UPDATE messages SET day = ? WHERE id = ?", (day, message_id))


def _next_change(db: sqlite3.Connection, now: float) -> float:
    """The time of a change; later than every one before, so that a clock set back does not hide the newest chat."""
    (last,) = db.execute("SELECT max(updated_at) FROM chats").fetchone()
    return max(now, (last or 0.0) + 1e-6)


def _chat(row: sqlite3.Row) -> wire.Chat:
    return wire.Chat(
        id=row["id"],
        title=row["title"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        pinned=bool(row["pinned"]),
        system=row["system"],
        head_id=row["head_id"],
        messages=row["n"],
    )


def _message(row: sqlite3.Row, siblings: list[str]) -> wire.Message:
    return wire.Message(
        id=row["id"],
        chat_id=row["chat_id"],
        parent_id=row["parent_id"],
        role=row["role"],
        content=row["content"],
        status=row["status"],
        created_at=row["created_at"],
        finish_reason=row["finish_reason"],
        siblings=len(siblings),
        sibling_index=siblings.index(row["id"]),
        cost=_decoded(row["cost"], wire.Cost),
        mood=_decoded(row["mood"], wire.Mood),
        skill=_decoded(row["skill"], wire.SkillAnswer),
    )


def _decoded(text: str | None, kind: type[T]) -> T | None:
    return msgspec.json.decode(text, type=kind) if text else None
