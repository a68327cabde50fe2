"""What all pages over the chat share: a title, what the daemon is asked for it, errors as notices, Escape back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Static

from assistant.client import Client
from assistant.errors import AssistantError


class Page(Screen[Any]):
    """A full screen over the chat, which goes on below it. A page gives its headline, its `body` and its `load`."""

    HEADLINE: ClassVar[str]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Back", tooltip="Back to the chat"),
        Binding(
            "r", "reload", "Read again", tooltip="Ask the daemon again; changes that are not applied are forgotten"
        ),
    ]
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]] | None] = [(0, "-narrow"), (80, "-wide")]

    def __init__(self, client: Client) -> None:
        super().__init__(classes="page")
        self.client = client

    def compose(self) -> ComposeResult:
        yield Static(f" {self.HEADLINE}", id="title", markup=False)
        yield from self.body()

    def body(self) -> ComposeResult:
        raise NotImplementedError

    async def load(self) -> None:
        """Ask the daemon and draw what it says; when the page opens, and on R."""
        raise NotImplementedError

    def on_mount(self) -> None:
        self.action_reload()

    def action_reload(self) -> None:
        self.attempt(self.load)

    def attempt(self, work: Callable[[], Awaitable[None]], group: str = "page") -> None:
        """Run it beside the screen, the newest of its group only; an error becomes a notice."""

        async def attempt() -> None:
            try:
                await work()
            except AssistantError as error:
                self.notify(str(error), severity="warning", markup=False)

        self.run_worker(attempt, group=group, exclusive=True)
