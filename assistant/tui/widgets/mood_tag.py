"""What a message sounds like: a word and a bar, where emotion sensing is on."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from assistant import wire

CELLS = 5
UNSURE = 0.5
NEUTRAL = "neutral"
"""Nothing to be strong or faint about."""


class MoodTag(Static):
    def __init__(self, mood: wire.Mood | None = None) -> None:
        super().__init__(markup=False)
        self.show(mood)

    def show(self, mood: wire.Mood | None) -> None:
        """None: takes no room."""
        self.mood = mood
        self.display = mood is not None
        if mood:
            filled = min(max(round(mood.intensity * CELLS), 0), CELLS)
            bar = [] if mood.label == NEUTRAL else [("▰" * filled, "$text-secondary"),
                                                    ("▱" * (CELLS - filled), "$foreground 40%")]  # fmt: skip
            self.update(Content.assemble((f"{name(mood)} ", "" if bar else "$text-muted"), *bar))


def name(mood: wire.Mood) -> str:
    return f"perhaps {mood.label}" if mood.confidence < UNSURE else mood.label


def spoken(mood: wire.Mood) -> str:
    """The same for who cannot see the bar."""
    if mood.label == NEUTRAL:
        return f"Sounds {name(mood)}."
    strength = "faintly" if mood.intensity < 1 / 3 else "clearly" if mood.intensity < 2 / 3 else "strongly"
    return f"Sounds {strength} {name(mood)}."
