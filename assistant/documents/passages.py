"""From blocks of a document to passages: pieces of about a hundred words that know their headings and their lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

TARGET_WORDS, MOST_WORDS, OVERLAP_WORDS = 100, 150, 40
HEADING_SEPARATOR = " > "
SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[A-Z0-9ÄÖÜÉÀ`*_])")
ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|No|nos?|vs|etc|e\.g|i\.e|approx|Ltd|Inc|Co|Jr|Sr|Fig|p|pp|a\.m|p\.m|ca|z\.B|d\.h|bzw"
    r"|Str|Nr|Abs|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec)|\b[A-Z]|(?:^|\n)\s*\d{1,3})\.$"
)


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, list item, table row or heading. `lines`: its text by lines; `numbers`: where each stands, from 1.

    `level` 0 is text, 1 and more a heading of that depth.
    """

    lines: tuple[str, ...]
    numbers: tuple[int, ...]
    level: int = 0
    page: int | None = None

    @property
    def words(self) -> int:
        return sum(len(line.split()) for line in self.lines)


@dataclass(frozen=True, slots=True)
class Passage:
    """`body`: lines as they stand in the file; `numbers[i]`: the line in the file of the i-th of them (pages: none)."""

    heading: str
    body: str
    numbers: tuple[int, ...]
    page: int | None = None


@dataclass(slots=True)
class _Section:
    path: str
    page: int | None
    blocks: list[Block] = field(default_factory=list)


def split(blocks: Iterable[Block]) -> list[Passage]:
    """Passages never cross a heading or a page; a long section's passages share their last piece with the next."""
    return [passage for section in _sections(blocks) for passage in _cut(section)]


def _sections(blocks: Iterable[Block]) -> Iterator[_Section]:
    path: list[tuple[int, str, Block]] = []
    section = _Section("", None)
    bare: Block | None = None  # a heading that nothing has followed yet
    for block in blocks:
        if block.level:
            if section.blocks:
                yield section
            elif bare and bare.level >= block.level:  # a heading over nothing says something itself
                yield _Section(HEADING_SEPARATOR.join(t for _, t, _ in path[:-1]), bare.page, [bare])
            path = [entry for entry in path if entry[0] < block.level]
            path.append((block.level, " ".join(" ".join(block.lines).split()), block))
            section, bare = _Section(HEADING_SEPARATOR.join(t for _, t, _ in path), block.page), block
            continue
        if section.blocks and block.page != section.page:
            yield section
            section = _Section(section.path, block.page)
        section.page = block.page
        section.blocks.append(block)
        bare = None
    if section.blocks:
        yield section
    elif bare:
        yield _Section(HEADING_SEPARATOR.join(t for _, t, _ in path[:-1]), bare.page, [bare])


def _cut(section: _Section) -> Iterator[Passage]:
    pieces = [piece for block in section.blocks for piece in _pieces(block)]
    taken: list[tuple[Block, bool]] = []  # piece, whether it begins a block
    words = 0
    for piece in pieces:
        size = piece[0].words
        if taken and (words >= TARGET_WORDS or words + size > MOST_WORDS):
            yield _joined(section, taken)
            last = taken[-1]
            taken = [last] if last[0].words <= OVERLAP_WORDS and last[0].words + size <= MOST_WORDS else []
            words = sum(p.words for p, _ in taken)
        taken.append(piece)
        words += size
    if taken:
        yield _joined(section, taken)


def _joined(section: _Section, pieces: list[tuple[Block, bool]]) -> Passage:
    lines: list[str] = []
    numbers: list[int] = []
    for piece, fresh in pieces:
        if lines and fresh:  # blank between two blocks
            lines.append("")
            numbers.append(piece.numbers[0])
        lines += piece.lines
        numbers += piece.numbers
    return Passage(section.path, "\n".join(lines), tuple(numbers), section.page)


def _pieces(block: Block) -> Iterator[tuple[Block, bool]]:
    """A block as it is, or in pieces of at most `OVERLAP_WORDS` or so, cut at ends of sentences, lines or words."""
    if block.words <= TARGET_WORDS:
        yield block, True
        return
    text = "\n".join(block.lines)
    fresh, start = True, 0
    for end in [*_cuts(text), len(text)]:
        if end - start and (len(text[start:end].split()) >= OVERLAP_WORDS // 2 or end == len(text)):
            first = text.count("\n", 0, start)
            lines = text[start:end].rstrip("\n").split("\n")
            yield Block(tuple(lines), block.numbers[first : first + len(lines)], 0, block.page), fresh
            fresh, start = False, end


def _cuts(text: str) -> Iterator[int]:
    """Where a long block may be cut: after sentences; inside of one that is longer than a passage, at a word."""
    last = 0
    for start, end in sentence_spans(text):
        words = list(re.finditer(r"\S+", text[start:end]))
        for word in words[MOST_WORDS - OVERLAP_WORDS :: MOST_WORDS - OVERLAP_WORDS]:
            if start + word.start() > last:
                yield start + word.start()
        last = end
        yield end


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """(start, end) of the sentences; each reaches to where the next begins. An abbreviation or an ordinal is no end."""
    spans, start = [], 0
    for found in SENTENCE_END.finditer(text):
        if ABBREVIATION.search(text[start : found.start()].rstrip("\"'”’)]")):
            continue
        spans.append((start, found.end()))
        start = found.end()
    if start < len(text):
        spans.append((start, len(text)))
    return spans
