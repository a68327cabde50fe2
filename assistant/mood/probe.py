"""Reading a mood from the state that a model has after it read the message: a linear read-out, of one model only.

What is looked at are the shift vectors of the upper half of the layers, at the place where the reply begins: the
normalised residual stream that time-mix and channel-mix saw at the last token. The chat computes them anyway. The
lexicon's evidence joins them in a second, smaller layer, which is where the shares are calibrated.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assistant.mood.labels import LABELS, VALENCES
from assistant.mood.lexicon import EVIDENCE, Words
from assistant.mood.stack import OUTPUTS, Reading, Stack, read_tensors
from backends.base import ModelConfig, State

PROBE_FILE = "probe.safetensors"
FRONT = len(LABELS) + len(VALENCES)


def state_features(state: State) -> np.ndarray:
    """f32[2 * ceil(L / 2) * D]: time-mix's and channel-mix's last inputs in the upper half of the layers."""
    lowest = state.config.layers // 2
    return np.concatenate([state.shift_tmix[lowest:].ravel(), state.shift_cmix[lowest:].ravel()])


def feature_count(config: ModelConfig) -> int:
    return 2 * (config.layers - config.layers // 2) * config.width


@dataclass(frozen=True)
class Probe:
    """front_weight f32[10, S], front_bias f32[10]: from the state's features to feelings and valences, uncalibrated."""

    front_weight: np.ndarray
    front_bias: np.ndarray
    stack: Stack
    words: Words

    def read(self, text: str, seen: np.ndarray) -> Reading:
        """`seen`: state_features of the state after `text`, f32[S]."""
        front = self.front_weight @ seen + self.front_bias
        return self.stack.read(np.concatenate([front, self.words.evidence(text)]))


def load_probe(path: Path, model_sha256: str, config: ModelConfig, words: Words) -> Probe | None:
    """The probe of a file, or None where it was made for another model, other words or does not exist.

    Raises ModelFileError for a damaged file.
    """
    if not path.is_file():
        return None
    count = feature_count(config)
    shapes = {"front.weight": (FRONT, None), "front.bias": (FRONT,), "stack.weight": (OUTPUTS, None),
              "stack.bias": (OUTPUTS,)}  # fmt: skip
    found, about = read_tensors(path, shapes)
    same = about.get("model_sha256") == model_sha256 and about.get("words_sha256") == words_hash(words)
    if not same or found["front.weight"].shape[1] != count or found["stack.weight"].shape[1] != FRONT + EVIDENCE:
        return None
    stack = Stack(found["stack.weight"], found["stack.bias"])
    return Probe(found["front.weight"], found["front.bias"], stack, words)


def words_hash(words: Words) -> str:
    """What a probe remembers of the lexicon it was fitted beside."""
    import hashlib

    return hashlib.sha256("\n".join(words.index).encode() + words.weight.tobytes() + words.bias.tobytes()).hexdigest()
