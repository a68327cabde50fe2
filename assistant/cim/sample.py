"""The text that accuracy is measured on: a file, or a few dialogues in the model's own template."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from assistant.errors import UsageError
from assistant.models.store import LoadedModel

STRETCH = 64  # tokens from one empty state

DIALOGUES = (
    ("Hello! Who are you?", "I'm your little offline assistant. It's nice to meet you!"),
    ("I'm nervous about my exam tomorrow", "I can see why you are worried. What would make it a little easier?"),
    ("Thanks, that helps", "I'm glad I could listen."),
    ("What is the capital of Kenya?", "Nairobi is the capital of Kenya."),
    ("And why is the sky blue?", "Sunlight has many colors, and the air spreads blue light the most."),
    ("My cat passed away yesterday", "I'm so sorry to hear that. It's okay to cry."),
    ("I got the job!", "That's wonderful news! You must be so happy."),
    ("What will the stock market do next year?", "I can't see the future, but I hope it's kind to you."),
    ("I feel lonely since I moved here", "That sounds hard. Have you met anyone new yet?"),
    ("Tell me about the moon", "The moon goes around the Earth in about a month."),
    ("My boss shouted at me today", "That must have hurt. Do you want to talk about it?"),
    ("Good night", "Good night! Sleep well."),
)


def stretches(model: LoadedModel, file: Path | None, limit: int) -> np.ndarray:
    """i32[S, T] token ids: the text cut into stretches of at most 64. Raises UsageError if there is too little."""
    if file is None:
        text = "".join(f"User: {said}\n\nAssistant: {answer}\n\n" for said, answer in DIALOGUES)
    else:
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError("cannot read the text", where=file, why=error) from error
    ids = np.asarray([0, *model.tokenizer.encode(text)][:limit], np.int32)
    if len(ids) < 2:
        raise UsageError("the text is too short to predict anything", where=file, hint="Give at least a sentence")
    length = min(STRETCH, len(ids))
    return ids[: len(ids) // length * length].reshape(-1, length)
