"""How well questions about one's own documents are answered: 14 documents, 265 questions, beside plain baselines.

The set is split in halves by a hash of the question: `dev`, on which everything was tuned, and `test`, which was not
looked at meanwhile.
"""

from __future__ import annotations

import html
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from assistant.documents import index as documents
from assistant.documents import search, update
from assistant.documents.answer import TUNED, Tuning, ask
from assistant.documents.index import Index
from assistant.documents.question import WORD, understand

FOLDER = Path(__file__).parent / "household"
FILE = Path(__file__).parent / "household.txt"
DEV, TEST = "dev", "test"
DIRECT, PARAPHRASED, NEAR, FAR = "direct", "paraphrased", "near", "far"
KINDS = {"d": DIRECT, "p": PARAPHRASED, "n": NEAR, "f": FAR}
Scores = dict[str, float]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of the set. `file` and `answer` are empty where no document answers it."""

    text: str
    kind: str
    part: str
    file: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """What a method says: passages, best first, as (file, text), and a quote; no quote means "I don't know"."""

    passages: list[tuple[str, str]]
    quote: str | None
    nearest: str | None = None  # what the quote would be if it always gave one


Method = Callable[[Index, str], Given]


@cache
def read_set() -> tuple[Asked, ...]:
    found, file = [], ""
    for line in FILE.read_text("utf-8").splitlines():
        if line.startswith("["):
            file = line.strip("[]")
        elif line and not line.startswith("#"):
            text, _, answer = line[2:].partition(" | ")
            part = TEST if zlib.crc32(text.encode()) & 1 else DEV
            found.append(Asked(text, KINDS[line[0]], part, file if answer else "", answer))
    return tuple(found)


def household() -> Index:
    """The documents of the set, indexed in memory."""
    index = documents.in_memory()
    update.add(index, [FOLDER])
    return index


def flat(text: str) -> str:
    return " ".join(html.unescape(text).split())


def ours(index: Index, text: str, tuning: Tuning = TUNED) -> Given:
    found = ask(index, text, 3, tuning)
    passages = [(q.hit.path.name, flat(q.hit.body)) for q in found.quotations]
    nearest = flat(found.quotations[0].text) if found.quotations else None
    return Given(passages, nearest if found.known else None, nearest)


def plain_bm25(index: Index, text: str) -> Given:
    """What FTS5 gives for any of the words, without weights and without a threshold: the whole passage is the quote."""
    words = WORD.findall(text)
    hits = search.best(index, search.any_of(words), 3, (1.0, 1.0, 1.0)) if words else []
    return Given([(h.path.name, flat(h.body)) for h in hits], flat(hits[0].body) if hits else None)


def without_stop_words(index: Index, text: str) -> Given:
    """The same without words like "the" and "when": what a careful user of FTS5 would write."""
    return plain_bm25(index, " ".join(understand(text).words))


def word_overlap(index: Index, text: str) -> Given:
    """As grep would: the line block with most of the question's words, exactly as written."""
    asked = {w.lower() for w in WORD.findall(text)}
    rows = index.db.execute("SELECT f.path, p.body FROM passages p JOIN files f ON f.id = p.file_id ORDER BY p.id")
    ranked = sorted(
        (
            (len(asked & {w.lower() for w in WORD.findall(body)}), Path(path.decode()).name, flat(body))
            for path, body in rows
        ),
        key=lambda entry: -entry[0],
    )[:3]
    ranked = [entry for entry in ranked if entry[0]]
    return Given([entry[1:] for entry in ranked], ranked[0][2] if ranked else None)


METHODS: dict[str, Method] = {
    "ours": ours, "no related words": partial(ours, tuning=replace(TUNED, expand=False)),
    "FTS5 bm25": plain_bm25, "bm25, no stop words": without_stop_words, "word overlap": word_overlap,
}  # fmt: skip


def score(index: Index, asked: Iterable[Asked], method: Method) -> Scores:
    """Shares; `*_false`: an answer where there is none; `unknown_false`: "I don't know" where there is one."""
    counts: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        counts.setdefault(name, []).append(value)

    for question in asked:
        given = method(index, question.text)
        if not question.answer:
            note("false_answers", given.quote is not None)
            note(f"false_answers_{question.kind}", given.quote is not None)
            continue
        right = [file == question.file and flat(question.answer) in text for file, text in given.passages]
        for kind in ("", f"_{question.kind}"):
            note(f"recall_1{kind}", any(right[:1]))
            note(f"recall_3{kind}", any(right[:3]))
            note(f"answer_in_quote{kind}", given.quote is not None and flat(question.answer) in given.quote)
        note("answer_in_nearest", flat(question.answer) in (given.nearest or given.quote or ""))
        note("unknown_false", given.quote is None)
        if given.quote is not None:
            note("quote_words", len(given.quote.split()))
    return {name: sum(values) / len(values) for name, values in sorted(counts.items())}


def score_all(part: str = TEST) -> dict[str, Scores]:
    """Every method's scores on a half of the set; ours also without the list of related words, and its calibration."""
    index = household()
    asked = [question for question in read_set() if question.part == part]
    found = {name: score(index, asked, method) for name, method in METHODS.items()}
    _, right, confidence = calibration(index, part)
    found["ours"]["calibration_error"] = calibration_error(right, confidence)
    return found


ROWS = (
    ("right passage first", "recall_1"), ("  asked in its words", "recall_1_direct"),
    ("  asked in other words", "recall_1_paraphrased"), ("right passage among three", "recall_3"),
    ("  asked in other words", "recall_3_paraphrased"), ("answer in the quote", "answer_in_quote"),
    ("  asked in its words", "answer_in_quote_direct"), ("  asked in other words", "answer_in_quote_paraphrased"),
    ("  had it always quoted", "answer_in_nearest"), ('false "I don\'t know"', "unknown_false"),
    ("answers to what is not there", "false_answers"),
    ("  about things of the documents", "false_answers_near"), ("  about something else", "false_answers_far"),
    ("words in a quote", "quote_words"), ("calibration error", "calibration_error"),
)  # fmt: skip


def table(found: dict[str, dict[str, Scores]]) -> str:
    """A column per method, a block per half."""
    lines = []
    for part, by_method in found.items():
        asked = [question for question in read_set() if question.part == part]
        known = sum(bool(question.answer) for question in asked)
        lines.append(f"{part}: {known} questions with an answer, {len(asked) - known} without")
        lines.append(f"{'':<31}" + "".join(f"{name:>21}" for name in by_method))
        for label, key in ROWS:
            cells = [cell(key, scores.get(key)) for scores in by_method.values()]
            lines.append(f"{label:<31}" + "".join(f"{cell:>21}" for cell in cells))
        lines.append("")
    return "\n".join(line.rstrip() for line in lines).rstrip()


def cell(key: str, value: float | None) -> str:
    """A figure as the table shows it."""
    return "" if value is None else f"{value:.1f}" if key == "quote_words" else f"{100 * value:.1f} %"


def calibration(index: Index, part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each question that found anything: `Answer.figures` f64[n, 6], whether it was right, the confidence."""
    figures, right, confidence = [], [], []
    for question in read_set():
        if question.part == part and (found := ask(index, question.text)).quotations:
            hit = found.quotations[0].hit
            figures.append(found.figures)
            right.append(bool(question.answer) and hit.path.name == question.file
                         and flat(question.answer) in flat(hit.body))  # fmt: skip
            confidence.append(found.confidence)
    return np.array(figures), np.array(right, float), np.array(confidence)


def fitted(figures: np.ndarray, right: np.ndarray, penalty: float = 1.0) -> np.ndarray:
    """Coefficients of the confidence, constant first, f64[1 + k]: ridge logistic regression by Newton's method."""
    design = np.c_[np.ones(len(figures)), figures]
    ridge = penalty * np.eye(design.shape[1])
    ridge[0, 0] = 0
    found = np.zeros(design.shape[1])
    for _ in range(30):
        chance = 1 / (1 + np.exp(-design @ found))
        slope = design.T @ (chance - right) + ridge @ found
        found -= np.linalg.solve((design.T * (chance * (1 - chance))) @ design + ridge, slope)
    return found


def calibration_error(right: np.ndarray, confidence: np.ndarray, bins: int = 5) -> float:
    """Expected calibration error over bins of equal size: how far confidence is from the share that is right."""
    order = np.array_split(np.argsort(confidence), bins)
    return float(sum(len(b) * abs(right[b].mean() - confidence[b].mean()) for b in order) / len(right))
