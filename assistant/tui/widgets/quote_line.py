"""A passage of a file of the person's under a reply: where it stands, word for word; Enter or a click opens it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from assistant import wire
from assistant.tui.messages import QuoteOpened
from assistant.tui.text import printable


class QuoteLine(Static, can_focus=True):
    HELP = "A passage of one of your files, word for word. Enter or a click opens the file there in your $EDITOR."
    BINDING_GROUP_TITLE = "Quotes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", tooltip="Open the file at this place in your $EDITOR"),
    ]

    def __init__(self, quote: wire.Quote) -> None:
        self.quote = quote
        heading = f" · {printable(quote.heading)}" if quote.heading else ""
        super().__init__(
            Content.assemble((place(quote), "bold underline"), (heading, "$text-muted"), f"\n{printable(quote.text)}"),
            markup=False,
        )

    def action_open(self) -> None:
        self.post_message(QuoteOpened(self.quote))

    def on_click(self) -> None:
        self.action_open()


def place(quote: wire.Quote) -> str:
    """`notes.md:12`, or `paper.pdf page 3`; from the home folder on."""
    try:
        file = f"~/{Path(quote.file).relative_to(Path.home())}"
    except ValueError:
        file = quote.file
    if quote.line:
        return printable(f"{file}:{quote.line}")
    return printable(f"{file} page {quote.page}" if quote.page else file)
