"""Which sentences answer a question, and how sure that is: "I don't know" is an answer too.

No model takes part: what is quoted stands in the file, and the confidence is a logistic function of a few figures whose
coefficients come from the development half of the question set (`assistant.evaluation.questions` fits and checks them).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from assistant.documents import search
from assistant.documents.index import Index
from assistant.documents.question import Question, understand
from assistant.documents.related import related
from assistant.documents.search import MOST_WORDS, Hit, any_of, quoted
from assistant.documents.shapes import LOOKS
from assistant.documents.units import LONGEST_WORDS, Stems, Unit, stems_of, units

CANDIDATES = 12
"""Passages that are looked at closely."""
WORTH_ADDING = 0.2
"""Share of a question that a sentence must say beyond its neighbour to be quoted with it."""
SHORT_WORDS = 6


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was tuned on the development half. Shares: how much a word counts that stands beside the sentence only."""

    beside: float = 0.3
    in_heading: float = 0.6
    in_passage: float = 0.2
    in_name: float = 0.3
    akin: float = 0.6  # a related word instead of the word itself
    shape: float = 0.15  # for holding the kind of thing that was asked for
    rank: float = 0.5  # of the passage's place in BM25
    opening: float = 0.1  # for beginning with a word of the question, as "Deposit: ..." does
    phrase: float = 0.2  # for words that follow one another as in the question
    expand: bool = True
    weights: tuple[float, float, float] = search.WEIGHTS


TUNED = Tuning()
COEFFICIENTS = (-2.78, 1.22, 0.9, 0.96, 0.16, 2.51, 0.86)
"""Of a constant and `Answer.figures`."""
KNOWN_AT = 0.5


@dataclass(frozen=True, slots=True)
class Quotation:
    """A passage's sentences, word for word (white space as single spaces), and where they begin."""

    hit: Hit
    text: str
    line: int | None
    score: float


@dataclass(frozen=True, slots=True)
class Answer:
    """`best`: the quotation to show first, then the next best ones. `confidence`: how likely the first answers."""

    question: Question
    quotations: list[Quotation] = field(default_factory=list)
    confidence: float = 0.0
    figures: tuple[float, ...] = ()

    @property
    def known(self) -> bool:
        return self.confidence >= KNOWN_AT


@dataclass(slots=True)
class _Term:
    """A word of the question: how rare it is, and in which texts it, or something like it, stands."""

    word: str
    rarity: float
    found: dict[int, float] = field(default_factory=dict)  # number of a text -> how well
    opens: set[int] = field(default_factory=set)  # texts that begin with it


def ask(index: Index, text: str, limit: int = 3, tuning: Tuning = TUNED) -> Answer:
    """The best quotations for a question; their confidence may be as low as 0."""
    question = understand(text)
    words = question.words[:MOST_WORDS]
    if not words:
        return Answer(question)
    terms = _rarities(index, words)
    extra = [w for word in words for w in related(word)] if tuning.expand else []
    hits = search.best(index, any_of([*words, *extra]), CANDIDATES, tuning.weights)
    if not hits:
        return Answer(question)
    texts, scored = _score(hits, terms, question, tuning)
    shape = LOOKS.get(question.shape)
    asked = sum(term.rarity for term in terms)
    quotations: list[Quotation] = []
    for points, number, at, pieces in scored:
        if len(quotations) == limit:
            break
        if any(q.hit.id == hits[number].id for q in quotations):
            continue

        def adds(of: int, beyond: int, pieces: list[Unit] = pieces, first: int = texts.first[number]) -> float:
            if shape and shape.search(pieces[of].text) and not shape.search(pieces[beyond].text):
                return 1.0
            gains = (t.rarity * (t.found.get(first + of, 0.0) - t.found.get(first + beyond, 0.0)) for t in terms)
            return sum(gain for gain in gains if gain > 0) / asked

        quotation = _quotation(hits[number], pieces, at, points, adds)
        if all(quotation.text not in q.text and q.text not in quotation.text for q in quotations):
            quotations.append(quotation)
    figures = _figures(scored, hits, terms, texts, question)
    return Answer(question, quotations, _logistic(figures), figures)


def _rarities(index: Index, words: tuple[str, ...]) -> list[_Term]:
    total = max(1, index.count())
    terms = []
    for word, stem in zip(words, stems_of(words), strict=True):
        row = index.db.execute("SELECT doc FROM vocabulary WHERE term = ?", (stem,)).fetchone() if stem else None
        seen = min(total, row[0]) if row else 0
        terms.append(_Term(word, math.log(1 + (total - seen + 0.5) / (seen + 0.5))))
    return terms


@dataclass(frozen=True, slots=True)
class _Texts:
    """Under which numbers the texts of each hit were looked through: its heading, its name, its first sentence."""

    heading: list[int]
    name: list[int]
    first: list[int]


Scored = list[tuple[float, int, int, list[Unit]]]  # score, number of the hit, of the unit in it, its units
Adds = Callable[[int, int], float]


def _score(hits: list[Hit], terms: list[_Term], question: Question, tuning: Tuning) -> tuple[_Texts, Scored]:
    pieces = [units(hit.body) or [Unit(0, len(hit.body), " ".join(hit.body.split()))] for hit in hits]
    all_texts: list[str] = []
    texts = _Texts([], [], [])
    for hit, parts in zip(hits, pieces, strict=True):
        for numbers, offset in ((texts.heading, 0), (texts.name, 1), (texts.first, 2)):
            numbers.append(len(all_texts) + offset)
        all_texts += [hit.heading, hit.name, *(part.text for part in parts)]
    with Stems(all_texts) as stems:
        for term in terms:
            looked = [(quoted(term.word), 1.0)]
            if tuning.expand and (near := related(term.word)):
                looked.append((any_of(near), tuning.akin))
            for query, worth in looked:
                for number in stems.having(query):
                    term.found[number] = max(worth, term.found.get(number, 0.0))
            term.opens = stems.having("^ " + quoted(term.word))
        pairs = [stems.having(quoted(f"{a} {b}")) for a, b in question.pairs]
    asked = sum(term.rarity for term in terms)
    top = hits[0].score or 1.0
    shape = LOOKS.get(question.shape)
    scored: Scored = []
    for number, (hit, parts) in enumerate(zip(hits, pieces, strict=True)):
        heading, name, first = texts.heading[number], texts.name[number], texts.first[number]
        whole = {id(t): max((t.found.get(first + k, 0.0) for k in range(len(parts))), default=0.0) for t in terms}
        for at, part in enumerate(parts):
            got = 0.0
            for term in terms:
                own, found = term.found.get(first + at, 0.0), term.found
                near = max(found.get(first + at - 1, 0.0) if at else 0.0,
                           found.get(first + at + 1, 0.0) if at + 1 < len(parts) else 0.0)  # fmt: skip
                got += term.rarity * max(
                    own,
                    tuning.beside * near,
                    tuning.in_heading * found.get(heading, 0.0),
                    tuning.in_name * found.get(name, 0.0),
                    tuning.in_passage * whole[id(term)],
                )
            bonus = tuning.shape * (1 if shape.search(part.text) else -1) if shape else 0.0
            long = -0.2 if len(part.text.split()) > LONGEST_WORDS else 0.0
            bonus += tuning.opening * any(first + at in term.opens for term in terms)
            bonus += tuning.phrase * sum(first + at in pair for pair in pairs) / max(1, len(pairs))
            scored.append((got / asked + bonus + long + tuning.rank * hit.score / top, number, at, parts))
    scored.sort(key=lambda entry: (-entry[0], entry[1], entry[2]))
    return texts, scored


def _quotation(hit: Hit, parts: list[Unit], at: int, score: float, adds: Adds) -> Quotation:
    """The sentence, with its neighbours where they say much of what was asked for and the sentence does not.

    `adds(of, beyond)`: what one sentence says of the question that another does not, 0 to 1.
    """
    first = last = at
    if at + 1 < len(parts) and _together(hit.body, parts[at], parts[at + 1]):
        short = len(parts[at].text.split()) < SHORT_WORDS
        if short or parts[at].text.endswith(":") or adds(at + 1, at) >= WORTH_ADDING:
            last = at + 1
    if at and _together(hit.body, parts[at - 1], parts[at]) and adds(at - 1, at) >= WORTH_ADDING:
        first = at - 1
    start, end = parts[first].start, parts[last].end
    return Quotation(hit, " ".join(hit.body[start:end].split()), hit.line_at(start), score)


def _together(body: str, one: Unit, other: Unit) -> bool:
    """Whether nothing but white space is between two sentences of a paragraph."""
    between = body[one.end : other.start]
    return not between.strip() and "\n\n" not in between


def _figures(
    scored: Scored, hits: list[Hit], terms: list[_Term], texts: _Texts, question: Question
) -> tuple[float, ...]:
    """What the confidence is a function of, all of the best sentence:

    the share of the question that it covers by itself (words weighed by rarity); what its passage and headings add; how
    well the rarest word is found anywhere there; whether the kind of thing that was asked for is there (1, -1, 0 for
    none); its lead over the next passage; the logarithm of the number of words.
    """
    score, number, at, parts = scored[0]
    asked = sum(term.rarity for term in terms)
    here = texts.first[number] + at
    around = [texts.first[number] + k for k in range(len(parts))] + [texts.heading[number], texts.name[number]]
    own = sum(term.rarity * term.found.get(here, 0.0) for term in terms) / asked
    reach = sum(term.rarity * max(term.found.get(n, 0.0) for n in around) for term in terms) / asked
    rarest = max(terms, key=lambda term: term.rarity)
    shape = LOOKS.get(question.shape)
    quote = " ".join(part.text for part in parts[at : at + 2])
    has_shape = (1.0 if shape.search(quote) else -1.0) if shape else 0.0
    others = (
        entry for entry in scored if entry[1] != number and entry[3][entry[2]].text != parts[at].text
    )  # no copies
    lead = score - next((entry[0] for entry in others), 0.0)
    return (
        own,
        reach - own,
        max(rarest.found.get(n, 0.0) for n in around),
        has_shape,
        min(lead, 1.0),
        math.log(len(terms)),
    )


def _logistic(figures: tuple[float, ...]) -> float:
    total = COEFFICIENTS[0] + sum(c * f for c, f in zip(COEFFICIENTS[1:], figures, strict=True))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))
