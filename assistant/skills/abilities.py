"""What can you do? The list of skills, from their own lines of help."""

from __future__ import annotations

from collections.abc import Callable

from assistant import wire
from assistant.skills.base import Context
from assistant.skills.language import Rules, said

RULES = Rules(
    list=r"what can you do(?: for me)?|what (?:skills|abilities) do you have|(?:list|show)(?: me)?(?: all)?(?: your"
    r"| the)?"
    r" (?:skills|abilities)|what are your (?:skills|abilities)|what (?:can|could|may) i ask(?: you)?(?: for| about)?"
    r"|what are you able to (?:do|help me with)|what all can you do|what (?:things )?can you (?:do"
    r"|help me with)(?: exactly)?"
    r"|what (?:kinds?|types?|sorts?) of (?:questions|things) (?:can|may|could|should) i ask(?: you)?(?: about)?",
)  # fmt: skip


class Abilities:
    """Tells of the other skills; the registry gives it their views."""

    name = "abilities"
    help = "this list"
    examples = ("what can you do?",)

    def __init__(self) -> None:
        self.views: Callable[[], list[wire.SkillView]] = list

    def answer(self, text: str, context: Context) -> wire.SkillAnswer | None:
        spoken = said(text)
        if not (RULES.match(spoken.text) or RULES.match(spoken.body.rstrip("?!. "))):
            return None
        lines = [f'- {view.name}: {view.help}, such as "{view.examples[0]}"' for view in self.views()
                 if view.on and view.examples and view.name != self.name]  # fmt: skip
        head = "These are answered exactly, by code and without a network:"
        return wire.SkillAnswer(skill=self.name, text="\n".join([head, *lines, "Everything else the model answers."]))
