"""The exact text a model reads for a branch of messages, cut so that a checkpoint can stand for any beginning of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from assistant import wire


class ChatTemplate(Protocol):
    """What a session needs of a model's chat format (see assistant.models.template)."""

    separator: str
    stops: tuple[str, ...]
    calls_tools: bool

    def opening(self, system: str) -> str: ...
    def user_turn(self, text: str, think: bool | None = None) -> str: ...


@dataclass(frozen=True, slots=True)
class Turn:
    """One message as the transcript needs it; `key` names its checkpoint."""

    role: wire.Role
    content: str
    key: str | None = None


def pieces(template: ChatTemplate, system: str, turns: Sequence[Turn]) -> list[str]:
    """Text that each turn adds. A user turn ends where the reply begins ("Assistant:"), a reply with its last word."""
    out = []
    for i, turn in enumerate(turns):
        if turn.role == "user":
            out.append((template.separator if i else template.opening(system)) + template.user_turn(turn.content))
        else:
            out.append(f" {turn.content}" if turn.content else "")
    return out


def reply_prefix(template: ChatTemplate, think: bool | None) -> str:
    """What think mode writes at the beginning of the reply for the model; part of the reply's text."""
    return template.user_turn("", think).removeprefix(template.user_turn(""))
