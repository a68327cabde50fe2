"""A wake word, found in the transcript: no further model, so every utterance is transcribed to find out (pure)."""

from __future__ import annotations

import difflib
import re

GREETINGS = {"hey", "hi", "hello", "ok", "okay"}
ALIKE = 0.75
"""Likeness from which a heard word is taken for the wake word: small models spell names in their own way."""


def after(word: str, transcript: str) -> str | None:
    """What follows the wake word; "" if nothing does; None if the transcript does not begin with it."""
    wanted = _words(word)
    spans = list(re.finditer(r"[^\W_]+(?:'[^\W_]+)?", transcript))
    heard = [span.group().casefold() for span in spans]
    for skip in (0, 1) if heard[:1] and heard[0] in GREETINGS else (0,):
        said = heard[skip : skip + len(wanted)]
        if wanted and len(said) == len(wanted) and _alike("".join(wanted), "".join(said)):
            return transcript[spans[skip + len(wanted) - 1].end() :].lstrip(" ,.!?;:-–—").strip()
    return None


def _words(text: str) -> list[str]:
    return [word.casefold() for word in re.findall(r"[^\W_]+(?:'[^\W_]+)?", text)]


def _alike(wanted: str, said: str) -> bool:
    if len(wanted) < 5:  # one letter of a short word makes another word
        return wanted == said
    return difflib.SequenceMatcher(None, wanted, said).ratio() >= ALIKE
