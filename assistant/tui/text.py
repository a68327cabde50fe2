"""Text that came from a model or a file, made safe and short enough to be shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.content import Content

TITLE_LENGTH = 60

FOUND, END = "\x02", "\x03"
"""Around what a search has found, as the daemon sends it."""

_CONTROLS = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127, *range(128, 160)], "\N{REPLACEMENT CHARACTER}")
_CONTROLS[13] = ""


def printable(text: str) -> str:
    """Without control characters: a reply must not move the cursor, set titles or the clipboard."""
    return text.translate(_CONTROLS)


def marked(snippet: str) -> Content:
    """A found text on one line, what was found in bold."""
    from textual.content import Content

    line = Content("")
    for n, piece in enumerate(snippet.split(FOUND)):
        found, end, rest = piece.partition(END) if n else ("", "", piece)
        pieces = [(found, "bold $text-accent"), (rest, "")] if end else [(piece, "")]
        for text, style in pieces:
            line += Content.assemble((re.sub(r"\s+", " ", printable(text)), style))
    return line


def title_of(text: str) -> str:
    """A chat's title from its first message: one line, not too long."""
    line = " ".join(printable(text).split())
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1].rstrip() + "…"
