"""Word error rate: how many words have to be changed, put in or taken out (pure)."""

from __future__ import annotations

import re

_SMALL = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
NUMBERS = {str(n): word for n, word in enumerate(_SMALL)} | {
    "15": "fifteen", "20": "twenty", "30": "thirty", "50": "fifty", "60": "sixty", "90": "ninety", "100": "hundred",
}  # fmt: skip


def words(text: str) -> list[str]:
    """What is compared: no case, no punctuation, small numbers as words."""
    found = re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.casefold().replace("’", "'").replace("-", " "))
    return [NUMBERS.get(word, word) for word in found]


def errors(said: str, heard: str) -> tuple[int, int]:
    """(edit distance in words, words that were said)."""
    wanted, got = words(said), words(heard)
    row = list(range(len(got) + 1))
    for i, word in enumerate(wanted, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(got, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1], len(wanted)
