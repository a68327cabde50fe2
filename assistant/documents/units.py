"""A passage in pieces that can be quoted: sentences, list items, table rows; and which of them hold a word's stem."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from assistant.documents.markup import BULLET
from assistant.documents.passages import sentence_spans

LEAD = re.compile(r"(?:\s|[-*+•–>](?=\s))*")
LONGEST_WORDS = 60  # a longer "sentence" is not one


@dataclass(frozen=True, slots=True)
class Unit:
    """`start`, `end`: in the passage's body; `text`: word for word, with white space as single spaces."""

    start: int
    end: int
    text: str


def units(body: str) -> list[Unit]:
    found: list[Unit] = []
    for start, end in _stretches(body):
        for first, last in sentence_spans(body[start:end]):
            piece = body[start + first : start + last]
            lead = LEAD.match(piece).end()
            text = " ".join(piece[lead:].split())
            if any(c.isalnum() for c in text):
                at = start + first + lead
                found.append(Unit(at, at + len(piece[lead:].rstrip()), text))
    return found


def _stretches(body: str) -> list[tuple[int, int]]:
    """Parts between blank lines, apart at lines that were not merely wrapped."""
    found: list[tuple[int, int]] = []
    at = 0
    for block in body.split("\n\n"):
        lines = block.split("\n")
        width = max(map(len, lines))
        start = end = at
        for number, line in enumerate(lines):
            if number and _apart(lines[number - 1], line, width):
                found.append((start, end))
                start = at
            end = at + len(line)
            at = end + 1
        found.append((start, end))
        at += 1
    return [(start, end) for start, end in found if body[start:end].strip()]


def _apart(before: str, line: str, width: int) -> bool:
    """Whether a line begins something new: a list item, or a line that would have fitted behind the one before."""
    if BULLET.match(line) or line.lstrip().startswith("|"):
        return True
    first = line.split(None, 1)[0] if line.strip() else ""
    fits = len(before) + 1 + len(first) < width - 1
    return fits and (first[:1].isupper() or first[:1].isdigit() or before.rstrip()[-1:] in ".:;!?")


class Stems:
    """Which of some texts hold which words, by the very tokenizer of the index: a small FTS5 table in memory."""

    def __init__(self, texts: Sequence[str]):
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        self._db.execute("CREATE VIRTUAL TABLE t USING fts5(x, tokenize = 'porter unicode61 remove_diacritics 2')")
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO t(rowid, x) VALUES (?, ?)", enumerate(texts))

    def having(self, query: str) -> set[int]:
        return {row[0] for row in self._db.execute("SELECT rowid FROM t WHERE t MATCH ?", (query,))}

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Stems:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def stems_of(words: Sequence[str]) -> list[str]:
    """Each word as the index has it; of a word that it takes apart, the first part; "" for one it leaves out."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("CREATE VIRTUAL TABLE t USING fts5(x, tokenize = 'porter unicode61 remove_diacritics 2')")
        db.execute("CREATE VIRTUAL TABLE v USING fts5vocab(t, instance)")
        db.executemany("INSERT INTO t(rowid, x) VALUES (?, ?)", enumerate(words))
        first: dict[int, str] = {}
        for term, row, _offset in db.execute("SELECT term, doc, offset FROM v ORDER BY doc, offset"):
            first.setdefault(row, term)
        return [first.get(number, "") for number in range(len(words))]
