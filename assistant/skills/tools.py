"""The seam for models with tool calls: skills as functions with typed arguments, in OpenAI's JSON Schema.

Each function is one of the skills' own sentences with gaps, so that there is one grammar and one way to act.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from assistant.errors import SkillError

LONGEST_ARGUMENT = 500


@dataclass(frozen=True, slots=True)
class Tool:
    """`sentence` has a gap {name} for each of `arguments` (name -> (JSON type, what it is)); all are required."""

    name: str
    description: str
    sentence: str
    arguments: dict[str, tuple[str, str]]
    acts: bool = False  # it changes something: a caller may want to ask the person first

    def schema(self) -> dict[str, Any]:
        """As OpenAI's `tools` has it."""
        properties = {name: {"type": kind, "description": words} for name, (kind, words) in self.arguments.items()}
        parameters = {"type": "object", "properties": properties, "required": list(properties),
                      "additionalProperties": False}  # fmt: skip
        return {"type": "function", "function": {"name": self.name, "description": self.description,
                                                 "parameters": parameters}}  # fmt: skip

    def say(self, arguments: dict[str, Any]) -> str:
        """The sentence. Raises SkillError for arguments that are missing, unknown or of another type."""
        wrong = arguments.keys() ^ self.arguments.keys()
        if wrong:
            raise SkillError(f"{self.name} takes {', '.join(self.arguments) or 'nothing'}",
                             why=f"{', '.join(sorted(wrong))} is missing or unknown")  # fmt: skip
        filled = {}
        for name, (kind, _) in self.arguments.items():
            value = arguments[name]
            fits = isinstance(value, str) if kind == "string" else (
                isinstance(value, int | float) and not isinstance(value, bool))  # fmt: skip
            if not fits or len(str(value)) > LONGEST_ARGUMENT:
                raise SkillError(f"{name} of {self.name} must be a {kind}", why=f"it is {value!r:.60}")
            filled[name] = " ".join(str(value).split())
        return re.sub(r"\{(\w+)\}", lambda gap: filled[gap[1]], self.sentence)


OURS: dict[str, tuple[Tool, ...]] = {  # by skill
    "clock": (
        Tool("current_time", "The time and date here.", "what time is it", {}),
        Tool("time_in", "The time and date in a city.", "what time is it in {city}", {"city": ("string", "its name")}),
        Tool("days_until", "Days until a day.", "how many days until {day}",
             {"day": ("string", "such as 24 December 2026, friday or Christmas")}),
    ),
    "calculator": (
        Tool("calculate", "An exact result of arithmetic.", "calculate {expression}",
             {"expression": ("string", "such as 15 % of 80, (3 + 4) * 2 or sqrt(2)")}),
    ),
    "units": (
        Tool("convert_units", "An amount in another unit.", "convert {amount} {source} to {target}",
             {"amount": ("number", "how many"), "source": ("string", "unit"), "target": ("string", "unit")}),
    ),
    "reminders": (
        Tool("set_timer", "Set a timer.", "set a timer for {duration}", {"duration": ("string", "such as 10 minutes")},
             acts=True),
        Tool("remind", "Set a reminder.", "remind me {when} to {what}",
             {"when": ("string", "such as tomorrow at 9, in two hours or every weekday at 8"),
              "what": ("string", "what to do, such as call Ann")}, acts=True),
        Tool("list_reminders", "All reminders and timers.", "show my reminders", {}),
    ),
    "notes": (
        Tool("write_note", "Write a note.", "note: {text}", {"text": ("string", "the note")}, acts=True),
        Tool("find_notes", "Notes with these words.", "find notes about {words}", {"words": ("string", "words")}),
    ),
    "system": (Tool("system_status", "Battery, disk, memory, load, uptime and heat.", "system status", {}),),
}  # fmt: skip
