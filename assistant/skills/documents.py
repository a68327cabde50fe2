"""Questions that the user's own documents answer: quoted word for word, or left to the model."""

from __future__ import annotations

import logging
import re

from assistant import wire
from assistant.documents.index import index_file, reading
from assistant.documents.question import OPENING, asks_documents, is_question, understand
from assistant.errors import DocumentsError
from assistant.skills.base import Context

SURE_AT = 0.8
"""Confidence from which a quote is better than what the model would say, where nobody spoke of documents. Measured on
chat that has nothing to do with the documents of the question set: see docs/documents.md."""
PERSONAL = re.compile(r"\b(?:you|your|yours|yourself|u|ur)\b", re.IGNORECASE)
"""It is the assistant that is asked about. `Can you tell me` is taken off before."""
SPECIFIC = re.compile(r"\b(?:the|my|our|this|his|her|their)\b", re.IGNORECASE)
log = logging.getLogger(__name__)


class Documents:
    """Asked last: everything else has a grammar of its own."""

    name = "documents"
    help = "quotes your own documents (see `assistant docs`)"
    examples = ("What do my documents say about the deposit?",)

    def answer(self, text: str, context: Context) -> wire.SkillAnswer | None:
        meant = asks_documents(text)
        if not (meant or (is_question(text) and index_file().exists())):
            return None
        # Only now: most texts end above, and these cost some milliseconds to import.
        from assistant.documents import sayings
        from assistant.documents.answer import ask

        if not meant and not _worth_looking(text):
            return None
        try:
            with reading() as index:
                if index is None:
                    return wire.SkillAnswer(skill=self.name, text=sayings.NO_DOCUMENTS)
                found = ask(index, text, 1)
                if not found.known or (not meant and found.confidence < SURE_AT):
                    return wire.SkillAnswer(skill=self.name, text=sayings.UNKNOWN) if meant else None
                told = sayings.answer(found)
        except DocumentsError as error:
            log.warning("%s", error)
            return wire.SkillAnswer(skill=self.name, text=f"I cannot look: {error}") if meant else None
        return wire.SkillAnswer(skill=self.name, text=told.text, quotes=told.quotes)


def _worth_looking(text: str) -> bool:
    """One word stands somewhere in any pile of papers: "how much is the deposit?", but not "what is Christmas?"."""
    question = understand(text)
    if PERSONAL.search(OPENING.sub("", text.strip())):
        return False
    return len(question.words) > 1 or bool(question.words and question.shape and SPECIFIC.search(text))
