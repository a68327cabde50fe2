"""How well a model predicts text: perplexity of held-out dialogues, and LAMBADA-style last words from a file.

`held_out.jsonl` holds dialogues by phrasings that no training set contains, one `{"turns": [[user, reply], ...]}` a
line. Only the replies count. Bits per byte compares models of different vocabularies, perplexity per token does not.
"""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np

from assistant.errors import UsageError
from assistant.evaluation.talker import Talker

HELD_OUT_FILE = Path(__file__).with_name("held_out.jsonl")


class Dialogue(msgspec.Struct):
    """One line of a file of dialogues."""

    turns: list[tuple[str, str]]


class LastWord(msgspec.Struct):
    """One line of a LAMBADA-style file: a passage whose last word is to be guessed."""

    text: str


def read_lines(path: Path, kind: type) -> list:
    """The objects of a JSON Lines file. Raises UsageError naming the line that does not fit."""
    found = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("cannot read the file", where=path, why=error) from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(msgspec.json.decode(line, type=kind))
            except msgspec.MsgspecError as error:
                raise UsageError("not the wanted JSON", where=f"{path}, line {number}", why=error) from error
    if not found:
        raise UsageError("the file is empty", where=path)
    return found


def score_replies(talker: Talker, path: Path = HELD_OUT_FILE, limit: int | None = None) -> dict[str, float]:
    """Perplexity per token and bits per byte of the replies of the dialogues in a file."""
    separator = talker.model.template.separator
    sequences, masks, size = [], [], 0
    for dialogue in read_lines(path, Dialogue)[:limit]:
        tokens, mask = list(talker.model.template.bos), [False] * len(talker.model.template.bos)
        for said, reply in dialogue.turns:
            prompt = talker.model.tokenizer.encode(talker.prompt(said))
            answer = talker.model.tokenizer.encode(f" {reply}{separator}")
            tokens += prompt + answer
            mask += [False] * len(prompt) + [True] * len(answer)
            size += len(f" {reply}{separator}".encode())
        sequences.append(tokens)
        masks.append(np.array(mask[1:]))
    losses = np.concatenate(
        [row[mask] for row, mask in zip(talker.losses(sequences, "perplexity"), masks, strict=True)]
    )
    mean = float(losses.mean())
    return {
        "tokens": int(losses.size),
        "loss": mean,
        "perplexity": math.exp(mean),
        "bits_per_byte": float(losses.sum()) / math.log(2) / size,
    }


def score_last_words(talker: Talker, path: Path, limit: int | None = None) -> dict[str, float]:
    """How often the greedy choice at every token of a passage's last word is that word, and the word's perplexity.

    The measure of the LAMBADA paper (Paperno et al., 2016, arXiv 1606.06031) as lm-evaluation-harness computes it.
    """
    sequences, starts = [], []
    for item in read_lines(path, LastWord)[:limit]:
        passage, _, word = item.text.strip().rpartition(" ")
        context = talker.tokens(passage)
        starts.append(len(context))
        sequences.append(context + talker.model.tokenizer.encode(f" {word}"))
    right, total = 0, 0.0
    for index, (tokens, start) in enumerate(zip(sequences, starts, strict=True)):
        logits, state = talker.read(tokens[:start])
        greedy = True
        for token in tokens[start:]:
            wide = logits.astype(np.float64)
            total += wide.max() + math.log(np.exp(wide - wide.max()).sum()) - wide[token]
            greedy &= int(logits.argmax()) == token
            logits, state = talker.read([token], state)
        right += greedy
        talker.progress("last words", index + 1, len(sequences))
    return {
        "examples": len(sequences),
        "accuracy": right / len(sequences),
        "perplexity": math.exp(total / len(sequences)),
    }
