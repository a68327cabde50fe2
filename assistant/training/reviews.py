"""Short texts of a known valence: words of VADER's lexicon, and remarks about products, films, days and news.

They teach the `Valence:` interface what GoEmotions' comments do not: how people rate things. The lexicon (Hutto and
Gilbert, 2014; MIT) gives the words their mean rating; the sentences around them are ours.
"""

import random
from collections.abc import Iterator
from pathlib import Path

from assistant.training.documents import NO_WEIGHT, USER_WEIGHT, Document, valence_document
from assistant.training.grammar import Grammar
from assistant.training.noise import as_typed
from assistant.training.sources import FORBIDDEN

LEXICON_FILE = "vader/vader_lexicon.txt"
CLEAR_RATING = 0.8  # |mean rating| (-4..4) from which a word counts as positive or negative
POSITIVE, NEGATIVE, NEUTRAL = "positive", "negative", "neutral"
WORD_TABLES = {POSITIVE: "good_word", NEGATIVE: "bad_word"}  # of grammar/remarks.txt
REMARK_TABLES = {POSITIVE: "good_remark", NEGATIVE: "bad_remark", NEUTRAL: "neutral_remark"}
OPPOSITE = {POSITIVE: NEGATIVE, NEGATIVE: POSITIVE}

_MORE = ["", "", "", "very ", "really ", "so ", "extremely ", "pretty ", "absolutely ", "simply ", "just "]


def lexicon(data: Path) -> list[tuple[str, float]]:
    """Word (or emoticon) and mean rating of VADER's lexicon; empty where the data folder lacks it."""
    path = data / LEXICON_FILE
    if not path.exists():
        return []
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return [(row[0], float(row[1])) for row in rows if len(row) > 1]


def valence_of_rating(rating: float) -> str | None:
    """positive, negative, or None for a word that is neither clearly."""
    return POSITIVE if rating >= CLEAR_RATING else NEGATIVE if rating <= -CLEAR_RATING else None


def remark(grammar: Grammar, rng: random.Random) -> tuple[str, str]:
    """One remark and its valence: of two halves with `but` between them the second counts, and `not` turns it."""

    def draw(table: str) -> str:
        return rng.choice(grammar.tables[table])[0]

    sign = rng.choice([POSITIVE, NEGATIVE])
    thing, other = draw("remark_thing"), draw("remark_thing")
    word, against = draw(WORD_TABLES[sign]), draw(WORD_TABLES[OPPOSITE[sign]])
    more = "" if word.startswith(("a ", "worth", "better", "worse")) else rng.choice(_MORE)
    kind = rng.random()
    if kind < 0.30:
        text = f"{rng.choice(['The', 'This', 'Their', 'My'])} {thing} is {more}{word}."
    elif kind < 0.42:
        text = f"The {thing} {rng.choice(['is not', 'was never', 'isn’t exactly', 'is anything but'])} {against}."
    elif kind < 0.55:
        text = f"The {thing} is {against}, but {rng.choice(['the ' + other, 'in the end it'])} is {more}{word}."
    elif kind < 0.65:
        text = f"The {thing} is {word} and {draw(REMARK_TABLES[sign])}."
    elif kind < 0.85:
        text = f"{draw(REMARK_TABLES[sign])}{rng.choice(['.', '!', ''])}"
    else:
        sign, text = NEUTRAL, f"{draw(REMARK_TABLES[NEUTRAL])}."
        if rng.random() < 0.5:
            text = f"About the {thing}: {text}"
    return text[:1].upper() + text[1:].replace("’", "'"), sign


def valence_documents(
    grammar: Grammar, data: Path, rng: random.Random, remarks: int, word_repeats: int
) -> Iterator[Document]:
    """Words of the lexicon, alone and in a sentence, and composed remarks, each with its valence."""
    for _ in range(remarks):
        text, sign = remark(grammar, rng)
        yield valence_document("remarks", as_typed(text, rng), sign)
    for _ in range(word_repeats):
        for word, rating in lexicon(data):
            sign = valence_of_rating(rating)
            if sign:
                frame = rng.choice(["{}", "{}", "That's {}", "so {}", "{} and more {}", "It felt {} to me", "just {}"])
                weight = NO_WEIGHT if FORBIDDEN.search(word) else USER_WEIGHT
                yield valence_document("lexicon", frame.format(word, word), sign, weight)
