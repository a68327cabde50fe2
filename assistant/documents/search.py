"""Passages with the words that were asked for, by BM25, with what is needed to quote them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from assistant.documents.index import Index
from assistant.documents.question import STOP_WORDS, WORD

WEIGHTS = (2.0, 3.0, 1.0)
"""Of the file's name and title, the headings, and the text. The question set's development half prefers these."""
HIT, END = "\x02", "\x03"  # around what was found, as in the history's search
SNIPPET_WORDS = 24
MOST_WORDS = 24  # of a question; more cost time and tell nothing

_COLUMNS = "p.id, f.path, p.name, p.heading, p.body, p.line, p.numbers, p.page, f.mtime_ns, f.size"
_FOUND = (
    f"SELECT {_COLUMNS}, bm25(words, ?, ?, ?) AS score, {{snippet}} FROM words JOIN passages p ON p.id = words.rowid"
    " JOIN files f ON f.id = p.file_id WHERE words MATCH ? ORDER BY score LIMIT ?"
)
_BEST = "SELECT rowid, bm25(words, ?, ?, ?) AS score FROM words WHERE words MATCH ? ORDER BY score LIMIT ?"


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage. `score`: BM25, larger is better; `numbers`: the line in the file of each line of `body`."""

    id: int
    path: Path
    name: str
    heading: str
    body: str
    numbers: tuple[int, ...]
    page: int | None
    mtime_ns: int
    size: int
    score: float
    snippet: str = ""

    def line_at(self, offset: int) -> int | None:
        """The line in the file of a place in `body`; None where the file has pages."""
        return self.numbers[self.body.count("\n", 0, offset)] if self.numbers else None


def search(index: Index, words: str, limit: int = 10) -> list[Hit]:
    """Passages with all of these words (the last may be the start of one); if there is none, with any of them."""
    asked = WORD.findall(words)[:MOST_WORDS]
    if not asked:
        return []
    every = " AND ".join([*map(quoted, asked[:-1]), quoted(asked[-1]) + "*"])
    some = [word for word in asked if word.lower() not in STOP_WORDS] or asked
    snippet = f"snippet(words, 2, '{HIT}', '{END}', '…', {SNIPPET_WORDS})"
    sql = _FOUND.format(snippet=snippet)
    for query in (every, any_of(some)):
        rows = index.db.execute(sql, (*WEIGHTS, query, limit)).fetchall()
        if rows:
            return [hit(row[:-2], row[-2], row[-1]) for row in rows]
    return []


def best(index: Index, query: str, limit: int, weights: Sequence[float] = WEIGHTS) -> list[Hit]:
    """The passages that an FTS5 query ranks highest."""
    scores = dict(index.db.execute(_BEST, (*weights, query, limit)).fetchall())
    marks = ",".join("?" * len(scores))
    rows = index.db.execute(
        f"SELECT {_COLUMNS} FROM passages p JOIN files f ON f.id = p.file_id WHERE p.id IN ({marks})", tuple(scores)
    ).fetchall()
    return sorted((hit(row, scores[row[0]]) for row in rows), key=lambda found: -found.score)


def quoted(word: str) -> str:
    """A word as an FTS5 string: nothing in it is query syntax."""
    return '"' + word.replace('"', '""') + '"'


def any_of(words: Iterable[str]) -> str:
    return " OR ".join(map(quoted, words))


def hit(row: sqlite3.Row | tuple, score: float, snippet: str = "") -> Hit:
    passage, path, name, heading, body, line, numbers, page, mtime_ns, size = row
    if numbers:
        lines = tuple(map(int, numbers.split(",")))
    else:
        lines = () if line is None else tuple(range(line, line + body.count("\n") + 1))
    return Hit(passage, Path(os.fsdecode(path)), name, heading, body, lines, page, mtime_ns, size, -score, snippet)
