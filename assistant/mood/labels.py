"""The seven feelings and the three valences that a message may be read as."""

from __future__ import annotations

from typing import Literal

Valence = Literal["positive", "negative", "neutral"]

LABELS = ["happy", "sad", "angry", "scared", "surprised", "disgusted", "neutral"]
VALENCES: list[Valence] = ["positive", "negative", "neutral"]
POSITIVE, NEGATIVE = {"happy"}, {"sad", "angry", "scared", "disgusted"}


def valence_of(label: str) -> Valence:
    """positive, negative or neutral; a surprise may be either, so it counts as neutral."""
    return "positive" if label in POSITIVE else "negative" if label in NEGATIVE else "neutral"


def contradicts(label: str, valence: Valence) -> bool:
    """Whether a feeling and a valence cannot both be right."""
    return {valence_of(label), valence} == {"positive", "negative"}
