"""Full-text search over all messages of all branches: SQLite's FTS5, and plain substrings where that finds nothing."""

from __future__ import annotations

import re
import sqlite3

from assistant import wire
from assistant.errors import HistoryError
from assistant.history.store import History
from assistant.history.tree import newest_end

HIT, END = "\x02", "\x03"  # around what was found; no message shows them
SNIPPET_WORDS, AROUND_CHARS = 14, 40

_FOUND = "SELECT m.id, m.chat_id, m.role, m.created_at, c.title, c.head_id, {snippet} AS snippet FROM {source}"
_INDEXED = (
    _FOUND.format(
        snippet=f"snippet(words, 0, '{HIT}', '{END}', '…', {SNIPPET_WORDS})",
        source="words JOIN messages m ON m.rowid = words.rowid JOIN chats c ON c.id = m.chat_id",
    )
    + " WHERE words MATCH ? AND NOT c.hidden AND (? IS NULL OR m.chat_id = ?) ORDER BY rank, m.created_at DESC LIMIT ?"
)
_SCANNED = (
    _FOUND.format(snippet="m.content", source="messages m JOIN chats c ON c.id = m.chat_id")
    + r" WHERE m.content LIKE ? ESCAPE '\' AND NOT c.hidden AND (? IS NULL OR m.chat_id = ?)"
    " ORDER BY m.created_at DESC LIMIT ?"
)


def search(history: History, query: str, chat_id: str | None = None, limit: int = 50) -> list[wire.SearchHit]:
    """Messages with all words of the query, the best match first; the last word may be the start of one."""
    words = re.findall(r"\w+", query)
    rows: list[sqlite3.Row] = []
    if words:
        asked = " ".join(f'"{word}"' for word in words) + "*"
        try:
            rows = history._rows(_INDEXED, asked, chat_id, chat_id, limit)
        except HistoryError:  # this SQLite has no FTS5
            rows = []
    if rows:
        return [_hit(history, row, row["snippet"]) for row in rows]
    text = query.strip()
    if not text:
        return []
    # Parts of words, punctuation, and languages that put no spaces between words.
    pattern = "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"
    rows = history._rows(_SCANNED, pattern, chat_id, chat_id, limit)
    return [_hit(history, row, _cut_out(row["snippet"], text)) for row in rows]


def revision(history: History) -> int:
    """A number that grows with every write: the daemon is the only writer."""
    return history._db.total_changes


def _hit(history: History, row: sqlite3.Row, snippet: str) -> wire.SearchHit:
    shown = {message.id for message in history.path(row["chat_id"], row["head_id"])} if row["head_id"] else set()
    head_id = row["head_id"] if row["id"] in shown else newest_end(history, row["id"])
    return wire.SearchHit(chat_id=row["chat_id"], chat_title=row["title"], message_id=row["id"], head_id=head_id,
                          role=row["role"], created_at=row["created_at"], snippet=snippet)  # fmt: skip


def _cut_out(content: str, text: str) -> str:
    found = re.search(re.escape(text), content, re.IGNORECASE)
    start, end = found.span() if found else (0, 0)
    left, right = max(start - AROUND_CHARS, 0), end + AROUND_CHARS
    return (
        f"{'…' if left else ''}{content[left:start]}{HIT}{content[start:end]}{END}{content[end:right]}"
        f"{'…' if right < len(content) else ''}"
    )
