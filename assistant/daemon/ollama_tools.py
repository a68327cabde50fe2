"""Tool calls as Ollama has them: each whole in one line, arguments as an object, results by order instead of ids.

Shapes: https://github.com/ollama/ollama/blob/main/docs/api.md (chat request with tools).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from assistant import wire
from assistant.errors import RequestError
from assistant.models.tool_calls import ToolCall, loads, split_calls
from assistant.session.call_reader import Arguments, CallBegun, CallReader, Piece, Text


class OllamaMessage(wire.Wire):
    role: str
    content: str = ""
    images: list[Any] | None = None
    tool_calls: list[Any] | None = None
    tool_name: str | None = None  # of a tool's message: whose result it is
    tool_call_id: str | None = None  # the same, as newer clients say it


def messages(given: Iterable[OllamaMessage]) -> list[wire.ChatMessage]:
    """As OpenAI has them, with ids made up where there are none. Raises RequestError."""
    out: list[wire.ChatMessage] = []
    waiting: dict[str, str] = {}  # calls without a result yet: id -> function
    for i, message in enumerate(given):
        made = wire.ChatMessage(role=message.role, content=message.content)
        if message.tool_calls:
            made.tool_calls = [_call(call, i, n) for n, call in enumerate(message.tool_calls)]
            waiting = {call["id"]: str(call["function"].get("name")) for call in made.tool_calls}
        if message.role == "tool":
            made.tool_call_id = message.tool_call_id or _answers(message.tool_name, waiting, i)
            waiting.pop(made.tool_call_id, None)
        out.append(made)
    return out


def _call(call: Any, i: int, n: int) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    arguments = function.get("arguments", {}) if isinstance(function, dict) else None
    if not isinstance(arguments, dict) or not isinstance(call.get("id"), str | None):
        place = f"messages[{i}].tool_calls[{n}]"
        raise RequestError(f"{place} is no call", code="bad_messages", where=place,
                           hint='write {"function": {"name": ..., "arguments": {...}}}')  # fmt: skip
    key = call.get("id") or f"call_{i}_{n}"
    return {"id": key, "function": function | {"arguments": json.dumps(arguments, ensure_ascii=False)}}


def _answers(name: str | None, waiting: dict[str, str], i: int) -> str:
    """The first call that waits, of this function if one is named."""
    for key, function in waiting.items():
        if name in (None, "", function):
            return key
    known = ", ".join(f"'{function}'" for function in waiting.values()) or "no call"
    named = f" of {name[:60]!a}" if name else ""
    raise RequestError(f"messages[{i}] answers no call{named}", code="bad_messages", where=f"messages[{i}]",
                       why=f"{known} waits for a result here")  # fmt: skip


class CalledMessages:
    """What each line of an answer says: words as they come, a call when it is complete."""

    def __init__(self, reads: bool, piece: Callable[[str], dict[str, Any]]):
        """`piece`: a line's content for words."""
        self._reader, self._piece = CallReader() if reads else None, piece
        self._name, self._arguments, self._count = "", "", 0

    def take(self, text: str) -> list[dict[str, Any]]:
        return self._told(self._reader.feed(text)) if self._reader else [self._piece(text)]

    def rest(self) -> list[dict[str, Any]]:
        """What is left once the reply has ended."""
        return [*self._told(self._reader.close()), *self._complete()] if self._reader else []

    def whole(self, content: str) -> dict[str, Any]:
        """All of it in one."""
        text, calls = split_calls(content) if self._reader else (content, [])
        return self._called(text, calls) if calls else self._piece(text)

    def _told(self, pieces: Iterable[Piece]) -> list[dict[str, Any]]:
        out: list[dict[str, Any]] = []
        for piece in pieces:
            match piece:
                case Text(text):
                    out += [*self._complete(), self._piece(text)]
                case CallBegun(name):
                    out += self._complete()
                    self._name, self._arguments = name, ""
                case Arguments(text):
                    self._arguments += text
        return out

    def _complete(self) -> list[dict[str, Any]]:
        """The call that has come to its end; one that broke off is words."""
        if not self._name:
            return []
        name, arguments, self._name = self._name, self._arguments, ""
        whole = isinstance(loads(arguments), dict)
        return [self._called("", [ToolCall(name, arguments)]) if whole else self._piece(arguments)]

    def _called(self, text: str, calls: list[ToolCall]) -> dict[str, Any]:
        told = [{"id": f"call_{self._count + n}",
                 "function": {"index": self._count + n, "name": call.name, "arguments": loads(call.arguments)}}
                for n, call in enumerate(calls)]  # fmt: skip
        self._count += len(calls)
        return {"message": {"role": "assistant", "content": text, "tool_calls": told}}
