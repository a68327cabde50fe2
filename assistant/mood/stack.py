"""From a handful of evidence to a reading: one linear layer whose shares are calibrated, and its file format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from assistant.errors import ModelFileError
from assistant.mood.labels import LABELS, VALENCES, contradicts, valence_of

OUTPUTS = len(LABELS) + len(VALENCES) + 1
"""Seven feelings, three valences, intensity."""
ABOUT = "about"
"""The one key of a file's metadata, JSON: of several the order would change from one writing to the next."""


@dataclass(frozen=True, slots=True)
class Reading:
    """feelings f64[7] and valences f64[3] are shares that sum to 1, in the order of LABELS and VALENCES."""

    feelings: np.ndarray
    valences: np.ndarray
    intensity: float

    @property
    def label(self) -> str:
        return LABELS[int(self.feelings.argmax())]

    @property
    def valence(self) -> str:
        """Of the likeliest valences the one that does not contradict the label."""
        found = VALENCES[int(self.valences.argmax())]
        return valence_of(self.label) if contradicts(self.label, found) else found

    @property
    def confidence(self) -> float:
        return float(self.feelings.max())


@dataclass(frozen=True, slots=True)
class Stack:
    """weight f32[OUTPUTS, E], bias f32[OUTPUTS] over E pieces of evidence; the temperature is folded into both."""

    weight: np.ndarray
    bias: np.ndarray

    def read(self, evidence: np.ndarray) -> Reading:
        """evidence f32[E] -> Reading."""
        z = self.weight @ evidence + self.bias
        feelings, valences = z[: len(LABELS)], z[len(LABELS) : -1]
        return Reading(softmax(feelings), softmax(valences), float(np.clip(z[-1], 0.0, 1.0)))


def softmax(z: np.ndarray) -> np.ndarray:
    """f64, over the last axis."""
    e = np.exp(z.astype(np.float64) - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def read_tensors(
    path: Path, shapes: Mapping[str, tuple[int | None, ...]]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The named tensors as float32, and the metadata. `shapes`: None fits any length.

    Raises ModelFileError for a file that is missing, damaged or has other tensors.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            found = {name: file.get_tensor(name).astype(np.float32) for name in shapes}
            about = msgspec.json.decode((file.metadata() or {}).get(ABOUT, "{}"), type=dict[str, Any])
    except (OSError, SafetensorError, msgspec.MsgspecError) as error:
        raise ModelFileError("cannot read the read-out of moods", where=path, why=error) from error
    for name, shape in shapes.items():
        tensor = found[name]
        fits = tensor.ndim == len(shape) and all(w in (None, n) for w, n in zip(shape, tensor.shape, strict=True))
        if not fits or not np.isfinite(tensor).all():
            why = f"'{name}' is {list(tensor.shape)}"
            raise ModelFileError("this is no read-out of moods", where=path, why=why)
    return found, about
