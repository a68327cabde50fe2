"""Tool calls in the text of a reply, as RWKV-7 G1 learnt them: offering tools, reading calls, handing back results.

G1's training holds Hermes and Glaive function calling and asks for their style (BlinkDL/RWKV-LM issue 308), so tools
are offered as JSON in `<tools>` of the system prompt, called by JSON with `name` and `arguments` in `<tool_call>` and
answered in `<tool_response>`. RWKV knows no role for tools: a response is a user's turn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from assistant.errors import UsageError

_INSTRUCTION = (
    "You may call functions to answer. Their signatures are within <tools></tools>. "
    "For each call write a JSON object with its name and arguments within <tool_call></tool_call>:\n"
    '<tool_call>\n{"name": "function name", "arguments": {"argument": "value"}}\n</tool_call>'
)
_CALL = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|\Z)", re.DOTALL)
_TAG = re.compile(r"</?(tools|tool_call|tool_response)>")
_NAME = re.compile(r"[A-Za-z_][\w.-]{0,63}")


@dataclass(frozen=True)
class ToolCall:
    """What a model asks to be done: a function's name and its arguments."""

    name: str
    arguments: dict = field(default_factory=dict)


def _one_line(value: object) -> str:
    """JSON without blank lines, which would end a turn, and without tags, which would forge a call."""
    return _TAG.sub(r"(\1)", json.dumps(value, ensure_ascii=False))


def system_with_tools(system: str, tools: Sequence[dict]) -> str:
    """The system prompt with the tools (each as in OpenAI's `tools` field) offered behind it.

    Raises UsageError for a tool without a function's name, or two of the same name.
    """
    if not tools:
        return system
    functions = [tool.get("function", tool) if isinstance(tool, dict) else {} for tool in tools]
    names = [function.get("name") if isinstance(function, dict) else None for function in functions]
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UsageError(f"{name!a} cannot be a tool's name", hint="Letters, digits, _ . - and at most 64 of them")
        if names.count(name) > 1:
            raise UsageError(f"two tools are called {name!a}", hint="Give each tool its own name")
    signatures = "\n".join(_one_line({"type": "function", "function": function}) for function in functions)
    offered = f"{_INSTRUCTION}\n<tools>\n{signatures}\n</tools>"
    return f"{system}\n{offered}" if system else offered


def split_calls(reply: str) -> tuple[str, list[ToolCall]]:
    """A reply's text without its calls, and the calls; what is no valid call stays text.

    The last call may lack its closing tag: models stop there. Arguments that are a JSON text in a string are read too.
    """
    calls: list[ToolCall] = []

    def taken(match: re.Match) -> str:
        call = _read(match[1])
        if call is None:
            return match[0]
        calls.append(call)
        return ""

    text = _CALL.sub(taken, reply)
    return re.sub(r"\n{2,}", "\n", text).strip(), calls


def _read(body: str) -> ToolCall | None:
    try:
        content = json.loads(body)
        name, arguments = content["name"], content.get("arguments", {})
        if isinstance(arguments, str):
            arguments = json.loads(arguments or "{}")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not isinstance(arguments, dict):
        return None
    return ToolCall(name, arguments)


def call_text(call: ToolCall) -> str:
    """A call as the model writes it, for a history that is told again."""
    return f"<tool_call>\n{_one_line({'name': call.name, 'arguments': call.arguments})}\n</tool_call>"


def response_turn(name: str, result: object) -> str:
    """What is said, as the user's turn, after a call was carried out; `result` is anything JSON can hold."""
    return f"<tool_response>\n{_one_line({'name': name, 'content': result})}\n</tool_response>"
