"""How well moods are read: the probe and the lexicon beside the zero-shot labels, VADER and the commonest answer.

GoEmotions' test split for the seven feelings, valence and calibration; for valence and intensity also the half of the
four rated sets that nothing was fitted to or chosen on (`feelings.rated_part`). The probe is measured on messages alone
and on messages that follow other exchanges, because that is the state a chat has.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from assistant.evaluation import feelings
from assistant.evaluation.language import HELD_OUT_FILE
from assistant.evaluation.talker import Talker
from assistant.models.store import Store
from assistant.mood.labels import LABELS, valence_of
from assistant.mood.sensor import Sensor, sensor_of
from assistant.mood.stack import Reading
from backends.base import State

CALIBRATION_BINS = 15
LONGEST_HISTORY = 3
Scores = dict[str, float]


class Reader:
    """Reads messages as a chat does, up to where the reply begins. `use`: fit or test, which take other histories."""

    def __init__(self, talker: Talker, use: str):
        self._talker = talker
        lines = HELD_OUT_FILE.read_text(encoding="utf-8").splitlines()
        self._dialogues = [json.loads(line)["turns"] for line in lines[0 if use == "fit" else 1 :: 2]]
        self._after: dict[tuple[int, int], State] = {}

    def read(self, text: str, with_history: bool, rng: random.Random) -> State:
        """The state after a message, alone or after one to three earlier exchanges."""
        prompt = self._talker.prompt(re.sub(r"\s+", " ", text).strip())
        if not with_history:
            return self._talker.read(self._talker.tokens(prompt))[1]
        which = rng.randrange(len(self._dialogues))
        state = self._history(which, rng.randint(1, min(LONGEST_HISTORY, len(self._dialogues[which])))).copy()
        return self._talker.read(self._talker.model.tokenizer.encode(prompt), state)[1]

    def _history(self, which: int, exchanges: int) -> State:
        if (which, exchanges) not in self._after:
            template = self._talker.model.template
            turns = self._dialogues[which][:exchanges]
            text = "".join(f"{self._talker.prompt(said)} {reply}{template.separator}" for said, reply in turns)
            self._after[which, exchanges] = self._talker.read(self._talker.tokens(text))[1]
        return self._after[which, exchanges]


def calibration_error(right: Sequence[bool], confidence: Sequence[float]) -> float:
    """Expected calibration error over equal bins of confidence (Naeini et al., 2015; Guo et al., 2017)."""
    hits, sure = np.asarray(right, float), np.asarray(confidence, float)
    bins = np.minimum((sure * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = [abs(hits[bins == b].sum() - sure[bins == b].sum()) for b in range(CALIBRATION_BINS)]
    return float(sum(gaps) / max(1, len(hits)))


def score_mood(
    talker: Talker, data: Path | None, rated: Path | None, limit: int | None = None, seed: int = 0
) -> dict[str, Scores]:
    """By domain, each figure named `<reader> <what>`; the readers: probe, probe in chat, lexicon, zero-shot, VADER."""
    manifest = talker.model.manifest
    sensor = sensor_of(
        Store().folder(manifest.name), manifest.source.sha256, talker.model.weights.config, manifest.state is not None
    )
    found: dict[str, Scores] = {}
    if data:
        found["GoEmotions"] = _goemotions(talker, sensor, data, limit, seed)
    if rated:
        for domain in feelings.RATED_SETS:
            rows = [row for row in feelings.rated_texts(rated, domain) if feelings.rated_part(row[0]) == "test"]
            found[domain] = _rated(talker, sensor, domain, rows[:limit], seed)
    return found


def _readings(talker: Talker, sensor: Sensor, texts: list[str], stage: str, seed: int) -> dict[str, list[Reading]]:
    """By reader; the probe only where there is one."""
    found = {"lexicon": [sensor.read(text).reading for text in texts]}
    if sensor.wants_state:
        reader, rng = Reader(talker, "test"), random.Random(seed)
        for name, with_history in (("probe", False), ("probe in chat", True)):
            found[name] = []
            for done, text in enumerate(texts, 1):
                found[name].append(sensor.read(text, reader.read(text, with_history, rng)).reading)
                if done % 50 == 0 or done == len(texts):
                    talker.progress(f"{stage}, {name}", done, len(texts))
    return found


def _goemotions(talker: Talker, sensor: Sensor, data: Path, limit: int | None, seed: int) -> Scores:
    rows = feelings.goemotions(data, "test")[:limit]
    texts, truth = [row.text for row in rows], [row.label for row in rows]
    valences = [valence_of(label) for label in truth]
    scores: Scores = {"examples": len(rows)}
    for name, readings in _readings(talker, sensor, texts, "GoEmotions", seed).items():
        guesses = [reading.label for reading in readings]
        right = [t == g for t, g in zip(truth, guesses, strict=True)]
        scores |= {
            f"{name} accuracy": feelings.accuracy(truth, guesses),
            f"{name} macro_f1": feelings.macro_f1(truth, guesses),
            f"{name} calibration_error": calibration_error(right, [reading.confidence for reading in readings]),
            f"{name} valence_accuracy": feelings.accuracy(valences, [reading.valence for reading in readings]),
        }
    zero_shot = feelings.label_probabilities(talker, texts, "GoEmotions, zero-shot")
    guesses = [LABELS[i] for i in zero_shot.argmax(axis=1)]
    right = [t == g for t, g in zip(truth, guesses, strict=True)]
    scores |= {
        "zero-shot accuracy": feelings.accuracy(truth, guesses),
        "zero-shot macro_f1": feelings.macro_f1(truth, guesses),
        "zero-shot calibration_error": calibration_error(right, zero_shot.max(axis=1)),
        "zero-shot valence_accuracy": feelings.accuracy(
            valences,
            feelings.valences(
                feelings.valence_probabilities(talker, texts, zero_shot, "GoEmotions, zero-shot valence")
            ),
        ),
        "commonest accuracy": max(Counter(truth).values()) / len(truth),
        "commonest macro_f1": feelings.macro_f1(truth, [Counter(truth).most_common(1)[0][0]] * len(truth)),
        "commonest valence_accuracy": max(Counter(valences).values()) / len(valences),
    }
    return scores | _vader(texts, valences, None)


def _rated(talker: Talker, sensor: Sensor, domain: str, rows: list[tuple[str, float]], seed: int) -> Scores:
    texts, ratings = [text for text, _ in rows], np.array([rating for _, rating in rows])
    truth = feelings.by_threshold(ratings, feelings.RATED_NEUTRAL)
    scores: Scores = {"examples": len(rows), "commonest valence_accuracy": max(Counter(truth).values()) / len(truth)}
    for name, readings in _readings(talker, sensor, texts, domain, seed).items():
        strength = np.array([reading.intensity for reading in readings])
        slope = np.array([reading.valences[0] - reading.valences[1] for reading in readings])
        scores |= {
            f"{name} valence_accuracy": feelings.accuracy(truth, [reading.valence for reading in readings]),
            f"{name} rank_correlation": feelings.rank_correlation(slope, ratings),
            f"{name} intensity_correlation": feelings.rank_correlation(strength, np.abs(ratings)),
            f"{name} intensity_error": float(np.abs(strength - np.abs(ratings) / 4).mean()),
        }
    shares = feelings.valence_probabilities(talker, texts, None, f"{domain}, zero-shot")
    scores["zero-shot valence_accuracy"] = feelings.accuracy(truth, feelings.valences(shares))
    scores["zero-shot rank_correlation"] = feelings.rank_correlation(shares[:, 0] - shares[:, 1], ratings)
    return scores | _vader(texts, truth, ratings)


def _vader(texts: list[str], valences: list[str], ratings: np.ndarray | None) -> Scores:
    compound = feelings.vader_scores(texts)
    if compound is None:
        return {}
    guesses = feelings.by_threshold(compound, feelings.VADER_NEUTRAL)
    scores = {"VADER valence_accuracy": feelings.accuracy(valences, guesses)}
    if ratings is not None:
        scores["VADER rank_correlation"] = feelings.rank_correlation(compound, ratings)
        scores["VADER intensity_correlation"] = feelings.rank_correlation(np.abs(compound), np.abs(ratings))
    return scores
