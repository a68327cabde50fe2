"""Which sentences answer a question, and how sure that is: "I don't know" is an answer too.

No model takes part: what is quoted stands in the file, and the confidence is a logistic function of a few figures whose
coefficients come from the development half of the question set (`assistant.evaluation.questions` fits and checks them).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from assistant.documents import search
from assistant.documents.index import Index
from assistant.documents.question import SHAPES, Question, understand
from assistant.documents.related import related
from assistant.documents.search import MOST_WORDS, Hit, any_of, quoted
from assistant.documents.units import LONGEST_WORDS, Stems, Unit, stems_of, units

CANDIDATES = 12
"""Passages that are looked at closely."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was tuned on the development half. Shares: how much a word counts that stands beside the sentence only."""

    beside: float = 0.5
    in_heading: float = 0.6
    in_passage: float = 0.3
    in_name: float = 0.3
    akin: float = 0.6  # a related word instead of the word itself
    stem: float = 0.6  # a word that begins alike
    shape: float = 0.15  # for holding the kind of thing that was asked for
    rank: float = 0.25  # of the passage's place in BM25
    expand: bool = True
    prefixes: bool = True
    weights: tuple[float, float, float] = search.WEIGHTS


TUNED = Tuning()
COEFFICIENTS = (-3.0, 4.0, 2.0, 0.5, 0.0)
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


def ask(index: Index, text: str, limit: int = 3, tuning: Tuning = TUNED) -> Answer:
    """The best quotations for a question; their confidence may be as low as 0."""
    question = understand(text)
    words = question.words[:MOST_WORDS]
    if not words:
        return Answer(question)
    terms = _rarities(index, words)
    extra = [w for word in words for w in related(word)] if tuning.expand else []
    prefixes = [stem for word in words if (stem := _prefix(word))] if tuning.prefixes else []
    query = " OR ".join([any_of([*words, *extra]), *(f"{quoted(stem)}*" for stem in prefixes)])
    hits = search.best(index, query, CANDIDATES, tuning.weights)
    if not hits:
        return Answer(question)
    scored = _score(hits, terms, question, tuning)
    quotations = []
    for _score_, number, at, pieces in scored:
        if len(quotations) < limit and all(q.hit.id != hits[number].id for q in quotations):
            quotation = _quotation(hits[number], pieces, at, _score_, question)
            if all(quotation.text not in q.text and q.text not in quotation.text for q in quotations):
                quotations.append(quotation)
    figures = _figures(scored, hits, terms, question, tuning, quotations[0])
    return Answer(question, quotations, _logistic(figures), figures)


def _rarities(index: Index, words: tuple[str, ...]) -> list[_Term]:
    total = max(1, index.count())
    terms = []
    for word, stem in zip(words, stems_of(words), strict=True):
        row = index.db.execute("SELECT doc FROM vocabulary WHERE term = ?", (stem,)).fetchone() if stem else None
        seen = min(total, row[0]) if row else 0
        terms.append(_Term(word, math.log(1 + (total - seen + 0.5) / (seen + 0.5))))
    return terms


def _prefix(word: str) -> str | None:
    """What a long word begins with: `dissolved` and `dissolution` have no stem in common."""
    return word[: max(5, len(word) * 2 // 3)] if len(word) >= 7 and not word[0].isdigit() else None


Scored = list[tuple[float, int, int, list[Unit]]]  # score, number of the hit, of the unit in it, its units


def _score(hits: list[Hit], terms: list[_Term], question: Question, tuning: Tuning) -> Scored:
    pieces = [units(hit.body) or [Unit(0, len(hit.body), " ".join(hit.body.split()))] for hit in hits]
    texts: list[str] = []
    places: list[tuple[int, int, int]] = []  # of each hit: its heading, its name, its first unit
    for hit, parts in zip(hits, pieces, strict=True):
        places.append((len(texts), len(texts) + 1, len(texts) + 2))
        texts += [hit.heading, hit.name, *(part.text for part in parts)]
    with Stems(texts) as stems:
        for term in terms:
            looked = [(quoted(term.word), 1.0)]
            if tuning.prefixes and (prefix := _prefix(term.word)):
                looked.append((quoted(prefix) + "*", tuning.stem))
            if tuning.expand and (near := related(term.word)):
                looked.append((any_of(near), tuning.akin))
            for query, worth in looked:
                for number in stems.having(query):
                    term.found[number] = max(worth, term.found.get(number, 0.0))
    asked = sum(term.rarity for term in terms)
    top = hits[0].score or 1.0
    shape = SHAPES.get(question.shape)
    scored: Scored = []
    for number, (hit, parts, (heading, name, first)) in enumerate(zip(hits, pieces, places, strict=True)):
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
            scored.append((got / asked + bonus + long + tuning.rank * hit.score / top, number, at, parts))
    scored.sort(key=lambda entry: (-entry[0], entry[1], entry[2]))
    return scored


def _quotation(hit: Hit, parts: list[Unit], at: int, score: float, question: Question) -> Quotation:
    """The sentence, and the one after it where that holds what was asked for and the sentence does not."""
    first = last = at
    shape = SHAPES.get(question.shape)
    short = len(parts[at].text.split()) < 6
    if at + 1 < len(parts):
        following = parts[at + 1].text
        lacks = shape is not None and not shape.search(parts[at].text)
        if (lacks and shape.search(following)) or short or parts[at].text.endswith(":"):
            last = at + 1
    if last == at and at and short:
        first = at - 1
    start, end = parts[first].start, parts[last].end
    return Quotation(hit, " ".join(hit.body[start:end].split()), hit.line_at(start), score)


def _figures(
    scored: Scored, hits: list[Hit], terms: list[_Term], question: Question, tuning: Tuning, chosen: Quotation
) -> tuple[float, ...]:
    """What the confidence is a function of: coverage, the rarest word's, the shape, the lead over the next passage."""
    best = scored[0]
    shape = SHAPES.get(question.shape)
    has_shape = (1.0 if shape.search(chosen.text) else -1.0) if shape else 0.0
    bonus = (1 if shape.search(best[3][best[2]].text) else -1) * tuning.shape if shape else 0.0
    coverage = best[0] - bonus - tuning.rank * hits[best[1]].score / (hits[0].score or 1.0)
    lead = best[0] - next((entry[0] for entry in scored if entry[1] != best[1]), 0.0)
    return (coverage, has_shape, lead, math.log(len(terms)))


def _logistic(figures: tuple[float, ...]) -> float:
    total = COEFFICIENTS[0] + sum(c * f for c, f in zip(COEFFICIENTS[1:], figures, strict=True))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))
