"""The tree of a chat: every edit, retry and undo has left a branch, and Enter goes back to it at no cost."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from assistant import wire
from assistant.client import Client
from assistant.tui.screens.page import Page
from assistant.tui.text import title_of


class TreeScreen(Page):
    HELP = (
        "All branches of this chat: where a message was edited or answered again, the tree parts. ● is what the screen "
        "shows. Each message has kept its state, so going to another branch reads nothing again."
    )
    HEADLINE = "Branches of this chat · Enter goes there · Esc back"
    BINDING_GROUP_TITLE = "Branches"

    def __init__(self, client: Client, chat_id: str, shown: set[str]) -> None:
        super().__init__(client)
        self._chat_id, self._shown = chat_id, shown
        self.nodes: list[wire.Node] = []

    def body(self) -> ComposeResult:
        yield OptionList(id="tree")

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()
        super().on_mount()

    async def load(self) -> None:
        found = await self.client.tree(self._chat_id)
        rows = rows_of(found.nodes)
        self.nodes = [node for _, node in rows]
        tree = self.query_one(OptionList)
        tree.clear_options()
        tree.add_options(Option(_line(indent, node, node.id in self._shown)) for indent, node in rows)
        shown = [n for n, node in enumerate(self.nodes) if node.id in self._shown]
        tree.highlighted = shown[-1] if shown else 0

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        if self.nodes:
            self.dismiss(self.nodes[event.option_index])


def rows_of(nodes: list[wire.Node]) -> list[tuple[str, wire.Node]]:
    """(lines before it, message) from top to bottom; only a message with siblings is indented."""
    below: dict[str | None, list[wire.Node]] = {}
    for node in nodes:
        below.setdefault(node.parent_id, []).append(node)
    rows: list[tuple[str, wire.Node]] = []
    waiting = [("", "", node) for node in reversed(below.get(None, []))]
    if len(waiting) > 1:
        waiting = _forked("", below[None])
    while waiting:
        before, mark, node = waiting.pop()
        rows.append((before + mark, node))
        inner = before + {"├─ ": "│  ", "└─ ": "   ", "": ""}[mark]
        children = below.get(node.id, [])
        waiting += _forked(inner, children) if len(children) > 1 else [(inner, "", child) for child in children]
    return rows


def _forked(before: str, children: list[wire.Node]) -> list[tuple[str, str, wire.Node]]:
    """In the order of a stack: the last one first."""
    marks = ["├─ "] * (len(children) - 1) + ["└─ "]
    return [(before, mark, child) for mark, child in zip(marks, children, strict=True)][::-1]


def _line(indent: str, node: wire.Node, shown: bool) -> Content:
    who = "you" if node.role == "user" else "   "
    text = title_of(node.preview) or f"({node.status})"
    return Content.assemble((indent, "$text-muted"), ("● " if shown else "○ ", "$primary"), (f"{who} ", "$text-muted"),
                            (text, "bold" if shown else ""))  # fmt: skip
