"""Messages between widgets that must not import each other before they are needed."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from assistant import wire


@dataclass
class ChatChosen(Message):
    """The person wants to go on with this chat."""

    chat_id: str


@dataclass
class ChatAction(Message):
    """The person wants something done to a chat of the list: pin, rename, delete or undo."""

    verb: str
    chat_id: str | None
    title: str = ""


@dataclass
class LinkClicked(Message):
    """A link in a reply was clicked."""

    href: str


@dataclass
class QuoteOpened(Message):
    """The person wants to see a passage in its file."""

    quote: wire.Quote


@dataclass
class MessageAction(Message):
    """The person wants something done with a message: copy (of `text`), fork, edit or retry."""

    verb: str
    message_id: str | None
    text: str
