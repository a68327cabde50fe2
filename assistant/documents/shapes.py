"""The kind of thing that a question asks for, and what such a thing looks like in a sentence."""

from __future__ import annotations

import re

_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DAYS = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?"
_NUMBER = (
    r"(?:\d[\d,.]*|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen"
    r"|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|half|once|twice"
    r"|nothing|none)\b)"
)
_TIMES = r"(?:-|\s)?(?:seconds?|minutes?|mins?|h|hours?|days?|nights?|weeks?|months?|quarters?|years?)\b"
_NAME = r"[A-Z][\w'’]+"


def _any(*patterns: str, exact: bool = False) -> re.Pattern[str]:
    return re.compile("|".join(patterns), 0 if exact else re.IGNORECASE)


LOOKS: dict[str, re.Pattern[str]] = {
    "date": _any(
        rf"\b(?:{_MONTHS}|{_DAYS}|(?:19|20)\d\d|\d{{1,2}}[:.]\d\d|o'clock|noon|midnight|mornings?|evenings?)\b",
        r"\b[ap]\.?m\.",
        r"\b(?:every|each|daily|weekly|monthly|yearly|(?:in|at|by) (?:spring|summer|autumn|winter))\b",
        r"\b(?:as soon as|before|after|until|when)\b",
    ),
    "number": _any(rf"\b{_NUMBER}"),
    "money": _any(
        r"[€£$¥]\s?\d",
        r"\b\d[\d,.]*\s?(?:euros?|pounds?|dollars?|pence|cents?|yen|shillings?|francs?|eur|gbp|usd|€|£|\$)",
        r"\bcosts? (?:\S+ ){0,2}\d",
        r"\bfree\b|\bprice\b.*\d",
    ),
    "duration": _any(rf"\b(?:{_NUMBER})(?:\s\w+)?{_TIMES}", r"\bquarter of an hour\b", r"\d+ h \d+"),
    "frequency": _any(rf"\b(?:every|each|once|twice|per|daily|weekly|monthly|yearly|{_DAYS})\b"),
    "person": _any(
        r"\b(?:Mr|Mrs|Ms|Miss|Dr|Prof|Professor|Coach|Aunt|Uncle|Captain)\.? [A-Z]\w+",
        rf"\b{_NAME} (?:[A-Z]\. )?{_NAME}",
        r"(?<=[a-z,:;] )[A-Z][a-z]\w+",
        r"\bby (?:the|my|our|his|her) \w+",
        r"^[\s*>-]*[A-Z][a-z]+(?= \w+s\b)",
        exact=True,
    ),
    "place": _any(
        r"\b(?:in|at|on|under|underneath|behind|beside|near|above|below|beneath|inside|outside|opposite|between|into|along"
        r"|next to|to|from)\s+(?:the|a|an|my|our|his|her|its|their|[A-Z]\w+|number)\b",
        exact=True,
    ),
    "reason": _any(
        r"\b(?:because|since|due|so that|therefore|otherwise|owing|as the|as it|reason|for fear|to avoid)\b",
    ),
    "permission": _any(
        r"\b(?:not|no|never|may|can|must|allowed|permitted|forbidden|only|need|needs|yes|without)\b"
    ),
    "way": _any(
        r"^[\s*•>|-]*(?:Do not|Please|Never|Always|First|Then|To|If)\b",
        r"^[\s*•>|-]*(?!The\b|It\b|This\b|There\b)[a-z]+ (?:the|a|an|it|your|off|on|up|out|in|down|with|half|back)\b",
        r"\b(?:press|pull|turn|open|use|run|hold|call|ring|put|push|take|clean|check)\b",
    ),
}  # fmt: skip
_ASKS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("duration", _any(
        r"\bhow long (?:does|do|did|will|is|are|was|were|can|may|should|must|have|has|before|until|after)\b",
        r"\bfor how (?:long|many (?:days|weeks|months|years|hours|minutes))\b",
        r"\bhow (?:far ahead|much notice|much time|old)\b",
    )),
    ("frequency", _any(r"\bhow often\b", r"\bhow many times\b")),
    ("money", _any(
        r"\bhow (?:much|expensive)\b.*\b(?:costs?|pay|paid|owe|spend|spent|charged?|rent|deposit|fee|price|earn|bill"
        r"|fine|salary|wage|money)\b",
        r"\bwhat (?:is|was|are|does|do|did) .*\b(?:costs?|price|rent|fees?|fine|deposit|balance)\b",
        r"\b(?:fee|price|rent) (?:is|for)\b",
        r"^how much (?:is|are|was|were)\b",
    )),
    ("date", _any(r"\bwhen\b", r"\b(?:what|which) (?:time|day|date|month|year|hours?|days)\b", r"\bduring which\b")),
    ("number", _any(
        r"\bhow (?:many|much|big|large|tall|high|heavy|fast|far|wide|deep|cold|hot|warm|long)\b",
        r"\b(?:number|percentage|amount|range|pressure|size|weight|length|width|height|capacity|port|limit)\b",
    )),
    ("person", _any(r"\bwho(?:m|se)?\b", r"\bwith whom\b", r"\bwhat is the name\b")),
    ("place", _any(r"\bwhere\b", r"\bin which (?:room|street|town|city|place|country)\b", r"\bwhich place\b")),
    ("reason", _any(r"\bwhy\b", r"\bfor what reason\b", r"\bhow come\b")),
    ("permission", _any(r"^(?:can|may|am|is|are|do|does|must|should|could)\b(?!.*\bwho\b).*")),
    ("way", _any(r"\bhow (?:do|can|should|must|would|to)\b", r"\bwhat (?:should|can|must|do) (?:i|we|you)\b")),
)  # fmt: skip


def shape_of(text: str) -> str:
    """A key of LOOKS, or "": what is asked for first, as in "what should I do when ...", which is no date."""
    found = [(match.start(), place, shape) for place, (shape, asks) in enumerate(_ASKS) if (match := asks.search(text))]
    return min(found)[2] if found else ""
