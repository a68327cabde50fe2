"""Word error rate: how many words have to be changed, put in or taken out (pure)."""

from __future__ import annotations

import re

NUMBERS = dict(zip(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "15", "20", "25", "30", "45", "50", "60", "90", "100"],
                   ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "fifteen", "twenty", "twentyfive", "thirty", "fortyfive", "fifty", "sixty", "ninety", "hundred"], strict=True))  # fmt: skip


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
