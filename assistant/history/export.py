"""A chat as a text that outlives this program: Markdown for people, JSON with every branch for programs."""

from __future__ import annotations

import datetime

import msgspec

from assistant import wire
from assistant.history.store import History

VERSION = 1
_WHO = {"user": "You", "assistant": "Assistant", "system": "System"}


class ExportedChat(wire.Wire):
    """`format` 1: the chat, and all messages of all branches, parents first."""

    format: int
    exported_at: float
    chat: wire.Chat
    messages: list[wire.Message]


def markdown(history: History, chat_id: str) -> str:
    """The branch being shown, from its first message to its last."""
    chat = history.chat(chat_id)
    lines = [f"# {' '.join(chat.title.split()) or 'Untitled chat'}", "", f"*{_when(chat.created_at)}*", ""]
    if chat.system:
        lines += ["> " + chat.system.replace("\n", "\n> "), ""]
    for message in history.path(chat_id, chat.head_id):
        lines += [f"## {_WHO[message.role]}", "", message.content.strip(), ""]
        if message.mood:
            lines += [f"*(sounds {message.mood.label}, intensity {message.mood.intensity:.1f} of 1, read by the "
                      f"{message.mood.source})*", ""]  # fmt: skip
        if message.skill:
            lines += [f"*(exact, by the skill {message.skill.skill}; not written by the model)*", ""]
            for quote in message.skill.quotes:
                place = f":{quote.line}" if quote.line else f" page {quote.page}" if quote.page else ""
                lines += ["> " + quote.text.strip().replace("\n", "\n> "), ">", f"> — `{quote.file}{place}`", ""]
        if message.status not in ("complete", "streaming"):
            lines += [f"*({message.status})*", ""]
        if message.cost and message.cost.completion_tokens:
            lines += [f"*{_cost(message.cost)}*", ""]
    return "\n".join(lines)


def as_json(history: History, chat_id: str) -> str:
    chat = history.chat(chat_id)
    ids = [
        r["id"] for r in history._rows("SELECT id FROM messages WHERE chat_id = ? ORDER BY created_at, rowid", chat_id)
    ]
    now = datetime.datetime.now().timestamp()
    whole = ExportedChat(format=VERSION, exported_at=now, chat=chat, messages=[history.message(i) for i in ids])
    return msgspec.json.format(msgspec.json.encode(whole), indent=2).decode() + "\n"


def _cost(cost: wire.Cost) -> str:
    words = [f"{cost.completion_tokens} tokens"]
    if cost.tok_s:
        words.append(f"{cost.tok_s:.3g} tok/s measured")
    words.append(f"{cost.energy_j:.3g} J {cost.energy_basis}")
    words.append(f"{cost.backend} {cost.precision}{' (simulated)' if cost.simulated else ''}".strip())
    return ", ".join(words)


def _when(at: float) -> str:
    return datetime.datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M %z")
