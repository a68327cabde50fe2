"""Documents (weighted text segments), their packing into training rows, and the row files.

A row is `context + 1` tokens: whole documents, each opened by token 0, padded with token 0 at weight 0. Files:
`<split>.tokens.npy` u16[rows, context + 1] and `<split>.weights.npy` u8[rows, context + 1], weights in tenths.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assistant.training.vocabulary import END_OF_TEXT, Tokenizer

CONTEXT = 256
ASSISTANT_WEIGHT, USER_WEIGHT, NAMED_SPEAKER_WEIGHT, NO_WEIGHT = 10, 2, 4, 0
USER, ASSISTANT, FEELING, VALENCE, TURN_END = "User:", "Assistant:", "Feeling:", "Valence:", "\n\n"
# A label is one token beside dozens of a reply, so it weighs more; rare labels weigh most, or they would never be said.
LABEL_WEIGHTS = {"happy": 30, "neutral": 30, "angry": 40, "surprised": 40, "sad": 50, "scared": 70, "disgusted": 80}
VALENCE_WEIGHT = 30

Turn = tuple[str, str]  # what the user says, what the assistant answers


@dataclass(frozen=True)
class Document:
    """A text in segments, each with the weight of its tokens in the loss (tenths)."""

    source: str
    segments: tuple[tuple[str, int], ...]

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.segments)


def prompt_of(user: str, mark: str = ASSISTANT) -> str:
    """A user turn and the opened answer, with no space after the colon: the reply's first token brings its own."""
    return f"{USER} {user}{TURN_END}{mark}"


def chat_document(source: str, turns: Iterable[Turn], user_weight: int = USER_WEIGHT) -> Document:
    """`User: ...\\n\\nAssistant: ...\\n\\n` for each turn."""
    segments: list[tuple[str, int]] = []
    for user, reply in turns:
        segments.append((prompt_of(user), user_weight))
        segments.append((f" {reply}{TURN_END}", ASSISTANT_WEIGHT))
    return Document(source, tuple(segments))


def feeling_document(source: str, user: str, label: str, user_weight: int = USER_WEIGHT) -> Document:
    """`User: ...\\n\\nFeeling: <label>\\n\\n`, the emotion interface; after a comma may stand a finer label."""
    label, comma, finer = label.partition(",")
    weight = LABEL_WEIGHTS.get(label, ASSISTANT_WEIGHT)
    answer = ((f" {label}", weight), (f"{comma}{finer}{TURN_END}", ASSISTANT_WEIGHT))
    return Document(source, ((prompt_of(user, FEELING), user_weight), *answer))


def valence_document(source: str, user: str, valence: str, user_weight: int = USER_WEIGHT) -> Document:
    """`User: ...\\n\\nValence: positive|negative|neutral\\n\\n`."""
    answer = ((f" {valence}", VALENCE_WEIGHT), (TURN_END, ASSISTANT_WEIGHT))
    return Document(source, ((prompt_of(user, VALENCE), user_weight), *answer))


@dataclass(frozen=True)
class Rows:
    """Packed rows: tokens u16[rows, context + 1], weights u8[rows, context + 1] (tenths)."""

    tokens: np.ndarray
    weights: np.ndarray


def encode(document: Document, tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Tokens and weights of a document, opened by token 0."""
    tokens, weights = [END_OF_TEXT], [NO_WEIGHT]
    for text, weight in document.segments:
        ids = tokenizer.encode(text)
        tokens += ids
        weights += [weight] * len(ids)
    return tokens, weights


def pack(documents: list[Document], tokenizer: Tokenizer, rng: random.Random, context: int = CONTEXT) -> Rows:
    """Pack shuffled documents into rows, first fit over a small pool; a document longer than a row is cut."""
    width, pool_size = context + 1, 24
    order = list(range(len(documents)))
    rng.shuffle(order)
    pool: list[tuple[list[int], list[int]]] = []
    token_rows, weight_rows = [], []
    tokens: list[int] = []
    weights: list[int] = []
    while order or pool:
        while order and len(pool) < pool_size:
            encoded = encode(documents[order.pop()], tokenizer)
            pool.append(tuple(part[:width] for part in encoded))
        fitting = next((i for i, (ids, _) in enumerate(pool) if len(ids) <= width - len(tokens)), None)
        if fitting is not None:
            ids, marks = pool.pop(fitting)
            tokens += ids
            weights += marks
        if fitting is None or not (order or pool):
            padding = width - len(tokens)
            token_rows.append(np.array(tokens + [END_OF_TEXT] * padding, np.uint16))
            weight_rows.append(np.array(weights + [NO_WEIGHT] * padding, np.uint8))
            tokens, weights = [], []
    shape = (0, width)
    return Rows(
        np.stack(token_rows) if token_rows else np.zeros(shape, np.uint16),
        np.stack(weight_rows) if weight_rows else np.zeros(shape, np.uint8),
    )


def save_rows(folder: Path, split: str, rows: Rows) -> None:
    """Write the two files of a split."""
    np.save(folder / f"{split}.tokens.npy", rows.tokens)
    np.save(folder / f"{split}.weights.npy", rows.weights)


def load_rows(folder: Path, split: str) -> Rows:
    """Map the two files of a split, read only."""
    return Rows(*(np.load(folder / f"{split}.{part}.npy", mmap_mode="r") for part in ("tokens", "weights")))
