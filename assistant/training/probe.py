"""Asking the model questions it was not trained on and scoring the answers; and its feelings on GoEmotions' test split.

`probe.txt` holds `[category]` lines and lines `first turn >> second turn => wanted` or `... => wanted =/> unwanted`.
The model answers every turn itself; in its last answer a word must begin like the first pattern, none like the second.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch

from assistant.training import sources
from assistant.training.documents import ASSISTANT, FEELING, TURN_END, prompt_of
from assistant.training.export import load_pth, write_metrics
from assistant.training.model import Rwkv7, from_weights
from assistant.training.vocabulary import END_OF_TEXT, Tokenizer
from assistant.training.wkv import STEPS_PER_SAVED_STATE

PROBE_FILE = Path(__file__).with_name("probe.txt")
MOST_REPLY_TOKENS = 48


def _begins_a_word(pattern: str, text: str) -> bool:
    return re.search(rf"\b(?:{pattern})", text, re.IGNORECASE) is not None


@dataclass(frozen=True)
class Question:
    """One line of the battery."""

    category: str
    turns: tuple[str, ...]
    wanted: str
    unwanted: str = ""

    def is_answered_by(self, reply: str) -> bool:
        return _begins_a_word(self.wanted, reply) and not (self.unwanted and _begins_a_word(self.unwanted, reply))


def read_questions(path: Path = PROBE_FILE) -> list[Question]:
    """The battery, in the order of its file."""
    questions, category = [], ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            category = line.strip("[] ")
        elif line.strip() and not line.startswith("#"):
            said, _, pattern = line.partition(" => ")
            wanted, _, unwanted = pattern.partition(" =/> ")
            turns = tuple(turn.strip() for turn in said.split(" >> "))
            questions.append(Question(category, turns, wanted.strip(), unwanted.strip()))
    return questions


@torch.no_grad()
def last_logits(model: Rwkv7, sequences: list[list[int]]) -> torch.Tensor:
    """Logits [B, V] after the last token of each sequence; padding stands behind it, unseen."""
    longest = max(len(ids) for ids in sequences)
    width = -(-longest // STEPS_PER_SAVED_STATE) * STEPS_PER_SAVED_STATE
    tokens = torch.tensor([ids + [END_OF_TEXT] * (width - len(ids)) for ids in sequences])
    hidden = model.hidden(tokens)
    last = torch.tensor([len(ids) - 1 for ids in sequences])
    return model.head(hidden[torch.arange(len(sequences)), last])


def greedy_replies(model: Rwkv7, tokenizer: Tokenizer, prompts: list[str]) -> list[str]:
    """The most likely reply to each prompt, one token at a time for all prompts together."""
    end = tokenizer.encode(TURN_END)
    starts = [[END_OF_TEXT, *tokenizer.encode(prompt)] for prompt in prompts]
    written: list[list[int]] = [[] for _ in prompts]
    going = list(range(len(prompts)))
    for _ in range(MOST_REPLY_TOKENS):
        if not going:
            break
        chosen = last_logits(model, [starts[i] + written[i] for i in going]).argmax(-1).tolist()
        for i, token in zip(going, chosen, strict=True):
            written[i].append(token)
        going = [i for i in going if written[i][-1] not in (*end, END_OF_TEXT)]
    return [tokenizer.decode(ids).strip() for ids in written]


def converse(model: Rwkv7, tokenizer: Tokenizer, dialogues: list[tuple[str, ...]]) -> list[list[str]]:
    """The model's reply to every turn of every dialogue."""
    texts, replies = [""] * len(dialogues), [[] for _ in dialogues]
    for turn in range(max(len(turns) for turns in dialogues)):
        active = [i for i, turns in enumerate(dialogues) if turn < len(turns)]
        for i in active:
            texts[i] += prompt_of(dialogues[i][turn], ASSISTANT)
        for i, reply in zip(active, greedy_replies(model, tokenizer, [texts[i] for i in active]), strict=True):
            replies[i].append(reply)
            texts[i] += f" {reply}{TURN_END}"
    return replies


def label_tokens(tokenizer: Tokenizer) -> list[int]:
    """The first token of every label, by which the labels are told apart."""
    first = [tokenizer.encode(f" {label}")[0] for label in sources.LABELS]
    if len(set(first)) < len(first):
        raise ValueError("two labels begin with the same token in this vocabulary")
    return first


def named_feelings(model: Rwkv7, tokenizer: Tokenizer, texts: list[str], batch: int = 64) -> list[str]:
    """The label whose logit is the highest after `Feeling:`."""
    wanted, named = label_tokens(tokenizer), [""] * len(texts)
    encoded = [[END_OF_TEXT, *tokenizer.encode(prompt_of(text, FEELING))] for text in texts]
    order = sorted(range(len(texts)), key=lambda i: len(encoded[i]))
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        best = last_logits(model, [encoded[i] for i in part])[:, wanted].argmax(-1).tolist()
        for i, label in zip(part, best, strict=True):
            named[i] = sources.LABELS[label]
    return named


def macro_f1(truth: list[str], guesses: list[str]) -> float:
    """The mean over the labels of the harmonic mean of precision and recall."""
    hits = Counter(t for t, g in zip(truth, guesses, strict=True) if t == g)
    wanted, guessed = Counter(truth), Counter(guesses)
    return sum(2 * hits[label] / max(1, wanted[label] + guessed[label]) for label in wanted) / len(wanted)


def goemotions_scores(model: Rwkv7, tokenizer: Tokenizer, data: Path) -> dict:
    """Seven-way accuracy and macro F1 on the test split, beside always answering the commonest label."""
    rows = sources.goemotions(data, "test")
    truth = [row.label for row in rows]
    guesses = named_feelings(model, tokenizer, [row.text for row in rows])
    right = sum(t == g for t, g in zip(truth, guesses, strict=True))
    return {
        "examples": len(rows),
        "accuracy": round(right / len(rows), 4),
        "macro_f1": round(macro_f1(truth, guesses), 4),
        "majority_accuracy": round(Counter(truth).most_common(1)[0][1] / len(rows), 4),
    }


def battery_scores(model: Rwkv7, tokenizer: Tokenizer, verbose: bool = False) -> dict:
    """Questions answered, overall and by category, and the failures with what was said."""
    questions = read_questions()
    right, asked, failures = Counter(), Counter(), []
    for question, replies in zip(questions, converse(model, tokenizer, [q.turns for q in questions]), strict=True):
        answered = question.is_answered_by(replies[-1])
        asked[question.category] += 1
        right[question.category] += answered
        if not answered:
            failures.append({"asked": " >> ".join(question.turns), "replied": replies[-1]})
        if verbose:
            print(
                "ok  " if answered else "FAIL", f"[{question.category}]", " >> ".join(question.turns), "->", replies[-1]
            )
    return {
        "asked": len(questions),
        "answered": sum(right.values()),
        "by_category": {name: f"{right[name]}/{asked[name]}" for name in asked},
        "failures": failures,
    }


def report(
    model_path: Path, vocabulary: Path, data: Path | None = None, verbose: bool = False, metrics: Path | None = None
) -> dict:
    """Everything this module measures, also added to a metrics file; GoEmotions only where the data folder is given."""
    model, tokenizer = from_weights(load_pth(model_path)), Tokenizer.from_file(vocabulary)
    scores = {"probe": battery_scores(model, tokenizer, verbose)}
    if data:
        scores["goemotions"] = goemotions_scores(model, tokenizer, data)
    if metrics:
        write_metrics(metrics.parent, json.loads(metrics.read_text()) | scores)
    return scores
