"""The tools of a request, checked: which functions there are, which may be called, and whether one must be.

Shapes: https://platform.openai.com/docs/api-reference/chat/create (`tools`, `tool_choice`, `parallel_tool_calls`); the
Responses API has the same without the wrap in `function`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from assistant.config import did_you_mean
from assistant.errors import RequestError
from assistant.models.tool_calls import NAME

MAX_TOOLS = 128  # as OpenAI
NOTHING = {"type": "object", "properties": {}, "additionalProperties": False}
"""The schema of a function that says nothing of its parameters: it has none."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One function that a model may call."""

    name: str
    description: str
    parameters: dict[str, Any]  # the JSON schema of its arguments: always an object's
    strict: bool  # every word of the schema must be kept
    where: str  # in the request, for errors

    @property
    def function(self) -> dict[str, Any]:
        """As a model is told of it."""
        described = {"description": self.description} if self.description else {}
        return {"name": self.name, **described, "parameters": self.parameters}


@dataclass(frozen=True, slots=True)
class Toolbox:
    """All tools of a request, and what may be done with them."""

    tools: tuple[Tool, ...]
    callable: tuple[Tool, ...]
    mode: Literal["none", "auto", "required"]
    parallel: bool


def read_tools(
    tools: Sequence[Any] | None, choice: Any = None, parallel: bool | None = None, *, flat: bool = False
) -> Toolbox | None:
    """The request's fields, or None without tools. `flat`: as the Responses API has them.

    Raises RequestError that names the place and what is wrong there.
    """
    if not tools:
        if choice not in (None, "none", "auto"):
            raise _refused("tool_choice without tools", "tool_choice", hint="send the tools along, or leave it out")
        return None
    if len(tools) > MAX_TOOLS:
        raise _refused(f"{len(tools)} tools", "tools", why=f"at most {MAX_TOOLS} are read")
    read = tuple(_tool(tool, f"tools[{i}]", flat) for i, tool in enumerate(tools))
    by_name: dict[str, Tool] = {}
    for tool in read:
        if first := by_name.get(tool.name):
            raise _refused(f"{first.where} and {tool.where} are both called '{tool.name}'", tool.where,
                           hint="give each tool its own name")  # fmt: skip
        by_name[tool.name] = tool
    mode, names, single = _choice(choice, flat)
    chosen = read if names is None else tuple(_known(name, by_name) for name in names)
    return Toolbox(read, chosen, mode, parallel is not False and not single)


def _tool(tool: Any, where: str, flat: bool) -> Tool:
    shape = '{"type": "function", "name": ...}' if flat else '{"type": "function", "function": {"name": ...}}'
    if not isinstance(tool, dict):
        raise _refused(f"{where} is no tool", where, hint=f"write {shape}")
    kind = tool.get("type", "function")
    if kind != "function":
        raise _refused(f"{where} is of the type {str(kind)[:40]!a}", where, code="unsupported",
                       why="only functions can be called: nothing here searches the web or runs code")  # fmt: skip
    function = tool if flat else tool.get("function")
    if not isinstance(function, dict):
        raise _refused(f"{where} has no function", where, hint=f"write {shape}")
    where = where if flat else f"{where}.function"
    name, description = function.get("name"), function.get("description")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise _refused(f"{where}.name is {str(name)[:80]!a}", f"{where}.name", why="that cannot be a function's name",
                       hint="letters, digits, _ . and -, at most 64 of them")  # fmt: skip
    if not isinstance(description, str | None):
        raise _refused(f"{where}.description is not a text", f"{where}.description")
    schema = _object_schema(function.get("parameters"), f"{where}.parameters")
    return Tool(name, description or "", schema, bool(function.get("strict")), where)


def _object_schema(schema: Any, where: str) -> dict[str, Any]:
    if schema is None:
        return NOTHING
    if not isinstance(schema, dict):
        raise _refused(f"{where} is no schema", where, why=f"it is {_kind(schema)}, and a JSON schema is an object")
    kind = schema.get("type", "object")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        raise _refused(f"{where} describes {str(kind)[:40]!a}", where, why="arguments are always an object",
                       hint='write {"type": "object", "properties": {...}}')  # fmt: skip
    return schema | {"type": "object"}


def _choice(choice: Any, flat: bool) -> tuple[Literal["none", "auto", "required"], list[Any] | None, bool]:
    """(mode, names of the functions that may be called or None for all, whether it is exactly one call)."""
    if choice in (None, "auto"):
        return "auto", None, False
    if choice in ("none", "required"):
        return choice, None, False
    if isinstance(choice, str):
        raise _refused(f"tool_choice is {choice[:40]!a}", "tool_choice",
                       hint=did_you_mean(choice, ("none", "auto", "required")))  # fmt: skip
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind == "function":
        return "required", [_name(choice, flat)], True
    if kind == "allowed_tools":
        allowed = choice if flat else choice.get("allowed_tools")
        if isinstance(allowed, dict) and allowed.get("mode", "auto") in ("auto", "required"):
            listed = allowed.get("tools")
            if isinstance(listed, list) and listed:
                return allowed.get("mode", "auto"), [_name(tool, flat) for tool in listed], False
        raise _refused("tool_choice allows no tools", "tool_choice", hint='it needs "mode" and a list of "tools"')
    raise _refused("tool_choice is not understood", "tool_choice",
                   why='it is "none", "auto", "required" or names a function')  # fmt: skip


def _name(choice: Any, flat: bool) -> Any:
    inner = choice if flat else choice.get("function") if isinstance(choice, dict) else None
    return inner.get("name") if isinstance(inner, dict) else None


def _known(name: Any, by_name: dict[str, Tool]) -> Tool:
    if isinstance(name, str) and name in by_name:
        return by_name[name]
    near = did_you_mean(name, by_name) if isinstance(name, str) else None
    raise _refused(f"tool_choice names the function {str(name)[:60]!a}", "tool_choice",
                   why="it is not among the tools", hint=near)  # fmt: skip


def _kind(value: Any) -> str:
    return {list: "a list", str: "a text", bool: "true or false"}.get(type(value), "a number")


def _refused(
    what: str, where: str, *, why: str | None = None, hint: str | None = None, code: str = "invalid_tools"
) -> RequestError:
    return RequestError(what, code=code, where=where, why=why, hint=hint)
