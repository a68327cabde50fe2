"""Talking to a model on a backend, many texts at a time: replies, logits after a text, and losses of tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from assistant.models.store import LoadedModel
from assistant.sampler import Sampler, SamplingParams
from backends.base import Backend, State

GREEDY = SamplingParams(temperature=0.0)
SAMPLED = SamplingParams(temperature=0.7, top_p=0.7, seed=1)  # what a person meets in the chat
MOST_REPLY_TOKENS = 96
LANES = 16  # texts that share one pass over the weights

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, how much is done, how much there is)."""


def silent(stage: str, done: int, total: int) -> None:
    """No progress is shown."""


@dataclass
class _Lane:
    index: int
    state: State
    sampler: Sampler
    logits: np.ndarray
    written: list[int]


class Talker:
    """One loaded model on one backend; it keeps nothing between calls."""

    def __init__(self, backend: Backend, model: LoadedModel, progress: Progress = silent, initial: State | None = None):
        """`initial`: what every context starts from instead of the model's own tuned state or zeros."""
        self.backend, self.model, self.progress = backend, model, progress
        self._initial = initial or model.initial or State(model.weights.config)
        backend.load(model.weights)
        self._stops = [stop.encode() for stop in model.template.stops]

    def tokens(self, text: str) -> list[int]:
        """A text as the beginning of a context."""
        return [*self.model.template.bos, *self.model.tokenizer.encode(text)]

    def read(self, tokens: Sequence[int], state: State | None = None) -> tuple[np.ndarray, State]:
        """Logits f32[V] after the tokens, and the state there."""
        state = state or self._initial.copy()
        return self.backend.prefill(np.asarray(tokens, np.int32), state).logits, state

    def prompt(self, said: str) -> str:
        """A user's turn up to where the reply begins; a model that thinks is told not to."""
        template = self.model.template
        return template.user_turn(said, False if template.thinks else None)

    def converse(
        self, dialogues: Sequence[Sequence[str]], params: SamplingParams = GREEDY, stage: str = "talking"
    ) -> list[list[str]]:
        """The model's reply to every turn of every dialogue."""
        replies: list[list[str]] = [[] for _ in dialogues]
        texts = ["" for _ in dialogues]
        todo, done = sum(len(turns) for turns in dialogues), 0
        for turn in range(max((len(turns) for turns in dialogues), default=0)):
            active = [i for i, turns in enumerate(dialogues) if turn < len(turns)]
            for start in range(0, len(active), LANES):
                part = active[start : start + LANES]
                for i in part:
                    texts[i] += self.prompt(dialogues[i][turn])
                for i, raw in zip(part, self.continue_texts([texts[i] for i in part], params, turn), strict=True):
                    reply = self.model.template.clean_reply(raw, False if self.model.template.thinks else None)
                    replies[i].append(reply)
                    texts[i] += f" {reply}{self.model.template.separator}"
                done += len(part)
                self.progress(stage, done, todo)
        return replies

    def continue_texts(self, texts: Sequence[str], params: SamplingParams = GREEDY, turn: int = 0) -> list[str]:
        """What the model writes after each text, up to a stop string, the end of text or MOST_REPLY_TOKENS."""
        lanes = []
        for index, text in enumerate(texts):
            logits, state = self.read(self.tokens(text))
            # The seed depends on the text alone, so that another batch or backend draws the same.
            own = SamplingParams(params.temperature, params.top_p, params.top_k, seed=params.seed + 1000 * turn)
            lanes.append(_Lane(index, state, Sampler(own), logits, []))
        done: dict[int, str] = {}
        while lanes:
            for lane in lanes:
                lane.written.append(lane.sampler.sample(lane.logits))
            going = []
            for lane in lanes:
                ended = self._end_of(lane.written)
                if ended is None:
                    going.append(lane)
                else:
                    done[lane.index] = ended
            lanes = going
            if lanes:
                tokens = np.array([lane.written[-1] for lane in lanes], np.int32)
                logits = self.backend.decode(tokens, [lane.state for lane in lanes]).logits
                for row, lane in enumerate(lanes):
                    lane.logits = logits[row]
        return [done[index] for index in range(len(texts))]

    def _end_of(self, written: list[int]) -> str | None:
        data = self.model.tokenizer.decode_bytes(written)
        cuts = [at for stop in self._stops if (at := data.find(stop)) >= 0]
        if cuts:
            return data[: min(cuts)].decode("utf-8", "replace")
        if written[-1] == 0 or len(written) >= MOST_REPLY_TOKENS:
            return data.decode("utf-8", "replace")
        return None

    def losses(self, sequences: Sequence[Sequence[int]], stage: str = "reading") -> list[np.ndarray]:
        """For each token sequence the loss in nats of every token after the first, f32[T - 1]."""
        results: list[np.ndarray] = [np.zeros(0, np.float32)] * len(sequences)
        order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
        todo, done = sum(map(len, sequences)), 0
        for start in range(0, len(order), LANES):
            part = order[start : start + LANES]
            states = [self._initial.copy() for _ in part]
            found: list[list[float]] = [[] for _ in part]
            for step in range(len(sequences[part[0]]) - 1):
                live = [row for row, i in enumerate(part) if step + 1 < len(sequences[i])]
                tokens = np.array([sequences[part[row]][step] for row in live], np.int32)
                logits = self.backend.decode(tokens, [states[row] for row in live]).logits.astype(np.float64)
                peak = logits.max(axis=1)
                total = peak + np.log(np.exp(logits - peak[:, None]).sum(axis=1))
                for at, row in enumerate(live):
                    found[row].append(total[at] - logits[at, sequences[part[row]][step + 1]])
            for row, i in enumerate(part):
                results[i] = np.array(found[row], np.float32)
                done += len(sequences[i])
            self.progress(stage, done, todo)
        return results
