"""Reading a text by its words alone: what each word says of seven feelings, and how good or bad it is rated.

The words' weights are learnt from GoEmotions' training split by `python -m assistant.training lexicon`; the ratings are
those of `valence`. It needs no model, so it reads where no probe fits; a probe takes the same evidence beside its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from assistant.mood import valence
from assistant.mood.labels import LABELS
from assistant.mood.stack import OUTPUTS, Reading, Stack, read_tensors
from assistant.mood.words import MOST_CHARS, words_of

LEXICON_FILE = Path(__file__).with_name("lexicon.safetensors")
EVIDENCE = len(LABELS) + len(valence.FEATURES)


@dataclass(frozen=True)
class Words:
    """What single words say: weight f32[V, 7] of the words in `index`, bias f32[7]."""

    index: dict[str, int]
    weight: np.ndarray
    bias: np.ndarray

    def logits(self, text: str) -> np.ndarray:
        """f32[7]; the sum over the known words, by the root of how many they are."""
        rows = [self.index[word] for word in words_of(text) if word in self.index]
        return self.bias + self.weight[rows].sum(axis=0) / max(1.0, len(rows)) ** 0.5

    def evidence(self, text: str) -> np.ndarray:
        """f32[EVIDENCE]: what the words say of each label, then the features of `valence`."""
        return np.concatenate([self.logits(text), valence.features(text[:MOST_CHARS])])


@dataclass(frozen=True)
class Lexicon:
    words: Words
    stack: Stack

    def read(self, text: str) -> Reading:
        return self.stack.read(self.words.evidence(text))


@cache
def lexicon(path: Path = LEXICON_FILE) -> Lexicon:
    """The lexicon that ships with the program. Raises ModelFileError."""
    shapes = {"words.weight": (None, len(LABELS)), "words.bias": (len(LABELS),),
              "stack.weight": (OUTPUTS, EVIDENCE), "stack.bias": (OUTPUTS,)}  # fmt: skip
    found, about = read_tensors(path, shapes)
    index = {word: i for i, word in enumerate(about.get("words", []))}
    return Lexicon(
        Words(index, found["words.weight"], found["words.bias"]), Stack(found["stack.weight"], found["stack.bias"])
    )
