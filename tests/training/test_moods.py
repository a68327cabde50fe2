"""The recipe of the mood read-outs: its fits against what is known of them, and a probe end to end on a toy model."""

from __future__ import annotations

import numpy as np
import pytest

from assistant.evaluation.mood import calibration_error
from assistant.models.store import Store
from assistant.mood.probe import feature_count
from assistant.mood.sensor import sensor_of
from assistant.training import moods
from assistant.training.regression import ridge, softmax_regression, temperature
from backends.base import ModelConfig, State


def test_ridge_finds_the_plane_and_counts_weights():
    rng = np.random.default_rng(0)
    x = rng.normal(3, [1, 10], (200, 2)).astype(np.float32)
    y = x @ np.array([[2.0], [-0.5]], np.float32) + 7
    y[:100] += 100  # what does not count
    weight, bias = ridge(x, y, np.r_[np.zeros(100), np.ones(100)], 1e-6)
    assert weight == pytest.approx(np.array([[2.0, -0.5]]), abs=1e-3)
    assert bias == pytest.approx([7.0], abs=1e-2)


def test_softmax_regression_gives_the_odds_that_it_was_shown():
    x = np.array([[0.0], [0.0], [0.0], [0.0], [1.0], [1.0], [1.0], [1.0]])
    y = np.array([0, 0, 0, 1, 1, 1, 1, 0])
    weight, bias = softmax_regression(x, y, np.ones(8), 2, strength=1e-9)
    odds = np.exp([bias[1] - bias[0], (weight @ [1.0] + bias)[1] - (weight @ [1.0] + bias)[0]])
    assert odds == pytest.approx([1 / 3, 3], rel=1e-3)


def test_a_temperature_undoes_overconfidence():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(4000, 3))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(3, p=row) for row in p])
    assert temperature(3 * logits, labels) == pytest.approx(3, rel=0.1)


def test_calibration_error_is_the_gap_of_the_bins():
    assert calibration_error([True, False], [0.5, 0.5]) == 0
    assert calibration_error([True, True], [0.6, 0.9]) == pytest.approx(0.25)


def test_a_probe_is_made_for_one_model_and_reads_its_states(tmp_path, monkeypatch, data):
    """States whose first seven numbers tell the feeling."""
    asked: list[str] = []

    def states(model: str, texts: list[str], seed: int, workers: int) -> np.ndarray:
        asked.extend(texts)
        rng = np.random.default_rng(seed)
        told = [[cue in text for cue in CUES] + [0] * (feature_count(SMALL) - len(CUES)) for text in texts]
        return (np.array(told) + rng.normal(0, 0.1, (len(texts), feature_count(SMALL)))).astype(np.float32)

    monkeypatch.setattr(moods, "read_states", states)
    monkeypatch.setattr(moods, "BALANCES", (0.0,))
    out = tmp_path / "probe.safetensors"
    made = moods.train_probe("embedded", data, data, out)
    manifest = Store().show("embedded")
    assert made["model_sha256"] == manifest.source.sha256
    assert made["fitted_on"] + made["tuned_on"] == len(asked)
    assert not any(moods.rated_part(text) == "test" for text in asked if text.endswith(("great", "awful")))
    assert not sensor_of(tmp_path, "another model", SMALL).wants_state
    sensor = sensor_of(tmp_path, manifest.source.sha256, SMALL)
    for at, (cue, label) in enumerate(CUES.items()):
        state = State(SMALL)
        state.shift_tmix[SMALL.layers // 2, at] = 1
        found = sensor.read(f"{cue} dog", state)
        assert (found.reading.label, found.source) == (label, "state probe")
    first = out.read_bytes()
    moods.train_probe("embedded", data, data, out)
    assert out.read_bytes() == first, "the same data and seed give the same file"


def test_states_are_read_alone_and_after_other_turns():
    texts = ["I am so sad", "I am so happy", "Where is the station?", "What a surprise"] * 2
    once, again = (moods._read_part(("embedded", texts, seed)) for seed in (1, 1))
    config = Store().show("embedded").config
    assert once.shape == (len(texts), feature_count(config))
    assert (once == again).all()
    assert len(np.unique(once, axis=0)) > 4, "the same text after other turns leaves another state"


SMALL = ModelConfig(layers=2, width=6, heads=1, head_size=6, vocab=257, ffn=8,
                    decay_rank=2, iclr_rank=2, value_rank=2, gate_rank=2)  # fmt: skip
# Words that the lexicon does not know: only the state can tell.
CUES = {
    "blorf": "happy",
    "quixl": "sad",
    "zmarg": "angry",
    "fnirt": "scared",
    "wuzzo": "surprised",
    "yeggl": "disgusted",
}


@pytest.fixture
def data(tmp_path):
    """GoEmotions and the rated sets in small: every feeling has a word of its own."""
    names = ["joy", "sadness", "anger", "fear", "surprise", "disgust", "neutral"]
    said = dict(zip(names, [*CUES, "there"], strict=True))
    things = ["dog", "exam", "job", "rain", "house", "train", "news", "friend", "food", "film"]
    (tmp_path / "goemotions").mkdir()
    for split, some in (("train", things), ("dev", things[:5])):
        lines = [f"{cue} {thing}\t{moods.feelings.GOEMOTIONS_NAMES.index(name)}\tid"
                 for name, cue in said.items() for thing in some]  # fmt: skip
        (tmp_path / f"goemotions/go_{split}.tsv").write_text("\n".join(lines) + "\n")
    for name in moods.RATED_SETS.values():
        rows = [f"{i}\t{rating}\tThe {thing} is {word}" for i, thing in enumerate(things)
                for word, rating in (("great", 3.1), ("awful", -2.5), ("there", 0.1))]  # fmt: skip
        (tmp_path / name).write_text("\n".join(rows) + "\n")
    return tmp_path
