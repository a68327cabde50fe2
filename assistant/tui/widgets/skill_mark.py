"""The line above a reply that code gave, not the model: which skill, and that it is exact."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from assistant import wire
from assistant.tui.text import printable


class SkillMark(Static):
    HELP = (
        "This reply was worked out or looked up by a skill, not written by the model: it is exact, and the same each "
        "time. Quotes below it are word for word from your own files."
    )

    def __init__(self, answer: wire.SkillAnswer) -> None:
        text = Content.assemble(("▣ ", "$text-success"), (printable(answer.skill), "bold $text-success"),
                                (" · exact, not written by the model", "$text-muted"))  # fmt: skip
        super().__init__(text, markup=False)
