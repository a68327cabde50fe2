"""What the words of a text say, what a state says, and which of them is asked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from assistant.models.store import EMBEDDED, SHIPPED, Store
from assistant.mood import valence
from assistant.mood.labels import LABELS, contradicts
from assistant.mood.lexicon import EVIDENCE, lexicon
from assistant.mood.probe import FRONT, PROBE_FILE, feature_count, state_features, words_hash
from assistant.mood.sensor import Sensor, sensor_of
from assistant.mood.stack import ABOUT, OUTPUTS, Reading
from backends.base import ModelConfig, State

TINY = ModelConfig(layers=3, width=8, heads=1, head_size=8, vocab=257, ffn=16,
                   decay_rank=2, iclr_rank=2, value_rank=2, gate_rank=2)  # fmt: skip


@pytest.mark.parametrize(
    ("weaker", "stronger"),
    [
        ("The food was good.", "The food was very good."),
        ("The food was good.", "The food was good!!!"),
        ("The food was good.", "The food was GOOD."),
        ("The food was good, but the room was awful.", "The room was awful, but the food was good."),
        ("The food was not good.", "The food was good."),
        ("It isn’t nice", "It is nice"),
        ("It is kinda nice", "It is nice"),
        ("why 😭", "why 😍"),
        ("Fine :(", "Fine :)"),
    ],
)
def test_what_stands_around_a_word_changes_its_rating(weaker, stronger):
    assert valence.compound(weaker) < valence.compound(stronger)


def test_a_text_without_rated_words_is_neutral():
    assert valence.compound("The train leaves at nine from platform four") == 0
    assert valence.compound("") == 0


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Thank you so much, I love it!", "happy"),
        ("I'm so sad, I cried all night", "sad"),
        ("I hate this, it makes me so angry", "angry"),
        ("I'm scared and terrified of the dark", "scared"),
        ("Wow, I did not expect that, what a surprise", "surprised"),
        ("Eww, that is disgusting and gross", "disgusted"),
        ("The train leaves at nine from platform four", "neutral"),
    ],
)
def test_the_lexicon_reads_plain_words(text, label):
    found = Sensor().read(text)
    assert (found.reading.label, found.source) == (label, "lexicon")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300))
def test_any_text_has_a_reading(text):
    reading = lexicon().read(text)
    assert reading.feelings.sum() == pytest.approx(1)
    assert reading.valences.sum() == pytest.approx(1)
    assert 0 <= reading.intensity <= 1
    assert 0 < reading.confidence <= 1
    assert np.abs(valence.features(text)).max() <= 1.5


def test_a_valence_never_contradicts_its_label():
    happy = np.eye(len(LABELS))[LABELS.index("happy")]
    assert Reading(happy, np.array([0.1, 0.8, 0.1]), 0.5).valence == "positive"
    assert Reading(happy, np.array([0.1, 0.1, 0.8]), 0.5).valence == "neutral"
    assert not contradicts("surprised", "negative")


def write_probe(folder: Path, label: str, **changes: str) -> None:
    """A probe that says `label` whenever the first feature of the state is positive, and neutral otherwise."""
    front = np.zeros((FRONT, feature_count(TINY)), np.float32)
    front[0, 0] = 1
    stack = np.zeros((OUTPUTS, FRONT + EVIDENCE), np.float32)
    stack[LABELS.index(label), 0], stack[LABELS.index("neutral"), 0] = 9, -9
    tensors = {"front.weight": front, "front.bias": np.zeros(FRONT, np.float32),
               "stack.weight": stack, "stack.bias": np.zeros(OUTPUTS, np.float32)}  # fmt: skip
    marks = {"model_sha256": "abc", "words_sha256": words_hash(lexicon().words)} | changes
    save_file(tensors, folder / PROBE_FILE, {ABOUT: json.dumps(marks)})


def state_of(value: float) -> State:
    state = State(TINY)
    state.shift_tmix[TINY.layers // 2, 0] = value
    return state


def test_a_probe_reads_the_state_and_copies_what_it_needs(tmp_path):
    write_probe(tmp_path, "scared")
    sensor = sensor_of(tmp_path, "abc", TINY)
    state = state_of(2.0)
    read = sensor.reader(state)
    state.data[:] = -2.0  # the reply goes on
    found = read("thank you")
    assert (found.reading.label, found.source) == ("scared", "state probe")
    assert sensor.read("thank you", state_of(-2.0)).reading.label == "neutral"
    assert sensor.read("thank you").source == "lexicon", "there may be no state to read"


def test_only_the_upper_half_of_the_layers_is_looked_at():
    state = State(TINY)
    state.shift_tmix[0], state.shift_cmix[0], state.wkv[:] = 1, 1, 1
    assert not state_features(state).any()
    assert len(state_features(state)) == feature_count(TINY) == 2 * 2 * 8


@pytest.mark.parametrize("changes", [{"model_sha256": "another"}, {"words_sha256": "another"}])
def test_a_probe_of_another_model_or_lexicon_is_left_alone(tmp_path, changes):
    write_probe(tmp_path, "scared", **changes)
    assert sensor_of(tmp_path, "abc", TINY).read("thank you", state_of(2)).source == "lexicon"


def test_a_tuned_state_or_no_probe_leaves_it_to_the_lexicon(tmp_path):
    assert not sensor_of(tmp_path, "abc", TINY).wants_state
    write_probe(tmp_path, "scared")
    assert not sensor_of(tmp_path, "abc", TINY, tuned=True).wants_state


@pytest.mark.parametrize("damage", ["cut", "noise", "other"])
def test_a_damaged_probe_is_told_of_and_left_alone(tmp_path, caplog, damage):
    write_probe(tmp_path, "scared")
    path = tmp_path / PROBE_FILE
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:100])
    elif damage == "noise":
        path.write_bytes(b"no tensors")
    else:
        save_file({"front.weight": np.full((FRONT, 3), np.nan, np.float32)}, path)
    assert sensor_of(tmp_path, "abc", TINY).read("thanks", state_of(2)).source == "lexicon"
    assert "moods are read by the lexicon" in caplog.text


def test_the_shipped_probe_fits_the_shipped_model():
    """After another model is embedded: python -m assistant.training probe --data ... --rated ..."""
    if not (SHIPPED / PROBE_FILE).is_file():
        pytest.skip("the embedded model has no probe")
    manifest = Store().show(EMBEDDED)
    assert sensor_of(SHIPPED, manifest.source.sha256, manifest.config).wants_state


def test_the_ratings_are_the_lexicon_that_is_named():
    assert len(valence.ratings()) > 7500
    assert valence.ratings()["great"] == 3.1
    assert valence.ratings()["catastrophic"] < -2
