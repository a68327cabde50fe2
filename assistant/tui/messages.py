"""Messages between widgets that must not import each other before they are needed."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message


@dataclass
class ChatChosen(Message):
    """The person wants to go on with this chat."""

    chat_id: str
