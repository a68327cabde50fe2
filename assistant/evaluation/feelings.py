"""Naming feelings: GoEmotions' test split in seven labels, and valence beside VADER on GoEmotions and on other domains.

A model of ours is asked by `Feeling:` and the logits of seven labels; any other model by a question in its own
template. Sources: GoEmotions (Demszky et al., 2020, arXiv 2005.00547) and its grouping of fine labels; VADER and its
four sets rated by people (Hutto and Gilbert, ICWSM 2014), which come with the source package of vaderSentiment.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assistant.evaluation.talker import Talker
from assistant.mood.labels import LABELS, VALENCES, valence_of

GOEMOTIONS_NAMES = [
    "admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire",
    "disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy",
    "love", "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise",
    "neutral",
]  # fmt: skip
GOEMOTIONS_GROUPS = {
    "happy": "admiration amusement approval caring desire excitement gratitude joy love optimism pride relief",
    "sad": "sadness disappointment embarrassment grief remorse",
    "angry": "anger annoyance disapproval",
    "scared": "fear nervousness",
    "surprised": "surprise realization confusion curiosity",
    "disgusted": "disgust",
    "neutral": "neutral",
}
LABEL_OF_NAME = {name: label for label, names in GOEMOTIONS_GROUPS.items() for name in names.split()}
VADER_NEUTRAL = 0.05  # |compound| below it is neutral: the threshold VADER's authors give
RATED_NEUTRAL = 0.5  # |mean rating| (-4..4) below it is neutral
RATED_SETS = {
    "product reviews": "amazonReviewSnippets_GroundTruth.txt",
    "film reviews": "movieReviewSnippets_GroundTruth.txt",
    "tweets": "tweets_GroundTruth.txt",
    "editorials": "nytEditorialSnippets_GroundTruth.txt",
}


@dataclass(frozen=True)
class LabelledText:
    """A GoEmotions comment with one of our seven labels and its own fine label."""

    text: str
    label: str
    fine: str


def _cleaned(text: str) -> str:
    text = text.replace("[NAME]", "Sam").replace("[RELIGION]", "religion")
    return re.sub(r"\s+", " ", text).strip()


def goemotions(data: Path, split: str) -> list[LabelledText]:
    """The comments of a split whose labels all fall into one of the seven groups."""
    rows = []
    for line in (data / f"goemotions/go_{split}.tsv").read_text(encoding="utf-8").splitlines():
        text, numbers, _ = line.split("\t")
        names = [GOEMOTIONS_NAMES[int(number)] for number in numbers.split(",")]
        labels = {LABEL_OF_NAME[name] for name in names}
        if len(labels) == 1:
            rows.append(LabelledText(_cleaned(text), labels.pop(), names[0]))
    return rows


def rated_texts(folder: Path, domain: str) -> list[tuple[str, float]]:
    """The texts of one of the four rated sets with their mean rating, -4 (worst) to 4 (best)."""
    rows = []
    for line in (folder / RATED_SETS[domain]).read_text(encoding="utf-8", errors="replace").splitlines():
        _, rating, text = line.split("\t", 2)
        rows.append((_cleaned(text), float(rating)))
    return rows


def rated_part(text: str) -> str:
    """What a rated text may be used for, by its hash: a quarter each to fit and to tune on, half to report on."""
    return ("fit", "tune", "test", "test")[hashlib.sha256(text.encode()).digest()[0] % 4]


def macro_f1(truth: list[str], guesses: list[str]) -> float:
    """The mean over the labels of the harmonic mean of precision and recall."""
    hits = Counter(t for t, g in zip(truth, guesses, strict=True) if t == g)
    wanted, guessed = Counter(truth), Counter(guesses)
    return sum(2 * hits[label] / max(1, wanted[label] + guessed[label]) for label in wanted) / max(1, len(wanted))


def accuracy(truth: list[str], guesses: list[str]) -> float:
    return sum(t == g for t, g in zip(truth, guesses, strict=True)) / max(1, len(truth))


def is_ours(talker: Talker) -> bool:
    """Whether the model was trained on `Feeling:` and `Valence:`; any other is asked in its own template."""
    return talker.model.manifest.template == "embedded"


def label_prompt(talker: Talker, text: str, mark: str, labels: list[str]) -> str:
    """What stands before one of the labels; `mark` is Feeling or Valence."""
    one_line = re.sub(r"\s+", " ", text).strip()
    if is_ours(talker):
        return f"User: {one_line}\n\n{mark}:"
    question = (
        f'Which one of these feelings does the text express: {", ".join(labels)}? Answer with one word. "{one_line}"'
    )
    return talker.prompt(question)


def label_probabilities(
    talker: Talker, texts: list[str], stage: str = "feelings", mark: str = "Feeling", labels: list[str] = LABELS
) -> np.ndarray:
    """f64[texts, labels]: the share of each label's first token among the labels' first tokens."""
    first = [talker.model.tokenizer.encode(f" {label}")[0] for label in labels]
    if len(set(first)) < len(first):
        first = [talker.model.tokenizer.encode(f" {label.capitalize()}")[0] for label in labels]
    rows = np.empty((len(texts), len(labels)))
    for index, text in enumerate(texts):
        logits, _ = talker.read(talker.tokens(label_prompt(talker, text, mark, labels)))
        chosen = logits[first].astype(np.float64)
        rows[index] = np.exp(chosen - chosen.max())
        if index % 50 == 0 or index + 1 == len(texts):
            talker.progress(stage, index + 1, len(texts))
    return rows / rows.sum(axis=1, keepdims=True)


def valence_probabilities(talker: Talker, texts: list[str], feelings: np.ndarray | None, stage: str) -> np.ndarray:
    """f64[texts, 3] in the order of VALENCES: the shares behind `Valence:`; of other models the summed `feelings`."""
    if is_ours(talker):
        return label_probabilities(talker, texts, stage, "Valence", VALENCES)
    if feelings is None:
        feelings = label_probabilities(talker, texts, stage)
    return summed(feelings)


def summed(feelings: np.ndarray) -> np.ndarray:
    """f64[texts, 7] shares of feelings -> f64[texts, 3] shares of valences."""
    columns = [[i for i, label in enumerate(LABELS) if valence_of(label) == name] for name in VALENCES]
    return np.stack([feelings[:, own].sum(axis=1) for own in columns], axis=1)


def valences(probabilities: np.ndarray) -> list[str]:
    """positive, negative or neutral from f64[texts, 3]."""
    return [VALENCES[i] for i in probabilities.argmax(axis=1)]


def vader_scores(texts: list[str]) -> np.ndarray | None:
    """VADER's compound score of each text, or None where the package is not installed."""
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ImportError:
        return None
    analyser = SentimentIntensityAnalyzer()
    return np.array([analyser.polarity_scores(text)["compound"] for text in texts])


def by_threshold(scores: np.ndarray, neutral: float) -> list[str]:
    """Valences of signed scores: within `neutral` of zero they are neutral."""
    return ["positive" if s >= neutral else "negative" if s <= -neutral else "neutral" for s in scores]


def score_goemotions(talker: Talker, data: Path, limit: int | None = None) -> dict[str, float]:
    """Seven-way accuracy and macro-F1 and valence on the test split, beside the commonest label and VADER."""
    rows = goemotions(data, "test")[:limit]
    texts, truth = [row.text for row in rows], [row.label for row in rows]
    probabilities = label_probabilities(talker, texts, "GoEmotions")
    by_valence = valence_probabilities(talker, texts, probabilities, "GoEmotions, valence")
    guesses = [LABELS[i] for i in probabilities.argmax(axis=1)]
    true_valence = [valence_of(label) for label in truth]
    scores = {
        "examples": len(rows),
        "accuracy": accuracy(truth, guesses),
        "macro_f1": macro_f1(truth, guesses),
        "commonest_label_accuracy": max(Counter(truth).values()) / len(truth),
        "valence_accuracy": accuracy(true_valence, valences(by_valence)),
    }
    vader = vader_scores(texts)
    if vader is not None:
        scores["vader_valence_accuracy"] = accuracy(true_valence, by_threshold(vader, VADER_NEUTRAL))
    return scores


def score_domain(talker: Talker, folder: Path, domain: str, limit: int | None = None) -> dict[str, float]:
    """Valence on a set the model never saw: three-way accuracy, and rank correlation with people's ratings."""
    rows = rated_texts(folder, domain)[:limit]
    texts, ratings = [text for text, _ in rows], np.array([rating for _, rating in rows])
    truth = by_threshold(ratings, RATED_NEUTRAL)
    probabilities = valence_probabilities(talker, texts, None, domain)
    scores = {
        "examples": len(rows),
        "valence_accuracy": accuracy(truth, valences(probabilities)),
        "rank_correlation": rank_correlation(probabilities[:, 0] - probabilities[:, 1], ratings),
    }
    vader = vader_scores(texts)
    if vader is not None:
        scores["vader_valence_accuracy"] = accuracy(truth, by_threshold(vader, VADER_NEUTRAL))
        scores["vader_rank_correlation"] = rank_correlation(vader, ratings)
    return scores


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rho, ties by their mean rank."""

    def ranks(x: np.ndarray) -> np.ndarray:
        _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
        last = np.cumsum(counts)
        return (last - (counts - 1) / 2)[inverse]

    ra, rb = ranks(a), ranks(b)
    if ra.std() == 0 or rb.std() == 0:
        return 0.0
    return float(np.corrcoef(ra, rb)[0, 1])
