"""Tells thoughts (`<think>...</think>` at the start of a reply) from the answer as both arrive."""

from __future__ import annotations

OPEN, CLOSE = "<think>", "</think>"


class ThoughtSplitter:
    """Feed it pieces of any length; a tag that is cut between two pieces is still found."""

    def __init__(self) -> None:
        self._held = ""
        self.state = "start"  # then "thinking", then "answering"

    def feed(self, piece: str) -> tuple[str, str]:
        """(new thought, new answer); text that may still turn out to be a tag is held back."""
        self._held += piece
        thought = ""
        if self.state == "start":
            text = self._held.lstrip()
            if OPEN.startswith(text[: len(OPEN)]) and len(text) < len(OPEN):
                return "", ""
            if text.startswith(OPEN):
                self.state, self._held = "thinking", text[len(OPEN) :]
            else:
                self.state = "answering"
        if self.state == "thinking":
            thought, tag, rest = self._held.partition(CLOSE)
            if not tag:
                cut = len(thought) - _overlap(thought)
                thought, self._held = thought[:cut], thought[cut:]
                return thought, ""
            self.state, self._held = "answering", rest.lstrip("\n")
            if not self._held:
                self.state = "after"
        if self.state == "after":
            # Blank lines between thought and answer may arrive by themselves.
            self._held = self._held.lstrip("\n")
            if not self._held:
                return thought, ""
            self.state = "answering"
        answer, self._held = self._held, ""
        return thought, answer

    def flush(self) -> tuple[str, str]:
        """What is still held back when the reply ends."""
        held, self._held = self._held, ""
        return (held, "") if self.state == "thinking" else ("", held)


def split(text: str) -> tuple[str, str]:
    """Thought and answer of a complete reply."""
    splitter = ThoughtSplitter()
    thought, answer = splitter.feed(text)
    last_thought, last_answer = splitter.flush()
    return (thought + last_thought).strip(), answer + last_answer


def _overlap(text: str) -> int:
    """How many of the last characters could be the beginning of the closing tag."""
    return next((n for n in range(len(CLOSE) - 1, 0, -1) if text.endswith(CLOSE[:n])), 0)
