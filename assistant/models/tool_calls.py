"""Tool calls in the text of a reply: offering tools, reading calls, handing back results.

RWKV-7 G1 has no single format of its own. Its author names the data it learnt function calling from (Hermes, Glaive,
xLAM: BlinkDL/RWKV-LM issue 308) and says "lots of function call formats were trained", to be experimented with, the
system prompt as short as possible (RWKV-v7/RWKV7-G1x-templates.txt). We take Hermes': JSON in `<tools>` of the system
prompt, calls as JSON with `name` and `arguments` in `<tool_call>`, answers in `<tool_response>`, as the community's
server does (RWKV-Vibe/rwkv_lightning). Tools have no role of their own: as in those templates they speak as the user.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

MARKER = "<tool_call>"
END = "</tool_call>"
THOUGHT, THOUGHT_END = "<think", "</think>"
NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
HEAD = re.compile(r'<tool_call>\s*\{\s*"name"\s*:\s*"(' + NAME.pattern + r')"\s*,\s*"arguments"\s*:\s*', re.ASCII)
"""A call up to its arguments, in the one order that our grammar writes."""

MAX_DIGITS = 4000  # Python's own limit for reading whole numbers is 4,300

_INSTRUCTION = (
    "You may call functions. Their signatures are within <tools></tools>. "
    "For a call write its name and arguments as JSON within <tool_call></tool_call>:\n"
    '<tool_call>\n{"name": "function name", "arguments": {"argument": "value"}}\n</tool_call>'
)
_TAG = re.compile(r"</?(tools|tool_call|tool_response)>")
_SPACE, _CLOSING = re.compile(r"\s*"), re.compile(r"\s*}?(?:\s*</tool_call>)?")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class ToolCall:
    """What a model asks to be done: a function's name, and its arguments as the JSON text of an object."""

    name: str
    arguments: str = "{}"


def offer(system: str, functions: Sequence[dict[str, Any]]) -> str:
    """The system prompt with functions (`name`, `description`, `parameters`) offered behind it, still one paragraph."""
    if not functions:
        return system
    signatures = "\n".join(_one_line({"type": "function", "function": function}) for function in functions)
    offered = f"{_INSTRUCTION}\n<tools>\n{signatures}\n</tools>"
    return f"{system}\n{offered}" if system else offered


def first_call(text: str, start: int = 0) -> int:
    """Where the first call's marker from `start` on begins, or -1; what a model thinks of calling is no call."""
    opened = text[: len(THOUGHT) + 8].lstrip().startswith(THOUGHT)
    if opened:
        ended = text.find(THOUGHT_END)
        if ended < 0:
            return -1
        start = max(start, ended)
    return text.find(MARKER, start)


def split_calls(reply: str) -> tuple[str, list[ToolCall]]:
    """A reply's text without its calls, and the calls; what is no valid call stays text. Never raises.

    The end of the last call may be missing: models stop there. Arguments that are JSON in a string are read too.
    """
    parts, calls, at = [""], [], 0
    while (found := first_call(reply, at)) >= 0:
        call, end = _read(reply, found)
        if call is None:
            end = found + len(MARKER)
            parts[-1] += reply[at:end]
        else:
            parts[-1] += reply[at:found]
            parts.append("")
            calls.append(call)
        at = end
    parts[-1] += reply[at:]
    return ("\n".join(filter(None, map(str.strip, parts))) if calls else reply), calls


def _read(text: str, start: int) -> tuple[ToolCall | None, int]:
    """(the call whose marker is at `start`, where it ends)."""
    if head := HEAD.match(text, start):
        arguments, end = _object(text, head.end())
        if arguments is not None:
            return ToolCall(head[1], arguments), _CLOSING.match(text, end).end()
    raw, end = _object(text, _SPACE.match(text, start + len(MARKER)).end())
    if raw is None:
        return None, start
    content = loads(raw)
    name, arguments = content.get("name"), content.get("arguments", {})
    arguments = loads(arguments or "{}") if isinstance(arguments, str) else arguments
    if not isinstance(name, str) or not NAME.fullmatch(name) or not isinstance(arguments, dict):
        return None, start
    return ToolCall(name, dumps(arguments)), _CLOSING.match(text, end).end()


def _object(text: str, start: int) -> tuple[str | None, int]:
    """(the JSON object that begins at `start`, as it is spelt, or None; where it ends)."""
    if not text.startswith("{", start):
        return None, start
    try:
        _, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None, start
    return (text[start:end], end) if loads(text[start:end]) is not None else (None, start)


def loads(text: str) -> Any:
    """JSON as the standard has it, or None for what is not (or says nothing but null). Numbers stay finite."""
    try:
        value = _DECODER.decode(text)
        json.dumps([value])  # nested so deeply that it can be read and not be written
    except (ValueError, RecursionError):
        return None
    return value


def _number(text: str) -> int | float:
    """What JSON allows and Python does not read as it is meant: 1e999, and whole numbers of thousands of digits."""
    if text.lstrip("-").isdigit() and len(text) < MAX_DIGITS:
        return int(text)
    return max(-sys.float_info.max, min(sys.float_info.max, float(text)))


def _constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(parse_int=_number, parse_float=_number, parse_constant=_constant)


def dumps(value: Any) -> str:
    """JSON in one line that can be encoded: half a surrogate pair stays an escape."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isascii() or not _SURROGATE.search(text) else json.dumps(value)


def calls_text(content: str, calls: Iterable[ToolCall]) -> str:
    """A reply that called tools as the model wrote it, for a conversation that is told again."""
    written = [f'{MARKER}\n{{"name": "{call.name}", "arguments": {_one_spelling(call.arguments)}}}\n{END}'
               for call in calls]  # fmt: skip
    return "\n".join([*([content] if content else []), *written])


def _one_spelling(arguments: str) -> str:
    """Arguments without line ends, which could end a turn; as they stand if they have none, to match what was read."""
    value = loads(arguments)
    if isinstance(value, dict) and "\n" not in arguments and "\r" not in arguments:
        return arguments
    return dumps(arguments if value is None else value)


def response_text(name: str, content: str) -> str:
    """What is said in the user's turn after a call was carried out; `content` that is a JSON object or list stays one.

    Its tags are taken out: what a tool brings from anywhere must not read as a call.
    """
    value = loads(content) if content.lstrip()[:1] in ("{", "[") else None
    told = _one_line({"name": name, "content": content if value is None else value})
    return f"<tool_response>\n{told}\n</tool_response>"


def _one_line(value: object) -> str:
    """JSON without blank lines, which would end a turn, and without tags, which would forge a call."""
    return _TAG.sub(r"(\1)", dumps(value))
