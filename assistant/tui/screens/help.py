"""The help screen: every key and what every widget shows, read from the widgets themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import ModalScreen
from textual.widgets import Static

KEYS_WIDTH = 14


class HelpScreen(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,q", "dismiss", "Close", tooltip="Close this help"),
    ]

    def __init__(self, nodes: list[DOMNode]):
        super().__init__()
        self._described = nodes

    def compose(self) -> ComposeResult:
        with VerticalScroll() as scroll:
            scroll.border_title = "Keys and help"
            scroll.border_subtitle = "Esc closes"
            yield Static(Content("\n").join(self._lines()), id="help")

    def _lines(self) -> Iterator[Content]:
        for node in self._described:
            keys = list(self._keys(node))
            text = getattr(node, "HELP", None)
            if not keys and not text:
                continue
            title = node.BINDING_GROUP_TITLE or _words(type(node).__name__)
            yield Content.assemble((title, "bold $text-primary"))
            if text:
                yield Content(text)
            yield from keys
            yield Content("")

    def _keys(self, node: DOMNode) -> Iterator[Content]:
        # Only what the class itself binds: a text area inherits sixty keys that everybody knows.
        own = type(node).__dict__.get("BINDINGS", [])
        for binding in own:
            if binding.description and not binding.system:
                keys = "  ".join(self.app.get_key_display(b) for b in Binding.make_bindings([binding]))
                text = binding.tooltip or binding.description
                if len(keys) > KEYS_WIDTH:
                    yield Content.assemble((f"  {keys}", "bold $text-accent"))
                    keys = ""
                yield Content.assemble((f"  {keys:<{KEYS_WIDTH}} ", "bold $text-accent"), text)


def _words(name: str) -> str:
    return "".join(f" {c.lower()}" if c.isupper() and i else c for i, c in enumerate(name))
