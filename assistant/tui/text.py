"""Text that came from a model or a file, made safe and short enough to be shown."""

from __future__ import annotations

TITLE_LENGTH = 60

_CONTROLS = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127, *range(128, 160)], "\N{REPLACEMENT CHARACTER}")
_CONTROLS[13] = ""


def printable(text: str) -> str:
    """Without control characters: a reply must not move the cursor, set titles or the clipboard."""
    return text.translate(_CONTROLS)


def title_of(text: str) -> str:
    """A chat's title from its first message: one line, not too long."""
    line = " ".join(printable(text).split())
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1].rstrip() + "…"
