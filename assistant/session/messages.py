"""OpenAI's messages as the turns of a conversation; calls and their results must fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from assistant import wire
from assistant.config import did_you_mean
from assistant.errors import RequestError
from assistant.models.tool_calls import NAME, ToolCall, calls_text, response_text
from assistant.session.transcript import Turn

SYSTEM_ROLES = ("system", "developer")
ROLES = "roles are system, developer, user, assistant and tool"


def conversation(
    messages: Sequence[wire.ChatMessage], calls: Mapping[str, str] | None = None
) -> tuple[str, list[Turn]]:
    """(system prompt, alternating turns that end with the user's); a tool's result is part of a user's turn.

    `calls`: made just before these messages, id -> function. Raises RequestError for what does not fit together.
    """
    system: list[str] = []
    turns: list[Turn] = []
    waiting = dict(calls or {})  # calls without a result yet
    for i, message in enumerate(messages):
        content = _content(message, i)
        if message.tool_calls and message.role != "assistant":
            raise _bad(i, f"a {message.role} message with tool_calls", "only the assistant calls tools")
        if waiting and message.role != "tool":
            raise _unanswered(f"messages[{i}]", waiting)
        if message.role in SYSTEM_ROLES:
            if turns:
                raise _bad(i, f"a {message.role} message after the conversation has begun", hint="put it first")
            system.append(content)
            continue
        if message.role == "tool":
            role, content = "user", response_text(_answered(message, i, waiting), content)
        elif message.role == "assistant":
            made = _calls(message, i)
            waiting = {key: call.name for key, call in made.items()}
            role, content = "assistant", calls_text(content, made.values()) if made else content
        elif message.role == "user":
            role = "user"
        else:
            raise RequestError(f"messages[{i}] has the role '{message.role}'", code="bad_messages", why=ROLES)
        if turns and turns[-1].role == role:  # two in a row are one turn
            turns[-1] = Turn(role, f"{turns[-1].content}\n{content}")
        else:
            turns.append(Turn(role, content))
    if waiting:
        raise _unanswered("the end of the messages", waiting)
    if not turns or turns[-1].role != "user":
        raise RequestError("the last message must be the user's or a tool's", code="bad_messages")
    if turns[0].role == "assistant":
        turns.insert(0, Turn("user", ""))
    return "\n".join(system), turns


def _answered(message: wire.ChatMessage, i: int, waiting: dict[str, str]) -> str:
    """The function whose call a tool's message answers; the call waits no longer."""
    key = message.tool_call_id
    if key in waiting:
        return waiting.pop(key)
    if not key:
        raise _bad(i, "a tool message without tool_call_id", "it must name the call that it answers")
    near = did_you_mean(key, waiting) if waiting else "A tool message stands right after the message with its call"
    raise _bad(i, f"tool_call_id '{key[:60]}' answers no call",
               "no call with this id waits for its result" if waiting else "no call waits for a result here",
               near)  # fmt: skip


def _calls(message: wire.ChatMessage, i: int) -> dict[str, ToolCall]:
    """The calls of an assistant's message by id."""
    made: dict[str, ToolCall] = {}
    for n, call in enumerate(message.tool_calls or []):
        place = f"messages[{i}].tool_calls[{n}]"
        key, function = (call.get("id"), call.get("function")) if isinstance(call, dict) else (None, None)
        if not isinstance(key, str) or not key or not isinstance(function, dict):
            raise RequestError(f"{place} is no call", code="bad_messages", where=place,
                               hint='write {"id": ..., "type": "function", "function": {"name": ..., "arguments": ...}}')  # fmt: skip  # noqa: E501
        name, arguments = function.get("name"), function.get("arguments", "{}")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise RequestError(f"{place} calls {str(name)[:60]!a}", code="bad_messages", where=place,
                               why="that cannot be a function's name")  # fmt: skip
        if not isinstance(arguments, str):
            raise RequestError(f"{place}: the arguments are not a string", code="bad_messages", where=place,
                               why="they are JSON as text")  # fmt: skip
        if key in made:
            raise RequestError(f"{place}: the id '{key[:60]}' is used twice", code="bad_messages", where=place,
                               hint="give each call its own id")  # fmt: skip
        made[key] = ToolCall(name, arguments)
    return made


def _unanswered(place: str, waiting: Mapping[str, str]) -> RequestError:
    calls = ", ".join(f"'{key[:60]}' ({name})" for key, name in waiting.items())
    return RequestError(f"{place} comes before the results of the calls {calls}", code="bad_messages",
                        hint="send one tool message for each call, right after the message that made it")  # fmt: skip


def _bad(i: int, what: str, why: str | None = None, hint: str | None = None) -> RequestError:
    return RequestError(f"messages[{i}]: {what}", code="bad_messages", where=f"messages[{i}]", why=why, hint=hint)


def _content(message: wire.ChatMessage, i: int) -> str:
    if isinstance(message.content, str):
        return message.content
    parts: list[dict[str, Any]] = message.content or []
    for part in parts:
        if part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise RequestError(
                f"messages[{i}] has a part of type '{part.get('type')}'",
                code="unsupported",
                why="this model reads text only",
            )
    return "".join(part["text"] for part in parts)
