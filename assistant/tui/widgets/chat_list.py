"""The sidebar: all chats, the pinned and the newest first; Enter resumes one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from assistant import wire
from assistant.tui.messages import ChatAction, ChatChosen
from assistant.tui.text import title_of


class ChatList(OptionList):
    HELP = "All chats kept on this machine, the pinned (★) first. Enter resumes the chosen one."
    BINDING_GROUP_TITLE = "Chats"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Resume", tooltip="Go on with the chosen chat"),
        Binding("p", "act('pin')", "Pin", tooltip="Keep the chosen chat at the top, or no longer"),
        Binding("r", "act('rename')", "Rename", tooltip="Give the chosen chat another title"),
        Binding("d,delete", "act('delete')", "Delete", tooltip="Delete the chosen chat"),
        Binding("u", "act('undelete')", "Undo delete", tooltip="Bring back the chat that was just deleted"),
    ]

    def __init__(self, chats: Sequence[wire.Chat] = (), current_id: str | None = None) -> None:
        super().__init__(id="chats")
        self.border_title = "chats"
        self.show(chats, current_id)

    def show(self, chats: Sequence[wire.Chat], current_id: str | None) -> None:
        highlighted = self.highlighted
        self._chats = {chat.id: chat for chat in chats}
        self.clear_options()
        for chat in chats:
            mark = ("▸" if chat.id == current_id else " ") + ("★" if chat.pinned else " ")
            title = title_of(chat.title) or "untitled"
            text = Content.assemble(mark, title, (f"  {chat.messages}" if chat.messages else "", "dim"))
            self.add_option(Option(text, id=chat.id))
        if not chats:
            self.add_option(Option("no chats yet", disabled=True))
        else:
            self.highlighted = min(highlighted or 0, len(chats) - 1)

    def action_act(self, verb: str) -> None:
        option = self.highlighted_option
        chat = self._chats.get(option.id or "") if option else None
        if chat or verb == "undelete":
            self.post_message(ChatAction(verb, chat.id if chat else None, chat.title if chat else ""))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option.id:
            self.post_message(ChatChosen(event.option.id))
