"""The words of a text as the lexicon counts them."""

from __future__ import annotations

import re

WORD = re.compile(r"[a-z]+(?:'[a-z]+)*|[!?]+|[:;=x][-']?[)(dp/]+|\d+|[^\sa-z0-9.,;:\"()\[\]'!?-]")
MOST_CHARS = 4000
"""More of a message than this says nothing new about its mood."""


def words_of(text: str) -> list[str]:
    """Each word, run of ! or ?, emoticon and odd sign of a text once, in lower case, in order."""
    return list(dict.fromkeys(WORD.findall(text[:MOST_CHARS].lower().replace("’", "'"))))
