"""What a skill is: a name, a line of help, and an answer to the texts that are meant for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from assistant import wire


@dataclass(frozen=True, slots=True)
class Context:
    """All that a skill may know of the world besides its text: no network, no model, no other chat."""

    now: datetime  # aware, in the person's own time zone; skills read no other clock
    store: Path  # this skill's own folder; made by whoever writes to it first
    chat_id: str | None = None
    before: wire.SkillAnswer | None = None
    """What this skill has said to this very message already (it is answered again): an act is not done twice."""
    status: Callable[[], wire.Ready] | None = None  # what runs; None where no daemon answers


@runtime_checkable
class Skill(Protocol):
    """One thing that can be asked for. Made once, called from any thread, one call at a time."""

    name: str  # "calculator": of the entry point, of `[skills] off`, of the skill's folder
    help: str  # one line
    examples: tuple[str, ...]  # sentences that it answers: shown to people, tried by tests

    def answer(self, text: str, context: Context) -> wire.SkillAnswer | None:
        """The answer, or None: this text is not for me. By a grammar of whole sentences, never by luck.

        Quick (5 ms is long). Never raises for any text, but SkillError for one that is for this skill and cannot be
        done: what it says is then the answer.
        """
        ...
