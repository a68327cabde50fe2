"""What all pages over the chat share: a title, the daemon's client, errors as notices, Escape back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Static

from assistant.client import Client
from assistant.errors import AssistantError


class Page(Screen[Any]):
    """A full screen over the chat, which goes on below it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Back", tooltip="Back to the chat"),
    ]
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]] | None] = [(0, "-narrow"), (80, "-wide")]

    def __init__(self, client: Client) -> None:
        super().__init__(classes="page")
        self.client = client

    def titled(self, text: str) -> Static:
        return Static(f" {text}", id="title", markup=False)

    def attempt(self, work: Callable[[], Awaitable[None]], group: str = "page") -> None:
        """Run it beside the screen, the newest of its group only; an error becomes a notice."""

        async def attempt() -> None:
            try:
                await work()
            except AssistantError as error:
                self.notify(str(error), severity="warning", markup=False)

        self.run_worker(attempt, group=group, exclusive=True)
