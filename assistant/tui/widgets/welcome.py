"""What an empty chat shows: how to begin, and what can be done here without any network."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

BEGIN = "Type a message and press Enter."
LINES = (
    ("/", "all commands: personas, export, themes ..."),
    ("F2", "your chats, kept on this machine only"),
    ("F7", "search in all of them"),
    ("F9", "fork a chat; F6 shows its branches"),
    ("F3 F4", "what answers cost, and why this backend"),
    ("F5", "whether anything can leave this machine"),
    ("F1", "all keys"),
)
LOW = 14
"""Rows below which only the first line is shown."""


class Welcome(Static):
    HELP = "An empty chat. All of this works without a network."

    def __init__(self) -> None:
        super().__init__(id="welcome", markup=False)

    def on_resize(self) -> None:
        self._draw()

    def on_mount(self) -> None:
        self._draw()

    def _draw(self) -> None:
        low = self.app.size.height < LOW + 10
        keys = max(len(key) for key, _ in LINES)
        rows = [Content.assemble((f"{key:>{keys}}  ", "bold"), text) for key, text in LINES]
        if low:
            self.update(Content.assemble((BEGIN, "$foreground"), "\nF1 shows all keys, / all commands, F2 your chats."))
        else:
            self.update(Content("\n").join(
                [Content.assemble((BEGIN, "$foreground")), Content("All of this works offline:"), Content(""), *rows]
            ))  # fmt: skip
