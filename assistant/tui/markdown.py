"""From Markdown to lines: blocks that know where they begin in the source, and draw themselves at a width.

No widgets: Textual's own Markdown makes several of each paragraph and of each cell, and all of them are laid out anew
with every redraw, which stopped the keys for a tenth of a second in a long reply.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token
from textual.content import Content, Span
from textual.style import Style

BULLETS = "•▪‣◦"
QUOTE = "▌ "
CODE_PAD = 2
LEAST = 8
"""Columns that a text gets even if its lists are too deep for the terminal."""


@dataclass(eq=False)
class Code:
    """A block of code; two with the same text are not the same."""

    text: str
    language: str = ""


class Line(NamedTuple):
    text: Content
    code: Code | None = None  # what it belongs to


@dataclass
class Block:
    """A paragraph, list, table ... of the outermost level."""

    start: int  # its first line in the source, from 0
    tokens: list[Token]
    codes: list[Code] = field(init=False)

    def __post_init__(self) -> None:
        self.codes = [Code(t.content.rstrip("\n"), t.info.split(" ")[0]) for t in self.tokens if _is_code(t)]

    def lines(self, width: int) -> list[Line]:
        return _Drawing(iter(self.codes)).lines(self.tokens, width)


def blocks(source: str) -> list[Block]:
    return [Block((group[0].map or [0])[0], group) for group in _groups(_parser().parse(source))]


@cache
def _parser() -> MarkdownIt:
    """One for all: to make it takes as long as to use it."""
    return MarkdownIt("gfm-like")


def _is_code(token: Token) -> bool:
    return token.type in ("fence", "code_block")


def _groups(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Each opening token with all up to its end."""
    group: list[Token] = []
    depth = 0
    for token in tokens:
        group.append(token)
        depth += token.nesting
        if depth == 0:
            yield group
            group = []


class _Drawing:
    def __init__(self, codes: Iterator[Code]):
        self._codes = codes

    def lines(self, tokens: Sequence[Token], width: int, depth: int = 0) -> list[Line]:
        found: list[Line] = []
        for group in _groups(tokens):
            found += self._block(group, max(width, LEAST), depth)
        return found

    def _block(self, group: list[Token], width: int, depth: int) -> list[Line]:
        head, inner = group[0], group[1:-1]
        match head.type:
            case "paragraph_open":
                return [Line(line.rstrip()) for line in inline(inner[0]).wrap(width)]
            case "heading_open":
                style, text = f".{head.tag}", inline(inner[0])
                lines = [line.rstrip().stylize(style) for line in text.wrap(width)]
                middle = [(width - line.cell_length) // 2 if head.tag == "h1" else 0 for line in lines]
                return [Line(Content.assemble(" " * left, line)) for left, line in zip(middle, lines, strict=True)]
            case "bullet_list_open":
                return self._list(inner, [f"{BULLETS[min(depth, len(BULLETS) - 1)]} "], width, depth)
            case "ordered_list_open":
                first = int(head.attrs.get("start", 1))
                count = sum(1 for _ in _groups(inner))
                room = len(str(first + count - 1)) + 3
                return self._list(inner, [f"{n}. ".rjust(room) for n in range(first, first + count)], width, depth)
            case "blockquote_open":
                lines = self.lines(inner, width - len(QUOTE), depth)
                return [_led((QUOTE, ".quote"), line) for line in lines]
            case "fence" | "code_block":
                return _code(next(self._codes), width)
            case "table_open":
                return _table(inner, width)
            case "hr":
                return [Line(Content.styled("─" * width, ".rule"))]
            case _:  # HTML: what a model wrote is shown as it is
                text = Content(head.content.rstrip("\n"))
                return [Line(line) for line in text.wrap(width)] if head.content else self.lines(inner, width, depth)

    def _list(self, tokens: Sequence[Token], bullets: list[str], width: int, depth: int) -> list[Line]:
        found: list[Line] = []
        for n, item in enumerate(_groups(tokens)):
            bullet = bullets[min(n, len(bullets) - 1)]
            lines = self.lines(item[1:-1], width - len(bullet), depth + 1) or [Line(Content(""))]
            space = (" " * len(bullet), "")
            found += [_led(space if m else (bullet, ".bullet"), line) for m, line in enumerate(lines)]
        return found


def _led(lead: tuple[str, str], line: Line) -> Line:
    return Line(Content.assemble(lead, line.text), line.code)


def _code(code: Code, width: int) -> list[Line]:
    room = max(width - 2 * CODE_PAD, LEAST)
    lines = [part for line in highlighted(code).split("\n") for part in (line.fold(room) if line.plain else [line])]
    empty = Content("")
    return [
        Line(Content.assemble(" " * CODE_PAD, line).extend_right(width - CODE_PAD - line.cell_length)
             .stylize_before(".fence"), code)
        for line in (empty, *lines, empty)
    ]  # fmt: skip


def highlighted(code: Code) -> Content:
    """Of a language that has a name here; to guess it would take a second."""
    text = code.text.expandtabs(4)
    if code.language.lower() not in _languages():
        return Content(text)
    from textual.highlight import highlight

    return highlight(text, language=code.language)


@cache
def _languages() -> frozenset[str]:
    from pygments.lexers import get_all_lexers

    return frozenset(name for _, names, _, _ in get_all_lexers(plugins=False) for name in names)


def _table(tokens: Sequence[Token], width: int) -> list[Line]:
    rows = [[(t.attrs.get("style", ""), inline(tokens[n + 1])) for n, t in enumerate(tokens)
             if t.type in ("th_open", "td_open") and row[0] <= n < row[1]] for row in _rows(tokens)]  # fmt: skip
    columns = max((len(row) for row in rows), default=0)
    widths = [max((row[n][1].cell_length for row in rows if n < len(row)), default=1) for n in range(columns)]
    while sum(widths) + 3 * (columns - 1) > width and max(widths) > 3:
        widths[widths.index(max(widths))] -= 1
    found: list[Line] = []
    for place, row in enumerate(rows):
        cells = [text.wrap(room) for (_, text), room in zip(row, widths, strict=False)]
        for n in range(max(map(len, cells), default=0)):
            parts = []
            for (align, _), lines, room in zip(row, cells, widths, strict=False):
                text = lines[n].rstrip() if n < len(lines) else Content("")
                gap = max(room - text.cell_length, 0)
                left = gap if "right" in align else gap // 2 if "center" in align else 0
                text = text.stylize(".th") if place == 0 else text
                parts.append(Content.assemble(" " * left, text, " " * (gap - left)))
            found.append(Line(Content.styled(" │ ", ".rule").join(parts)))
        if place == 0:
            found.append(Line(Content.styled("─┼─".join("─" * room for room in widths), ".rule")))
    return found


def _rows(tokens: Sequence[Token]) -> list[tuple[int, int]]:
    starts = [n for n, token in enumerate(tokens) if token.type == "tr_open"]
    return list(zip(starts, [*starts[1:], len(tokens)], strict=True))


_STYLES = {"em_open": ".em", "strong_open": ".strong", "s_open": ".s"}


def inline(token: Token) -> Content:
    """The words of a paragraph, a heading or a cell with their styles; a link can be clicked (`link(href)`)."""
    text, spans, opened = "", [], []

    def add(words: str, *styles: str | Style) -> None:
        nonlocal text
        spans.extend(Span(len(text), len(text) + len(words), style) for style in styles)
        text += words

    for child in token.children or []:
        match child.type:
            case "softbreak":
                add(" ")
            case "hardbreak":
                add("\n")
            case "code_inline":
                add(child.content, ".code_inline")
            case "image":
                add(f"[{child.content or 'picture'}]", *_link(child.attrs.get("src", "")))
            case "link_open":
                opened.append((len(text), _link(child.attrs.get("href", ""))))
            case kind if kind in _STYLES:
                opened.append((len(text), (_STYLES[kind],)))
            case kind if kind.endswith("_close") and opened:
                start, styles = opened.pop()
                spans.extend(Span(start, len(text), style) for style in styles)
            case _:
                add(child.content)
    return Content(text, spans=spans)


def _link(href: object) -> tuple[str | Style, ...]:
    return (Style.from_meta({"@click": f"link({str(href)!r})"}),)
