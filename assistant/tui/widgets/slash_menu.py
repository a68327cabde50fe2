"""The commands that the letters behind a slash may mean, above the input."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from assistant.tui.commands import Command, matching

MOST = 7


class SlashMenu(Widget):
    HELP = "A slash at the start of the input opens the commands: letters find, Up and Down choose, Tab completes."

    chosen: reactive[int] = reactive(0)

    def __init__(self) -> None:
        super().__init__()
        self.display = False
        self.found: list[Command] = []

    @property
    def command(self) -> Command | None:
        return self.found[self.chosen] if self.display and self.found else None

    def follow(self, text: str) -> None:
        """Open, narrow or close, as the input's text wants."""
        wanted = text.startswith("/") and not any(c.isspace() or c == "/" for c in text[1:])
        found = matching(text[1:].lower()) if wanted else []
        if found != self.found:
            self.found, self.chosen = found, 0
            self.refresh(layout=True)
        self.display = bool(found)

    def move(self, steps: int) -> None:
        self.chosen = (self.chosen + steps) % len(self.found)

    def get_content_height(self, *_: object) -> int:
        return min(len(self.found), MOST)

    def render(self) -> Content:
        first = min(max(self.chosen - MOST // 2, 0), max(len(self.found) - MOST, 0))
        lines = []
        for n, command in enumerate(self.found[first : first + MOST], first):
            name, width = f" /{command.name} {command.argument}", self.size.width
            text = f"{name:<34} {command.words}" if width >= 76 else f" /{command.name:<10} {command.words}"
            lines.append(Content.assemble((text[:width].ljust(width), "reverse" if n == self.chosen else "")))
        return Content("\n").join(lines)
