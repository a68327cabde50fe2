"""Text that is still being written, as pieces to be spoken: sentence by sentence, without its markup (pure)."""

from __future__ import annotations

import re
import unicodedata

END = re.compile(r"(?:[.!?…]+[\"'”’)\]]*(?=\s)|\n)\s*")
CLAUSE = re.compile(r"[,;:–—]\s+")
SHORT_FORM = re.compile(r"(?:\b(?:mr|mrs|ms|dr|st|prof|vs|etc|e\.g|i\.e|approx|no)|\b[A-Z]|^\s*\d+)\.$", re.IGNORECASE)
EARLY_CHARACTERS = 30
"""The first piece may end at a comma after so many characters: the first sound comes earlier."""
LONGEST = 400
"""Characters without any end of a sentence after which a piece is cut at a space."""
FENCE = "```"


class Sentences:
    """Pieces of text in; what can already be spoken out. Code between fences is left out."""

    def __init__(self) -> None:
        self._text, self._first, self._in_code = "", True, False

    def push(self, text: str) -> list[str]:
        self._text += text
        return self._ready()

    def end(self) -> list[str]:
        """The text ends here: all that is left."""
        pieces, rest = self._ready(), "" if self._in_code else self._text
        self.__init__()
        return pieces + [spoken for piece in [rest] if (spoken := speakable(piece))]

    def _ready(self) -> list[str]:
        pieces = []
        while (piece := self._cut()) is not None:
            if spoken := speakable(piece):
                pieces.append(spoken)
                self._first = False
        return pieces

    def _cut(self) -> str | None:
        """The next finished piece of what is there, or None."""
        fence = self._text.find(FENCE)
        if self._in_code:
            if fence < 0:
                return None
            self._text, self._in_code = self._text[fence + len(FENCE) :], False
            return ""
        prose = self._text if fence < 0 else self._text[:fence]
        for match in END.finditer(prose):
            if not SHORT_FORM.search(prose[: match.start() + 1]) or "\n" in match.group():
                return self._take(match.end())
        if fence >= 0:
            self._in_code = True
            self._text = prose + self._text[fence + len(FENCE) :]
            return self._take(fence)
        if self._first:
            for match in CLAUSE.finditer(prose, EARLY_CHARACTERS):
                return self._take(match.end())
        if len(prose) > LONGEST and (space := prose.rfind(" ", 0, LONGEST)) > 0:
            return self._take(space + 1)
        return None

    def _take(self, end: int) -> str:
        piece, self._text = self._text[:end], self._text[end:]
        return piece


def speakable(text: str) -> str:
    """One piece as a voice should read it: no Markdown, no addresses, no pictures, nothing that is not text."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\bhttps?://\S+", "a link", text)
    text = re.sub(r"^\s*(?:#{1,6}|>|[-*+]|\|)\s+", "", text, flags=re.MULTILINE)
    text = re.sub(r"[*`|~]+|(?<!\w)_+|_+(?!\w)", " ", text)
    kept = "".join(
        c if unicodedata.category(c) not in ("So", "Sk", "Cc", "Cf", "Cs", "Co", "Cn") else " " for c in text
    )
    kept = re.sub(r"\s+", " ", kept).strip()
    return kept if any(c.isalnum() for c in kept) else ""
