"""The probe battery: questions with rules for a good last answer, split by a hash into dev parts and a sealed part.

`battery.txt` holds `[category] =/> unwanted` lines and `first turn >> second turn => wanted && wanted =/> unwanted`.
The model answers every turn itself; in its last answer a word must begin like each wanted pattern and none like an
unwanted one, be it the probe's own or its category's.

The sealed part is never looked at while a model is developed: `read_battery` gives it only to a caller that asks for it
by name, and the reports of it hold totals, not questions.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import UsageError

BATTERY_FILE = Path(__file__).with_name("battery.txt")
DEV, SEALED = "dev", "sealed"
PARTS = ("dev-a", "dev-b", SEALED)
STOCK_SHARE = 0.05  # an answer given to more of the probes than this counts as right for that many of them only
STOCK_MIN = 2  # of a small set even two equal answers are more than the share
LONGEST_REPLY = 400  # characters; a reply that lists everything would match anything


@dataclass(frozen=True)
class Probe:
    """One line of the battery."""

    category: str
    turns: tuple[str, ...]
    wanted: tuple[str, ...]
    unwanted: tuple[str, ...] = ()

    @property
    def part(self) -> str:
        """dev-a, dev-b or sealed: by the text of the turns alone, so that a change of the rules never moves a probe."""
        return PARTS[zlib.crc32(" >> ".join(self.turns).encode()) % len(PARTS)]

    def is_answered_by(self, reply: str) -> bool:
        """Whether the rules accept this last answer."""
        if not reply or len(reply) > LONGEST_REPLY:
            return False
        wanted = all(_begins_a_word(pattern, reply) for pattern in self.wanted)
        return wanted and not any(_begins_a_word(pattern, reply) for pattern in self.unwanted)


def _begins_a_word(pattern: str, text: str) -> bool:
    # "n't" stands inside a word; everything else must begin one.
    return re.search(rf"(?:\b|(?=n't))(?:{pattern})", text, re.IGNORECASE) is not None


def read_battery(parts: str = DEV, path: Path = BATTERY_FILE) -> list[Probe]:
    """The probes of `dev` (both dev parts), `dev-a`, `dev-b` or `sealed`, in the order of the file."""
    wanted_parts = PARTS[:2] if parts == DEV else (parts,)
    if not set(wanted_parts) <= set(PARTS):
        raise UsageError(f"the battery has no part {parts!a}", hint=f"Choose from {', '.join((DEV, *PARTS))}")
    return [probe for probe in _parse(path) if probe.part in wanted_parts]


def _parse(path: Path) -> list[Probe]:
    probes, category, never = [], "", ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            category, _, never = line[1:].partition("]")
            never = never.removeprefix(" =/> ")
        elif line.strip() and not line.startswith("#"):
            said, _, pattern = line.partition(" => ")
            wanted, _, unwanted = pattern.partition(" =/> ")
            turns = tuple(turn.strip() for turn in said.split(" >> "))
            rules = tuple(part.strip() for part in wanted.split(" && "))
            probes.append(Probe(category, turns, rules, tuple(filter(None, (unwanted.strip(), never)))))
    return probes


def normalised(text: str) -> str:
    """Letters and digits in lower case: what makes two turns the same question."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


_STOP_TEXT = """
a about all am an and any are as at be but can could did do does did for from get go going got had has have he hello
her hey hi him his how i if in is it just let m me more much my no not now of off ok okay on one or our out please s
she so some t tell than that the their them then there they this to too up us very was we well were what when where
which who why will with would you your don dont cant im ive whats ll re ve d really right many
"""
STOP_WORDS = frozenset(_STOP_TEXT.split())
LEAST_CONTENT_WORDS = 3  # of a probe's turn; `thanks` and `my name is ...` are nobody's
NEAR = 0.6  # share of content words that two turns have in common, counted on either side


def content_words(text: str) -> frozenset[str]:
    return frozenset(normalised(text).split()) - STOP_WORDS


class ProbeFilter:
    """Tells whether a sentence is a probe's turn or nearly one: a training set must hold none of them.

    Near is meant by content words, on both sides; for facts only the very words count, since who is to know the capital
    of Norway must have read of it.
    """

    def __init__(self, path: Path = BATTERY_FILE, also: Iterable[str] = ()):
        """`also`: more sentences whose very words must not be read."""
        probes = _parse(path)
        self._exact = {
            normalised(turn) for probe in probes for turn in probe.turns if len(normalised(turn).split()) >= 4
        } | {normalised(text) for text in also}
        self._near: dict[str, list[frozenset[str]]] = {}
        for words in {content_words(turn) for probe in probes if probe.category != "facts" for turn in probe.turns}:
            if len(words) >= LEAST_CONTENT_WORDS:
                for word in words:
                    self._near.setdefault(word, []).append(words)

    def resembles(self, text: str) -> bool:
        """Whether a user's sentence comes too close to the battery, be it to the dev or to the sealed part."""
        if normalised(text) in self._exact:
            return True
        words = content_words(text)
        candidates = {probe for word in words for probe in self._near.get(word, ())}
        return any(len(words & probe) >= NEAR * max(len(words), len(probe)) for probe in candidates)


@dataclass(frozen=True)
class Outcome:
    """One probe and what became of it."""

    probe: Probe
    replies: tuple[str, ...]
    passed: bool


@dataclass(frozen=True)
class BatteryScore:
    """The battery's result; `answered` already leaves out what a stock answer got beyond its share."""

    asked: int
    answered: int
    by_category: dict[str, tuple[int, int]]
    stock_answer: str
    stock_share: float
    outcomes: tuple[Outcome, ...]

    @property
    def share(self) -> float:
        return self.answered / max(1, self.asked)


def score(probes: list[Probe], replies: list[list[str]]) -> BatteryScore:
    """Judge the last reply of each probe; one answer counts for at most STOCK_SHARE of the probes."""
    most = max(STOCK_MIN, int(STOCK_SHARE * len(probes)))
    used: Counter[str] = Counter()
    outcomes = []
    for probe, said in zip(probes, replies, strict=True):
        last = said[-1]
        passed = probe.is_answered_by(last)
        if passed:
            used[last] += 1
            passed = used[last] <= most
        outcomes.append(Outcome(probe, tuple(said), passed))
    asked, right = Counter(p.category for p in probes), Counter(o.probe.category for o in outcomes if o.passed)
    commonest, count = Counter(said[-1] for said in replies).most_common(1)[0] if replies else ("", 0)
    return BatteryScore(
        asked=len(probes),
        answered=sum(right.values()),
        by_category={name: (right[name], asked[name]) for name in asked},
        stock_answer=commonest,
        stock_share=count / max(1, len(probes)),
        outcomes=tuple(outcomes),
    )
