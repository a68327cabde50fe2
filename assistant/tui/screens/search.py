"""Search: every word ever written here, in this chat or in all; Enter jumps to the message."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from assistant import wire
from assistant.client import Client
from assistant.tui.screens.page import Page
from assistant.tui.text import marked, title_of

EMPTY = "Words that a message must have; the last one may be unfinished."


class SearchScreen(Page):
    HELP = (
        "Full-text search over all messages of all chats and branches. A message of a branch that is not shown brings "
        "its branch back. Nothing found as words is searched as a part of the text."
    )
    HEADLINE = "Search · Enter jumps · Ctrl+T this chat or all · Esc back"
    BINDING_GROUP_TITLE = "Search"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Back", tooltip="Back to the chat"),
        Binding("down", "move(1)", "Next", tooltip="The next one", priority=True),
        Binding("up", "move(-1)", "Before", tooltip="The one before", priority=True),
        Binding("ctrl+t", "scope", "This chat or all", tooltip="Search this chat only, or all", priority=True),
    ]

    def __init__(self, client: Client, chat_id: str | None, text: str = "") -> None:
        super().__init__(client)
        self._chat_id, self._here = chat_id, False
        self._text = text
        self.hits: list[wire.SearchHit] = []

    def body(self) -> ComposeResult:
        yield Input(self._text, placeholder="words", id="words")
        yield OptionList(id="hits")

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        self._titled()
        super().on_mount()

    def on_input_changed(self) -> None:
        self.action_reload()

    def on_input_submitted(self) -> None:
        hits = self.query_one(OptionList)
        if self.hits and hits.highlighted is not None:
            self.dismiss(self.hits[hits.highlighted])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        if self.hits:
            self.dismiss(self.hits[event.option_index])

    def action_move(self, steps: int) -> None:
        hits = self.query_one(OptionList)
        hits.action_cursor_down() if steps > 0 else hits.action_cursor_up()

    def action_scope(self) -> None:
        self._here = not self._here and self._chat_id is not None
        self._titled()
        self.action_reload()

    def _titled(self) -> None:
        self.query_one(Input).border_title = "in this chat" if self._here else "in all chats"

    async def load(self) -> None:
        words = self.query_one(Input).value
        found = await self.client.search(words, self._chat_id if self._here else None) if words.strip() else []
        self.hits = found
        hits = self.query_one(OptionList)
        hits.clear_options()
        if not found:
            hits.add_option(Option("nothing found" if words.strip() else EMPTY, disabled=True))
            return
        hits.add_options(Option(_line(hit)) for hit in found)
        hits.highlighted = 0


def _line(hit: wire.SearchHit) -> Content:
    who = "you" if hit.role == "user" else "answer"
    where = Content.assemble((title_of(hit.chat_title) or "untitled", "bold"), (f" · {who}", "$text-muted"))
    return Content("\n").join([where, Content("  ") + marked(hit.snippet)])
