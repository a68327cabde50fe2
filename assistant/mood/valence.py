"""How good or bad the words of a text are: rated words, and what stands around them.

The ratings of 7,500 words and emoticons are VADER's lexicon (Hutto and Gilbert, ICWSM 2014; MIT, see NOTICE), those of
emoji are ours. The code is ours; the amounts by which negation, "very", capitals and "!" change a rating are those that
VADER's authors measured (their paper, section 3.2).
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np

RATINGS_FILE = Path(__file__).with_name("ratings.tsv")
NEGATED = -0.74  # what a negation makes of a rating
MORE, LESS = 0.293, -0.293  # of an adverb of degree right before
CAPITALS = 0.733  # a word shouted among words that are not
EXCLAMATION, MOST_EXCLAMATIONS = 0.292, 4
BEFORE_BUT, AFTER_BUT = 0.5, 1.5
REACH = 3  # words that a negation or an adverb of degree reaches over
SCALE = 15.0  # sum / sqrt(sum^2 + SCALE) is the compound score

TOKEN = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*|\d+|[^\w\s]+|_+")
PICTURE = re.compile(r"[\u2600-\u27bf\U0001f300-\U0001faff]")
_NEGATIONS = """
    not no never none nobody nothing neither nor nowhere without cannot hardly scarcely barely rarely seldom aint arent
    cant couldnt darent didnt doesnt dont hadnt hasnt havent isnt mightnt mustnt neednt shant shouldnt wasnt werent wont
    wouldnt
"""
_MORE = """
    absolutely amazingly awfully completely considerably decidedly deeply enormously entirely especially exceptionally
    extremely fabulously fully greatly highly hugely incredibly insanely intensely majorly more most particularly purely
    quite really remarkably so substantially super thoroughly totally tremendously truly unbelievably unusually utterly
    very way too
"""
_LESS = "almost barely hardly kinda kindof less little marginally occasionally partly scarcely slightly somewhat sorta"
NEGATIONS = frozenset(_NEGATIONS.split())
DEGREES = {**dict.fromkeys(_MORE.split(), MORE), **dict.fromkeys(_LESS.split(), LESS)}
EMOJI = {
    **dict.fromkeys("😀😃😄😁😊🙂☺😍🥰😘🤗😎🎉🥳👍👏💪🙏❤💕💖💙💚💛💜♥😂🤣😆🌞✨😌😇", 2.0),
    **dict.fromkeys("😢😭😞😔🙁☹😟😕😣😖😫😩🥺💔😿😥😓", -2.0),
    **dict.fromkeys("😠😡🤬👿👎🤮🤢😤😨😰😱😧😦🖕", -2.2),
}
FEATURES = (
    "compound", "positive", "negative", "best", "worst", "rated share", "negations", "exclamations", "questions",
    "capitals", "length", "after but", "amount",
)  # fmt: skip


@cache
def ratings() -> dict[str, float]:
    """Word, emoticon or emoji -> mean rating, -4 (worst) to 4 (best)."""
    rows = (line.split("\t") for line in RATINGS_FILE.read_text(encoding="utf-8").splitlines())
    return {word: float(rating) for word, rating in rows} | EMOJI


def features(text: str) -> np.ndarray:
    """f32[len(FEATURES)] of a text; zeros for an empty one. All lie within about -1.5 and 1.5."""
    words, scores, negations = _scored(text)
    exclamations, questions = min(text.count("!"), MOST_EXCLAMATIONS), min(text.count("?"), 3)
    but = max((i for i, word in enumerate(words) if word.lower() in ("but", "however")), default=None)
    if but is not None:
        scores = [s * (BEFORE_BUT if i < but else AFTER_BUT) for i, s in enumerate(scores)]
    total = sum(scores)
    total += np.sign(total) * exclamations * EXCLAMATION
    good, bad = sum(s for s in scores if s > 0), -sum(s for s in scores if s < 0)
    shouted = sum(len(word) > 1 and word.isupper() for word in words)
    return np.array(
        [
            _squashed(total),
            _squashed(good),
            _squashed(bad),
            max(0.0, *scores, 0.0) / 4,
            min(0.0, *scores, 0.0) / 4,
            sum(s != 0 for s in scores) / max(1, len(words)),
            min(negations, 3) / 3,
            exclamations / MOST_EXCLAMATIONS,
            questions / 3,
            shouted / max(1, len(words)),
            min(1.5, np.log1p(len(words)) / 4),
            _squashed(sum(scores[but:])) if but is not None else _squashed(total),
            abs(_squashed(total)),
        ],
        np.float32,
    )


def compound(text: str) -> float:
    """One score of a whole text, -1 to 1; within 0.05 of zero it is neutral."""
    return float(features(text)[0])


def _squashed(total: float) -> float:
    return float(total / np.sqrt(total * total + SCALE))


def _scored(text: str) -> tuple[list[str], list[float], int]:
    """Words, the rating of each as it stands there (0: not rated), and how many negations there are."""
    known = ratings()
    words: list[str] = []
    for piece in text.split():
        if piece in known or piece.lower() in known:  # emoticons and words with marks in them stay whole
            words.append(piece)
        else:
            words += [part for token in TOKEN.findall(piece) for part in (PICTURE.findall(token) or [token])]
    lower = [word.lower().replace("’", "'") for word in words]
    mixed = any(w.isupper() and len(w) > 1 for w in words) and not all(w.isupper() for w in words if w.isalpha())
    is_negation = [word.replace("'", "") in NEGATIONS or word.endswith("n't") for word in lower]
    scores: list[float] = []
    for at, word in enumerate(lower):
        score = known.get(words[at], known.get(word, 0.0)) if not is_negation[at] else 0.0
        if score and word in DEGREES:
            score = 0.0 if at + 1 < len(lower) and known.get(lower[at + 1]) else score
        if score:
            sign = 1 if score > 0 else -1
            if mixed and words[at].isupper() and len(word) > 1:
                score += sign * CAPITALS
            for back in range(1, min(REACH, at) + 1):
                score += sign * DEGREES.get(lower[at - back], 0.0) * (1.0, 0.95, 0.9)[back - 1]
            if any(is_negation[max(0, at - REACH) : at]):
                score *= NEGATED
        scores.append(score)
    return words, scores, sum(is_negation)
