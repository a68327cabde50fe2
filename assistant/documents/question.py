"""What a question asks for: its words that matter, and whether it speaks of documents at all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from assistant.documents.shapes import shape_of

WORD = re.compile(r"\w+")
_STOP_WORDS = """
a about after again all also am an and any are as at be because been before being but by can could did do does
doing done for from get gets getting give go goes going got had has have having he her here hers him his how i
if in into is it its itself just let lets like ll m many may me might mine more most much must my myself need
needs no nor not of off on once only or other our ours out over own please re s same shall she should so some
such t tell than that the their theirs them then there these they thing things this those through to too under
until up upon us ve very want was we were what when where which while who whom whose why will with would you
your yours d happen happens happened say says said know anything something somebody anybody someone anyone
else exactly really
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words that say how a question is put and not what it is about."""
_PAPERS = r"(?:documents?|docs|files?|notes|papers|paperwork|pdfs?)"
_SAY = r"(?:say|says|said|tell|tells|mention|mentions|know)"
MEANT = re.compile(
    r"\b(?:(?:in|from|within|inside|according to|through|search|check|look (?:in|into|at|through))\s+"
    rf"(?:all\s+)?(?:of\s+)?(?:my|our)\s+(?:\w+\s+)?(?:{_PAPERS}|manuals?|records)"
    rf"|(?:what|anything|something)\b.*\bmy\s+{_PAPERS}\b.*\b(?:{_SAY}|about)"
    rf"|\bmy\s+{_PAPERS}\s+{_SAY})\b",
    re.IGNORECASE,
)
"""The user speaks of documents outright: "what do my documents say about ...", "in my notes, ..."."""
FILLER = re.compile(rf"\b(?:{_PAPERS}|manuals?|records|{_SAY})\b", re.IGNORECASE)
OPENING = re.compile(
    r"^(?:(?:please|hey|hi|hello|ok|okay|so|and|but|well|now|also|then|er|um)[,!]?\s+)*"
    r"(?:can|could|would|will) you (?:please )?(?:tell me|say|find out|look up)\s+"
    r"|^(?:please )?(?:tell me|find out|look up)\s+"
    r"|^(?:i(?:'d| would) like to know|i want to know|do you know|i wonder|i was wondering)\s+",
    re.IGNORECASE,
)
"""What stands before a question, and asks nothing itself."""
IS_QUESTION = re.compile(
    r"^(?:(?:on|in|at|for|with|during|from|to|by|under|until|since)\s+(?:what|which|whom|whose|how|when|where)"
    r"|what|when|where|which|who|whom|whose|why|how|is|are|am|was|were|do|does|did|can|could|may|must|should|will|has"
    r"|have)\b",
    re.IGNORECASE,
)
ORDER = re.compile(r"^(?:search|look|check|find|quote|show)\b", re.IGNORECASE)
MOST_WORDS = 40
"""A longer text is a story and no question."""


@dataclass(frozen=True, slots=True)
class Question:
    """`words`: lower case, in order, each once; `pairs`: those that follow one another; `shape`: a key of shapes.LOOKS
    or ""; `meant`: it speaks of documents."""

    text: str
    words: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    shape: str
    meant: bool


def understand(text: str) -> Question:
    text = " ".join(text.split())
    meant = bool(MEANT.search(text))
    asked = MEANT.sub(" ", text) if meant and WORD.search(FILLER.sub(" ", MEANT.sub(" ", text))) else text
    asked = OPENING.sub("", asked.strip(" ,.:")).strip()
    every = WORD.findall(asked.lower())
    matter = [w not in STOP_WORDS and not (meant and FILLER.fullmatch(w)) for w in every]
    words = dict.fromkeys(w for w, matters in zip(every, matter, strict=True) if matters)
    pairs = [pair for pair, both in zip(pairwise(every), pairwise(matter), strict=True) if all(both)]
    return Question(text, tuple(words), tuple(pairs), shape_of(asked), meant)


def asks_documents(text: str) -> bool:
    """The user wants their documents to be looked at; not only speaks of them ("it is all in my notes")."""
    text = OPENING.sub("", " ".join(text.split()))
    if not MEANT.search(text) or len(text.split()) > MOST_WORDS:
        return False
    rest = MEANT.sub(" ", text).strip(" ,.:")
    return "?" in text or bool(ORDER.match(text) or IS_QUESTION.match(text) or IS_QUESTION.match(rest))


def is_question(text: str) -> bool:
    """A person wants to know something; a story, an order or a greeting is none."""
    text = OPENING.sub("", " ".join(text.split()))
    count = len(text.split())
    return count <= MOST_WORDS and ("?" in text or (count > 2 and bool(IS_QUESTION.match(text))))
