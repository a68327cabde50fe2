"""The recipe of the mood read-outs: the lexicon once for all models, a probe for each model.

Both end in the same small layer, fitted on texts that the layers below it never saw: GoEmotions' dev split and a
quarter of the rated texts. What is reported is the rest: GoEmotions' test split and half of the rated texts.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from assistant.evaluation import feelings
from assistant.evaluation.feelings import RATED_NEUTRAL, RATED_SETS, goemotions, macro_f1, rated_part, rated_texts
from assistant.mood.labels import LABELS, VALENCES, valence_of
from assistant.mood.lexicon import LEXICON_FILE, Words, lexicon
from assistant.mood.probe import PROBE_FILE, state_features, words_hash
from assistant.mood.stack import ABOUT, OUTPUTS
from assistant.mood.words import words_of
from assistant.training.regression import ridge, softmax_regression, temperature

RAREST_WORD = 3  # times in GoEmotions' training split
FRONT_STRENGTH = 0.1
BALANCES = (0.0, 0.1, 0.2, 0.3, 0.4)  # exponents of 1 / frequency tried for the weights of the labels
FULL_RATING = 4.0


@dataclass(frozen=True)
class Sample:
    """A text with what is known of it: a feeling or none, a valence, a rating (-4..4) or none, and its domain."""

    text: str
    label: str | None
    valence: str
    rating: float | None
    domain: str


def samples(data: Path, rated: Path, split: str) -> list[Sample]:
    """`split` fit: GoEmotions' training split and a quarter of the rated texts; tune: its dev split and another."""
    rows = [
        Sample(row.text, row.label, valence_of(row.label), None, "GoEmotions")
        for row in goemotions(data, {"fit": "train", "tune": "dev"}[split])
    ]
    for domain in RATED_SETS:
        for text, rating in rated_texts(rated, domain):
            if rated_part(text) == split:
                rows.append(Sample(text, None, feelings.by_threshold([rating], RATED_NEUTRAL)[0], rating, domain))
    return rows


def even_weights(rows: list[Sample]) -> np.ndarray:
    """f64[n]: every domain counts the same."""
    sizes = Counter(row.domain for row in rows)
    return np.array([1 / sizes[row.domain] for row in rows])


def fit_stack(evidence: np.ndarray, rows: list[Sample]) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """The last layer over evidence f32[n, E], and what it was fitted to; temperature folded in."""
    felt = np.array([i for i, row in enumerate(rows) if row.label])
    labels = np.array([LABELS.index(rows[i].label) for i in felt])
    frequency = np.bincount(labels, minlength=len(LABELS)) / len(labels)
    x = evidence[felt]

    def fitted(balance: float, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return softmax_regression(x[part], labels[part], frequency[labels[part]] ** -balance, len(LABELS))

    def quality(balance: float) -> float:
        """Accuracy and macro-F1 of each half by a fit on the other."""
        total = 0.0
        for half in (0, 1):
            own = np.arange(len(labels)) % 2 == half
            weight, bias = fitted(balance, ~own)
            guesses = [LABELS[i] for i in (x[own] @ weight.T + bias).argmax(axis=1)]
            truth = [LABELS[i] for i in labels[own]]
            total += feelings.accuracy(truth, guesses) + macro_f1(truth, guesses)
        return total

    balance = max(BALANCES, key=quality)
    weight, bias = fitted(balance, np.ones(len(labels), bool))
    divisor = temperature(x @ weight.T + bias, labels)
    valences = np.array([VALENCES.index(row.valence) for row in rows])
    v_weight, v_bias = softmax_regression(evidence, valences, even_weights(rows), len(VALENCES))
    rated = np.array([i for i, row in enumerate(rows) if row.rating is not None])
    strength = np.array([[abs(rows[i].rating) / FULL_RATING] for i in rated], np.float32)
    i_weight, i_bias = ridge(evidence[rated], strength, even_weights([rows[i] for i in rated]), 1e-3)
    tensors = {
        "stack.weight": np.concatenate([weight / divisor, v_weight, i_weight]).astype(np.float32),
        "stack.bias": np.concatenate([bias / divisor, v_bias, i_bias]).astype(np.float32),
    }
    assert tensors["stack.weight"].shape[0] == OUTPUTS
    return tensors, {"balance": balance, "temperature": round(divisor, 3), "tuned_on": len(rows)}


# --- the lexicon ---


def train_lexicon(data: Path, rated: Path, out: Path = LEXICON_FILE, seed: int = 0) -> dict[str, object]:
    """Learn what each word says of the seven feelings, then the last layer. About a minute of one core."""
    rows = goemotions(data, "train")
    counts = Counter(word for row in rows for word in words_of(row.text))
    known = sorted(word for word, count in counts.items() if count >= RAREST_WORD)
    index = {word: i for i, word in enumerate(known)}
    weight, bias = _learn_words(
        [[index[w] for w in words_of(row.text) if w in index] for row in rows],
        np.array([LABELS.index(row.label) for row in rows]),
        len(index),
        seed,
    )
    words = Words(index, weight.astype(np.float16).astype(np.float32), bias)
    tune = samples(data, rated, "tune")
    stack, about = fit_stack(np.stack([words.evidence(row.text) for row in tune]), tune)
    about |= {"seed": seed, "data": data_hashes(data, rated)}
    tensors = {"words.weight": weight.astype(np.float16), "words.bias": bias, **stack}
    _write(out, tensors, {"words": known, **about})
    return {"words": len(known), **about}


def _learn_words(
    texts: list[list[int]], labels: np.ndarray, size: int, seed: int, epochs: int = 8, batch: int = 128
) -> tuple[np.ndarray, np.ndarray]:
    """Softmax regression over bags of words by Adagrad with one rate per word -> (f32[size, 7], f32[7])."""
    rng = np.random.default_rng(seed)
    weight, bias = np.zeros((size, len(LABELS)), np.float32), np.zeros(len(LABELS), np.float32)
    squares, wanted = np.full((size, 1), 1e-4, np.float32), np.eye(len(LABELS), dtype=np.float32)[labels]
    steps, done = epochs * (len(texts) // batch), 0
    for _ in range(epochs):
        order = rng.permutation(len(texts))
        for start in range(0, len(texts) - batch + 1, batch):
            own = order[start : start + batch]
            ids = np.array([w for i in own for w in texts[i]], np.int64)
            row = np.repeat(np.arange(batch), [len(texts[i]) for i in own])
            value = np.repeat([max(1, len(texts[i])) ** -0.5 for i in own], [len(texts[i]) for i in own])[:, None]
            z = np.zeros((batch, len(LABELS)))
            np.add.at(z, row, weight[ids] * value)
            e = np.exp(z + bias - (z + bias).max(axis=1, keepdims=True))
            error = e / e.sum(axis=1, keepdims=True) - wanted[own]
            unique, place = np.unique(ids, return_inverse=True)
            slope = np.zeros((len(unique), len(LABELS)))
            np.add.at(slope, place, error[row] * value)
            slope = slope / batch + 3e-6 * weight[unique]
            squares[unique, 0] += (slope * slope).mean(axis=1)
            rate = 1 - done / steps
            weight[unique] -= 0.2 * rate * slope / np.sqrt(squares[unique])
            bias -= 0.1 * rate * error.mean(axis=0)
            done += 1
    return weight, bias.astype(np.float32)


# --- a probe ---


def train_probe(
    model: str, data: Path, rated: Path, out: Path | None = None, seed: int = 0, workers: int = 2
) -> dict[str, object]:
    """Read all texts with the model, fit the layers and write them beside it (or to `out`)."""
    from assistant.models.store import Store

    store, words = Store(), lexicon().words
    manifest, path = store.show(model), out or store.folder(model) / PROBE_FILE
    fit, tune = samples(data, rated, "fit"), samples(data, rated, "tune")
    states = read_states(model, [row.text for row in [*fit, *tune]], seed, workers)
    front_weight, front_bias = fit_front(states[: len(fit)], fit)
    front = states[len(fit) :] @ front_weight.T + front_bias
    stack, about = fit_stack(np.concatenate([front, [words.evidence(row.text) for row in tune]], axis=1), tune)
    about |= {"seed": seed, "fitted_on": len(fit), "data": data_hashes(data, rated)}
    marks = {"model_sha256": manifest.source.sha256, "words_sha256": words_hash(words)}
    tensors = {"front.weight": front_weight, "front.bias": front_bias, **stack}
    _write(path, tensors, {**marks, "model": manifest.name, **about})
    return {"file": str(path), **marks, **about}


def _write(path: Path, tensors: dict[str, np.ndarray], about: dict[str, object]) -> None:
    """As a whole or not at all."""
    partial = path.with_name(f".{path.name}.new")
    # safetensors writes the memory as it lies: a transposed array would be read back scrambled
    save_file({name: np.ascontiguousarray(t) for name, t in tensors.items()}, partial,
              {ABOUT: json.dumps(about, sort_keys=True)})  # fmt: skip
    partial.chmod(0o644)
    partial.replace(path)


def fit_front(states: np.ndarray, rows: list[Sample]) -> tuple[np.ndarray, np.ndarray]:
    """From a state's features f32[n, S] to seven feelings and three valences, by ridge regression of 0 and 1."""
    felt = np.array([i for i, row in enumerate(rows) if row.label])
    of_label = np.eye(len(LABELS), dtype=np.float32)[[LABELS.index(rows[i].label) for i in felt]]
    of_valence = np.eye(len(VALENCES), dtype=np.float32)[[VALENCES.index(row.valence) for row in rows]]
    one, one_bias = ridge(states[felt], of_label, np.ones(len(felt)), FRONT_STRENGTH)
    two, two_bias = ridge(states, of_valence, even_weights(rows), FRONT_STRENGTH)
    return np.concatenate([one, two]), np.concatenate([one_bias, two_bias])


def read_states(model: str, texts: list[str], seed: int, workers: int) -> np.ndarray:
    """f32[texts, S]: the state's features after each text; every second one follows on a few earlier exchanges."""
    context = multiprocessing.get_context("spawn")
    parts = [(model, texts[start::workers], seed + start) for start in range(workers)]
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        found = list(pool.map(_read_part, parts))
    states = np.empty((len(texts), found[0].shape[1]), np.float32)
    for start, part in enumerate(found):
        states[start::workers] = part
    return states


def _read_part(part: tuple[str, list[str], int]) -> np.ndarray:
    from assistant.evaluation.command import make_backend
    from assistant.evaluation.mood import Reader
    from assistant.evaluation.talker import Talker
    from assistant.models.store import Store

    model, texts, seed = part
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    backend = make_backend("auto")
    reader = Reader(Talker(backend, Store().open(model)), "fit")
    if hasattr(backend, "set_threads"):
        backend.set_threads(1)
    rng = random.Random(seed)
    rows = [state_features(reader.read(text, rng.random() < 0.5, rng)).astype(np.float16) for text in texts]
    return np.stack(rows)


def data_hashes(data: Path, rated: Path) -> dict[str, str]:
    """sha256 of what is read."""
    files = [data / f"goemotions/go_{split}.tsv" for split in ("train", "dev")]
    files += [rated / name for name in RATED_SETS.values()]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
