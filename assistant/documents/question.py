"""What a question asks for: its words that matter, and the kind of thing that would answer it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

WORD = re.compile(r"\w+")
STOP_WORDS = frozenset(
    """a about after again all also am an and any are as at be because been before being but by can could did do does doing
    done for from get gets getting give go goes going got had has have having he her here hers him his how i if in into is it
    its itself just let lets like ll m many may me might mine more most much must my myself need needs no nor not of off on
    once only or other our ours out over own please re s same shall she should so some such t tell than that the their theirs
    them then there these they thing things this those through to too under until up upon us ve very want was we were what
    when where which while who whom whose why will with would you your yours d does's is's happen happens happened
    say says said know anything something somebody anybody someone anyone else exactly really""".split()
)
"""Words that say how a question is put and not what it is about."""
MEANT = re.compile(
    r"\b(?:(?:in|from|within|inside|according to|through|search|check|look (?:in|into|at|through))\s+(?:all\s+)?(?:of\s+)?"
    r"(?:my|our|the|these|those)\s+(?:\w+\s+)?"
    r"(?:documents?|docs|files?|notes|papers|paperwork|pdfs?|manuals?|records)"
    r"|(?:what|anything|something)\b.*\bmy\s+(?:documents?|docs|files?|notes|papers|paperwork|pdfs?)\b.*\b(?:say|says|said|tell|mention|about|know)"
    r"|\bmy\s+(?:documents?|docs|files?|notes|papers|paperwork|pdfs?)\s+(?:say|mention|tell|know))\b",
    re.IGNORECASE,
)
"""The user speaks of documents outright: "what do my documents say about ...", "in my notes, ..."."""
FILLER = re.compile(
    r"\b(?:documents?|docs|files?|notes|papers|paperwork|pdfs?|manuals?|records|say|says|mention|mentions|tell|tells)\b",
    re.IGNORECASE,
)
OPENING = re.compile(
    r"^(?:(?:please|hey|hi|hello|ok|okay|so|and|but|well|now|also|then|er|um)[,!]?\s+)*"
    r"(?:can|could|would|will) you (?:please )?(?:tell me|say|find out|look up)\s+|^(?:please )?(?:tell me|find out|look up)\s+"
    r"|^(?:i(?:'d| would) like to know|i want to know|do you know|i wonder|i was wondering)\s+",
    re.IGNORECASE,
)

MONTHS = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
DAYS = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?"
NUMBER = (
    r"(?:\d[\d,.]*|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
    r"|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|half|once|twice|nothing|none)\b)"
)
UNITS = r"(?:-|\s)?(?:seconds?|minutes?|mins?|h|hours?|days?|nights?|weeks?|months?|quarters?|years?|quarter of an hour)\b"
SHAPES: dict[str, re.Pattern[str]] = {
    "date": re.compile(
        rf"\b(?:\d{{1,2}}(?:st|nd|rd|th)?\.? {MONTHS}|{MONTHS}|{DAYS}|\d{{1,2}}[:.]\d\d|(?:19|20)\d\d|o'clock|[ap]\.?m\.|noon"
        r"|midnight|mornings?|evenings?|every|each|daily|weekly|monthly|yearly|(?:in|at|by) (?:spring|summer|autumn|winter)"
        r"|as soon as|before|after|until|when|only now)\b",
        re.IGNORECASE,
    ),
    "number": re.compile(rf"\b{NUMBER}", re.IGNORECASE),
    "money": re.compile(
        r"[€£$¥]\s?\d|\b\d[\d,.]*\s?(?:euros?|pounds?|dollars?|pence|cents?|yen|shillings?|francs?|eur|gbp|usd|€|£|\$)"
        r"|\bcosts? (?:\S+ ){0,2}\d|\bfor free\b|\bfree\b|\bprice\b.*\d",
        re.IGNORECASE,
    ),
    "duration": re.compile(rf"\b(?:{NUMBER})(?:\s\w+)?{UNITS}|\bquarter of an hour\b|\d+ h \d+", re.IGNORECASE),
    "frequency": re.compile(rf"\b(?:every|each|once|twice|per|daily|weekly|monthly|yearly|{DAYS})\b", re.IGNORECASE),
    "person": re.compile(
        r"\b(?:Mr|Mrs|Ms|Miss|Dr|Prof|Professor|Coach|Aunt|Uncle|Captain)\.? [A-Z]\w+|\b[A-Z][\w'’]+ (?:[A-Z]\. )?[A-Z][\w'’]+"
        r"|(?<=[a-z,:;] )[A-Z][a-z]\w+|\bby (?:the|my|our|his|her) \w+|^[\s*>-]*[A-Z][a-z]+(?= \w+s\b)",
    ),
    "place": re.compile(
        r"\b(?:in|at|on|under|underneath|behind|beside|near|above|below|beneath|inside|outside|opposite|between|into|along|next to"
        r"|to|from)\s+(?:the|a|an|my|our|his|her|its|their|[A-Z]\w+|number)\b",
    ),
    "reason": re.compile(
        r"\b(?:because|since|due|so that|therefore|otherwise|owing|as the|as it|reason|for fear|to avoid|is being|are not allowed"
        r"|so (?:leave|we|you)|allerg\w+|blocked)\b",
        re.IGNORECASE,
    ),
    "permission": re.compile(
        r"\b(?:not|no|never|may|can|must|allowed|permitted|forbidden|only|need|needs|refused|consent|yes|without)\b", re.IGNORECASE
    ),
    "way": re.compile(
        r"^(?:[\s*•>|-]*)(?:(?:Do not|Please|Never|Always|First|Then|To|If)\b|(?!The\b|It\b|This\b|There\b)[A-Z][a-z]+ (?:the|a|an|it|your"
        r"|off|on|up|out|in|down|with|half|back)\b)|\b(?:press|pull|turn|open|use|run|hold|call|ring|put|push|take|clean|check)\b",
        re.IGNORECASE,
    ),
}
ASKS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (shape, re.compile(pattern, re.IGNORECASE))
    for shape, pattern in (
        ("duration", r"\bhow long (?:does|do|did|will|is|are|was|were|can|may|should|must|have|has|before|until|after|in advance)\b"
                     r"|\bfor how (?:long|many (?:days|weeks|months|years|hours|minutes))\b|\bhow (?:far ahead|much notice|much time|old)\b"),
        ("frequency", r"\bhow often\b|\bhow many times\b"),
        ("money", r"\bhow (?:much|expensive)\b.*\b(?:cost|costs|pay|paid|owe|spend|spent|charge|charged|rent|deposit|fee|price|earn|bill|fine"
                  r"|salary|wage|excess|money)\b|\bwhat (?:is|was|are|does|do|did) .*\b(?:cost|costs|price|rent|fee|fees|fine|deposit|balance)\b"
                  r"|\b(?:the |yearly |monthly )?(?:fee|price|rent) (?:is|for)\b|^how much (?:is|are|was|were)\b"),
        ("date", r"\bwhen\b|\b(?:what|which) (?:time|day|date|month|year|hours?|days)\b|\bduring which\b|\bwhat's the date\b"),
        ("number", r"\bhow (?:many|much|big|large|tall|high|heavy|fast|far|wide|deep|cold|hot|warm|long)\b"
                   r"|\b(?:number|percentage|amount|range|pressure|size|weight|length|width|height|capacity|port|limit)\b"),
        ("person", r"\bwho(?:m|se)?\b|\bwith whom\b|\bwhat is the name\b"),
        ("place", r"\bwhere\b|\bin which (?:room|street|town|city|place|country)\b|\bwhich place\b"),
        ("reason", r"\bwhy\b|\bfor what reason\b|\bhow come\b"),
        ("permission", r"^(?:(?:can|may|am|is|are|do|does|must|should|could)\b)(?!.*\bwho\b).*"),
        ("way", r"\bhow (?:do|can|should|must|would|to)\b|\bwhat (?:should|can|must|do) (?:i|we|you)\b"),
    )
)  # fmt: skip
IS_QUESTION = re.compile(
    r"\?\s*$|^(?:what|when|where|which|who|whom|whose|why|how|is|are|am|was|were|do|does|did|can|could|may|must|should|will|has|have"
    r"|on|in|at|for|with|during|from|to|by|under|until|since)\b.*|^(?:what|who|when|where|how)['’]s\b",
    re.IGNORECASE,
)
MOST_WORDS = 40  # a longer text is a story and no question


@dataclass(frozen=True, slots=True)
class Question:
    """`words`: lower case, in order, each once; `shape`: a key of SHAPES or ""; `meant`: it speaks of documents."""

    text: str
    words: tuple[str, ...]
    shape: str
    meant: bool
    pairs: tuple[tuple[str, str], ...] = ()  # words that follow one another


def understand(text: str) -> Question:
    text = " ".join(text.split())
    meant = bool(MEANT.search(text))
    asked = MEANT.sub(" ", text) if meant and WORD.search(FILLER.sub(" ", MEANT.sub(" ", text))) else text
    asked = OPENING.sub("", asked.strip(" ,.:")).strip()
    every = WORD.findall(asked.lower())
    matter = [w not in STOP_WORDS and not (meant and FILLER.fullmatch(w)) for w in every]
    words = [w for w, matters in zip(every, matter, strict=True) if matters]
    pairs = [(a, b) for (a, b), both in zip(pairwise(every), pairwise(matter), strict=True) if all(both)]
    return Question(text, tuple(dict.fromkeys(words)), _shape(asked), meant, tuple(pairs))


def is_question(text: str) -> bool:
    """A person wants to know something; a story, an order or a greeting is none."""
    text = OPENING.sub("", " ".join(text.split()))
    return len(text.split()) <= MOST_WORDS and ("?" in text or bool(IS_QUESTION.match(text)) and len(text.split()) > 2)


def _shape(text: str) -> str:
    """What is asked for first: in "what should I do when ..." that is no date."""
    found = [(match.start(), place, shape) for place, (shape, pattern) in enumerate(ASKS) if (match := pattern.search(text))]
    return min(found)[2] if found else ""
