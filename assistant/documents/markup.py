"""Text, Markdown and reStructuredText as blocks: headings with their depth, paragraphs, list items, table rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from assistant.documents.passages import Block

LONGEST_LINE = 4000  # characters; what is longer is cut, at a space
BULLET = re.compile(r"\s*(?:[-*+•–]|\(?\d{1,3}[.)]|\(?[a-z][)])\s+\S")
ADORNMENT = re.compile(r"([=\-~^\"'`#*+.:_<>])\1{2,}\s*$")
ATX = re.compile(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
TABLE_RULE = re.compile(r"[\s|:+=-]+$")
NUMBERED = re.compile(r"(?:§\s*)?(?:\d{1,2}|[IVX]{1,5})(?:\.\d{1,2})*[.)]?\s+\S|§\s*\d+")
LONGEST_HEADING = 70
Lines = Sequence[tuple[int, str]]  # line number from 1, text


def numbered(text: str) -> list[tuple[int, str]]:
    """The lines of a text; one of enormous length becomes several of the same number."""
    found: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        while len(line) > LONGEST_LINE:
            cut = line.rfind(" ", LONGEST_LINE // 2, LONGEST_LINE)
            cut = cut + 1 if cut >= 0 else LONGEST_LINE
            found.append((number, line[:cut]))
            line = line[cut:]
        found.append((number, line))
    return found


def plain(text: str, page: int | None = None) -> Iterator[Block]:
    """Paragraphs between blank lines. A short line by itself, without a full stop, is a heading."""
    groups = list(_groups(numbered(text)))
    for at, group in enumerate(groups):
        first = group[0][1]
        if len(group) > 1 and ADORNMENT.match(group[1][1]) and first.strip():
            yield _heading([group[0]], 1 if group[1][1][0] in "=#*" else 2, page)
            group = group[2:]
        elif len(group) > 1 and _shouts(first):
            yield _heading([group[0]], 2, page)
            group = group[1:]
        elif at + 1 < len(groups) and len(group) == 1 and _stands_out(first):
            yield _heading(group, 1 if at == 0 else 2, page)
            continue
        if group:
            yield from _paragraphs(group, page)


def markdown(text: str) -> Iterator[Block]:
    """CommonMark's headings, lists, fences and tables, as far as finding and quoting needs them; front matter is left
    out, apart from its title."""
    lines = numbered(text)
    if lines and lines[0][1].rstrip() == "---":
        for end, (_, line) in enumerate(lines[1:], 1):
            if line.rstrip() in ("---", "..."):
                titles = [entry for entry in lines[1:end] if entry[1].lower().startswith("title:")]
                if titles:
                    number, line = titles[0]
                    yield _heading([(number, line.partition(":")[2].strip(" \"'"))], 1, None)
                lines = lines[end + 1 :]
                break
    group: list[tuple[int, str]] = []
    fence = ""
    for number, line in [*lines, (0, "")]:
        mark = FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence):
                fence = ""
                yield from _paragraphs(group, None, as_is=True)
                group = []
            else:
                group.append((number, line))
            continue
        atx = ATX.match(line)
        if mark or atx or not line.strip():
            yield from _paragraphs(group, None)
            group = []
            fence = mark[1] if mark else ""
            if atx and atx[2]:
                yield _heading([(number, atx[2])], len(atx[1]), None)
        elif group and re.fullmatch(r" {0,3}(=+|-+)\s*", line) and not _is_row(group[-1][1]) and len(group) == 1:
            yield _heading(group, 1 if "=" in line else 2, None)
            group = []
        else:
            group.append((number, line))
    yield from _paragraphs(group, None, as_is=bool(fence))


def restructured(text: str) -> Iterator[Block]:
    """Titles by their under- and overlines, whose characters make the depth in order of appearance."""
    lines, depths = numbered(text), []
    group: list[tuple[int, str]] = []
    at = 0
    while at < len(lines):
        number, line = lines[at]
        over = ADORNMENT.match(line) and not group
        title = at + 1 if over else at
        under = title + 1
        if (
            under < len(lines)
            and (mark := ADORNMENT.match(lines[under][1]))
            and lines[title][1].strip()
            and not group
            and len(lines[under][1].rstrip()) >= len(lines[title][1].strip())
        ):
            style = (mark[1], bool(over))
            if style not in depths:
                depths.append(style)
            yield _heading([lines[title]], depths.index(style) + 1, None)
            at = under + 1
            continue
        if line.strip() and not (over or re.match(r"\s*\.\. [\w-]+::\s*$|\s*:[\w-]+:\s*$", line)):
            group.append((number, line))
        else:
            yield from _paragraphs(group, None)
            group = []
        at += 1
    yield from _paragraphs(group, None)


def _groups(lines: Lines) -> Iterator[list[tuple[int, str]]]:
    group: list[tuple[int, str]] = []
    for number, line in lines:
        if line.strip():
            group.append((number, line))
        elif group:
            yield group
            group = []
    if group:
        yield group


def _paragraphs(group: Lines, page: int | None, as_is: bool = False) -> Iterator[Block]:
    """A group of lines, apart at list items and table rows; the rules of a table are left out."""
    taken: list[tuple[int, str]] = []
    for number, line in group:
        rule = _is_row(line) and TABLE_RULE.match(line)
        if not as_is and taken and (rule or BULLET.match(line) or _is_row(line)):
            yield _block(taken, page)
            taken = []
        if not rule and line.strip():
            taken.append((number, line))
    if taken:
        yield _block(taken, page)


def _block(lines: Lines, page: int | None) -> Block:
    return Block(tuple(line.rstrip() for _, line in lines), tuple(number for number, _ in lines), 0, page)


def _heading(lines: Lines, level: int, page: int | None) -> Block:
    return Block(tuple(line.strip() for _, line in lines), tuple(number for number, _ in lines), level, page)


def _is_row(line: str) -> bool:
    return line.lstrip().startswith("|") or bool(re.match(r"\s*\+[-=+]+\+\s*$", line))


def _shouts(line: str) -> bool:
    """`4. RENT` at the head of a paragraph."""
    letters = [c for c in line if c.isalpha()]
    return len(letters) > 2 and all(c.isupper() for c in letters) and len(line) <= LONGEST_HEADING


def _stands_out(line: str) -> bool:
    """A line by itself that is short and no sentence; `key: value` says something and is none."""
    text = line.strip()
    if len(text) > LONGEST_HEADING or len(text.split()) > 9 or re.search(r":\s+\S", text):
        return _shouts(line)
    if BULLET.match(line) and not NUMBERED.match(text):
        return False
    return bool(re.match(r"[A-Z0-9§ÄÖÜ#]", text)) and not re.search(r"[.!?,;]$|[,;@]", text)
