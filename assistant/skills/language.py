"""How people put things: politeness and slips of the pen taken off, numbers and durations read, rules in order."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

TYPOS = {
    "wat": "what", "wht": "what", "waht": "what", "whats": "what's", "wats": "what's", "hows": "how's",
    "whens": "when's", "todays": "today's", "tomorow": "tomorrow", "tommorow": "tomorrow", "tommorrow": "tomorrow",
    "tomorrrow": "tomorrow", "tmrw": "tomorrow", "yesteday": "yesterday", "wensday": "wednesday",
    "wednsday": "wednesday", "wendesday": "wednesday", "thrusday": "thursday", "thurday": "thursday",
    "saterday": "saturday", "tusday": "tuesday", "teusday": "tuesday", "febuary": "february", "feburary": "february",
    "remnd": "remind", "remaind": "remind", "rmind": "remind", "remider": "reminder",
    "reminer": "reminder", "tiemr": "timer", "timmer": "timer", "timr": "timer", "minuts": "minutes",
    "mintues": "minutes", "minites": "minutes", "minuets": "minutes", "secounds": "seconds", "housr": "hours",
    "calcualte": "calculate", "caculate": "calculate", "calulate": "calculate", "convrt": "convert",
    "covert": "convert", "conver": "convert", "celcius": "celsius", "farenheit": "fahrenheit",
    "fahrenhiet": "fahrenheit", "kilometres": "kilometers", "dictionnary": "dictionary", "definiton": "definition",
    "batery": "battery", "battrey": "battery", "memroy": "memory", "pls": "please", "plz": "please",
}  # fmt: skip
_TYPO = re.compile(r"\b(?:" + "|".join(TYPOS) + r")\b", re.I)
_QUOTES = str.maketrans("‘’‛´`“”„«»–—−\u00a0\u202f", "'''''\"\"\"\"\"---  ")
_LEAD = re.compile(
    r"(?:(?:hey|hi|hello|ok|okay|so|well|assistant|computer|excuse me)\b[,.!]? +)*"
    r"(?:please,? +|kindly +)?"
    r"(?:(?:can|could|would|will) you (?:please |kindly |quickly |maybe |just )?"
    r"|would you mind |i(?:'d| would) (?:like|love) (?:you )?to |i (?:want|need) (?:you )?to |i wanna )?"
    r"(?:please |kindly )?(?:help me )?"
    r"(?:(?:tell(?:ing)? me|know|let me know|give me)(?=[ ,:]),?:? |do you (?:happen to )?know )?(?:please,? )?",
    re.I,
)
_TAIL = re.compile(
    r"(?:,? +(?:please|thanks|thank you|thx|for me|right now|(?<!from )now|starting now|at the moment|if you can))+$",
    re.I,
)
_END = re.compile(r"(?:[\s?.]|(?<![\d)])!)+$")


@dataclass(frozen=True, slots=True)
class Said:
    """A message as the grammars read it. `text` has lost wrappers, slips and the mark at its end; `raw` nothing
    but line ends."""

    raw: str
    body: str  # without the wrapper before it, otherwise as it was written
    text: str
    asked: bool  # a question mark at its end
    wrapped: bool  # it was put as a request ("could you ...")


@lru_cache(maxsize=16)
def said(message: str) -> Said:
    """Each skill asks for the same message: only the first has work. Case is kept; rules ignore it."""
    raw = " ".join(unicodedata.normalize("NFKC", message.translate(_QUOTES)).split())
    text = _END.sub("", raw)
    if not TYPOS.keys().isdisjoint(re.findall(r"\w+", text.lower())):
        text = _TYPO.sub(lambda m: TYPOS[m.group().lower()], text)
    lead = _LEAD.match(text).end()
    text = _TAIL.sub("", text[lead:])
    body = raw[_LEAD.match(raw).end() :]
    return Said(raw, body, _END.sub("", text), raw.endswith("?"), lead > 0)


class Rules:
    """Patterns of whole sentences, tried in order; in them a space stands for itself and case does not count."""

    def __init__(self, **patterns: str):
        self._sources = patterns

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        """Compiled with the first match: all skills' take 0.15 s, which a start should not wait for."""
        return {name: re.compile(pattern, re.I) for name, pattern in self._sources.items()}

    def match(self, text: str) -> tuple[str, dict[str, str | None]] | None:
        """(name of the rule, its named groups)."""
        for name, pattern in self._patterns.items():
            if found := pattern.fullmatch(text):
                return name, found.groupdict()
        return None


# --- numbers ---

_SMALL = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
UNITS = {word: n for n, word in enumerate([*_SMALL.split(), "seventeen", "eighteen", "nineteen"])}
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
TENS = {word: 10 * n for n, word in enumerate(_TENS.split(), 2)}
TENS["fourty"] = 40
SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
NUMBER_WORDS = frozenset((*UNITS, *TENS, *SCALES))
_WORD = "(?:" + "|".join(sorted(NUMBER_WORDS, key=len, reverse=True)) + ")"
DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
_WORDS = rf"(?:(?:an? )?{_WORD}(?:(?: and |[ -]){_WORD})*\b(?: point {_WORD}(?: {_WORD})*)?|an? dozen)"
NUMBER = rf"(?:{DIGITS}|{_WORDS})"
"""A pattern for what `number` reads."""


def number(text: str) -> Fraction | None:
    """Digits ("1,250.5") or words ("one hundred and twenty", "two point five"), exactly; None for anything else."""
    text = text.strip().lower()
    if re.fullmatch(DIGITS, text):
        return Fraction(text.replace(",", ""))
    if re.fullmatch(r"an? dozen", text):
        return Fraction(12)
    whole, _, digits = text.partition(" point ")
    tail = [UNITS.get(word, 10) for word in digits.split()]
    if any(digit > 9 for digit in tail):
        return None
    value = _cardinal(re.split(r"[ -]+", whole))
    return None if value is None else value + sum((Fraction(d, 10**i) for i, d in enumerate(tail, 1)), Fraction(0))


def _cardinal(words: list[str]) -> Fraction | None:
    total = current = 0
    last = None  # the kind of the word before, so that "two three" is no number
    if words and words[0] in ("a", "an") and len(words) > 1 and words[1] in SCALES:
        words = ["one", *words[1:]]
    for i, word in enumerate(words):
        if word == "and" and last == "scale" and i + 1 < len(words):
            continue
        if word in UNITS and (last in (None, "scale") or (last == "tens" and 0 < UNITS[word] < 10)):
            current, last = current + UNITS[word], "unit"
        elif word in TENS and last in (None, "scale"):
            current, last = current + TENS[word], "tens"
        elif word == "hundred" and last in ("unit", "tens") and current < 100:
            current, last = current * 100, "scale"
        elif word in SCALES and word != "hundred" and last is not None and (not total or SCALES[word] < total):
            total, current, last = total + current * SCALES[word], 0, "scale"
        else:
            return None
    return Fraction(total + current) if last else None


# --- durations ---


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time; months and days are the calendar's, seconds are the clock's."""

    months: int = 0
    days: int = 0
    seconds: Fraction = Fraction(0)


_UNIT_SPANS = {"second": (0, 0, 1), "minute": (0, 0, 60), "hour": (0, 0, 3600), "day": (0, 1, 0), "week": (0, 7, 0),
               "fortnight": (0, 14, 0), "month": (1, 0, 0), "year": (12, 0, 0)}  # fmt: skip
_SHORT = {"s": "second", "sec": "second", "secs": "second", "min": "minute", "mins": "minute", "m": "minute",
          "h": "hour", "hr": "hour", "hrs": "hour", "d": "day"}  # fmt: skip
_UNIT = r"(?:seconds?|minutes?|hours?|days?|weeks?|fortnights?|months?|years?|secs?|mins?|hrs?|[smhd])(?![a-z])"
_HALVES = r"(?:half an hour|half a minute|a quarter of an hour|three quarters of an hour|a half hour)"
# Each text fits in one way only: a second way for a part would be two to the power of the parts.
_AMOUNT = rf"(?:{DIGITS}(?: and a half)?[ -]?|(?:{_WORDS}|an?|a couple of|a few)(?: and a half)?[ -])"
_PART = rf"(?:{_HALVES}|{_AMOUNT}{_UNIT}(?: and a half)?)"
SPAN = rf"(?:{_PART}(?:(?:,? and |, | )?{_PART}){{0,5}})"
"""A pattern for what `span` reads."""
TAIL_SPAN = rf"(?:{NUMBER}|half|an?)[ -](?:{_UNIT}|an hour|hour)(?:(?: and)? {NUMBER}[ -]{_UNIT})?"
"""The same before a noun: "5 minute timer"."""
_SPLIT = re.compile(
    rf"(?P<halves>{_HALVES})|(?<![a-z])(?P<n>{DIGITS}|(?:{NUMBER}|a couple of|a few"
    rf"|an?)(?=[ -]))(?P<h1> and a half)?[ -]*"
    rf"(?P<unit>{_UNIT})"
    rf"(?P<h2> and a half)?", re.I,
)  # fmt: skip
_HALF_SECONDS = {"half an hour": 1800, "a half hour": 1800, "half a minute": 30, "a quarter of an hour": 900,
                 "three quarters of an hour": 2700}  # fmt: skip


def span(text: str) -> Span | None:
    """ "1 hour and 30 minutes", "two weeks", "an hour and a half"; None for anything else, and for half a month."""
    if not re.fullmatch(SPAN, text, re.I):
        return None
    months, days, seconds = Fraction(0), Fraction(0), Fraction(0)
    for part in _SPLIT.finditer(text):
        if part["halves"]:
            seconds += _HALF_SECONDS[part["halves"].lower()]
            continue
        word = part["n"].lower()
        amount = {"a": Fraction(1), "an": Fraction(1), "a couple of": Fraction(2), "a few": Fraction(3)}.get(word)
        amount = number(word) if amount is None else amount
        if amount is None:
            return None
        amount += Fraction(1, 2) if part["h1"] or part["h2"] else 0
        unit = part["unit"].lower()
        unit = _SHORT.get(unit) or unit.rstrip("s")
        m, d, s = _UNIT_SPANS[unit]
        months, days, seconds = months + m * amount, days + d * amount, seconds + s * amount
    if days.denominator != 1:
        seconds, days = seconds + 86400 * (days % 1), Fraction(days // 1)
    return None if months.denominator != 1 else Span(int(months), int(days), seconds)


def span_words(length: Span) -> str:
    """ "1 hour 30 minutes"."""
    seconds = int(length.seconds) if length.seconds.denominator == 1 else float(length.seconds)
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = ((length.months, "month"), (length.days, "day"), (int(hours), "hour"), (int(minutes), "minute"))
    shown = [plural(n, unit) for n, unit in parts if n]
    return " ".join([*shown, *([plural(round(rest, 3), "second")] if rest else [])]) or "0 seconds"


def plural(count: int | Fraction, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
