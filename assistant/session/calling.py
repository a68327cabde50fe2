"""Replies that call tools: grammars of calls, from the first token or from the moment that a call begins."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from assistant.errors import RequestError
from assistant.models.tool_calls import END as CLOSED
from assistant.models.tool_calls import MARKER, first_call
from assistant.session.constrained import END, Bound, Grammar, Grammars, answer_rule, json_rule
from assistant.session.tools import Tool, Toolbox
from assistant.session.transcript import ChatTemplate, reply_prefix

MAX_CALLS = 8  # in one reply
CLOSING = f"}}\n{CLOSED}"


@dataclass(frozen=True, slots=True)
class Calling:
    """How a reply may call tools."""

    functions: list[dict[str, Any]] = field(default_factory=list)  # told to the model
    constraint: Bound | None = None
    reads: bool = False  # its text may hold calls
    notes: list[str] = field(default_factory=list)  # what was not done as asked, in words


def calling(
    toolbox: Toolbox | None,
    grammars: Grammars,
    template: ChatTemplate,
    max_tokens: int,
    think: bool | None,
    schema: object | None = None,
) -> Calling:
    """Takes a while for many tools: call it aside. `schema`: what words are held to, where the model may say any.

    Raises RequestError 400 for schemas that cannot be kept.
    """
    if toolbox is None or toolbox.mode == "none":
        return Calling()
    if toolbox.mode == "auto" and not template.calls_tools:
        return Calling(notes=["the tools were left out: this model was not trained to call any; "
                              'tool_choice "required", or a function named there, forces a valid call'])  # fmt: skip
    functions = [tool.function for tool in toolbox.tools] if template.calls_tools else []
    parallel, forced = toolbox.parallel and template.calls_tools, toolbox.mode == "required"
    prefix = _opening(toolbox.callable) if forced else ""
    answer = answer_rule(schema) if schema is not None and not forced else ""
    grammar = _compile(grammars, toolbox.callable, call_grammar(toolbox.callable, prefix or MARKER, parallel, answer))
    suffix = "" if parallel or answer else CLOSING
    constraint: Bound
    if answer:
        constraint = grammar.constraint(max_tokens)
    elif forced:
        constraint = grammar.constraint(max_tokens, f" {prefix}", suffix)
    else:
        constraint = LazyCalls(grammar, grammars, reply_prefix(template, think), suffix)
    notes = _unkept(grammars, toolbox.callable) if grammar.warnings else []
    return Calling(functions, constraint, reads=True, notes=notes)


def _opening(tools: Sequence[Tool]) -> str:
    """How every call of these tools begins: read as part of the prompt, so that no token of it has to be decoded."""
    name = f' "{tools[0].name}", "arguments":' if len(tools) == 1 else ""
    return f'{MARKER}\n{{"name":{name}'


def call_grammar(tools: Sequence[Tool], written: str, parallel: bool, answer: str = "") -> str:
    """Calls of these tools in llguidance's Lark, after what is written already: MARKER at least.

    Without `parallel` the text ends with the arguments: what closes a call is no choice, so nobody has to decode it.
    With `answer`, the rule of another answer than a call, nothing is written yet and the grammar has all of the text.
    """
    whole = [f'\n{{"name": "{tool.name}", "arguments": ' for tool in tools]
    done = len(written.removeprefix(MARKER))
    pick = lambda skip: " | ".join(f"{json.dumps(head[skip:])} args{i}" for i, head in enumerate(whole))  # noqa: E731
    rules = [f"args{i}: {json_rule(tool.parameters, lenient=not tool.strict)}" for i, tool in enumerate(tools)]
    rules.append(f"first: {pick(done)}")
    calls = "first"
    if parallel or answer:
        calls += f" {json.dumps(CLOSING)}"
    if parallel:
        again, end = json.dumps(f"\n{MARKER}"), json.dumps("\n\n")
        calls += f" ({again} call {json.dumps(CLOSING)}){{0,{MAX_CALLS - 1}}} {end}?"
        rules.append(f"call: {pick(0)}")
    if answer:
        calls = f'" "? (answer | {json.dumps(MARKER)} {calls})'
        rules.append(f"answer: {answer}")
    return "\n".join([f"start: {calls}", *rules, ""])


def _compile(grammars: Grammars, tools: Sequence[Tool], text: str) -> Grammar:
    try:
        return grammars.compile_grammar(text)
    except RequestError:
        for tool in tools:  # whose schema is it?
            try:
                grammars.compile(tool.parameters, lenient=not tool.strict)
            except RequestError as error:
                error.what, error.where = f"the schema of '{tool.name}' cannot be used", f"{tool.where}.parameters"
                raise
        raise


def _unkept(grammars: Grammars, tools: Sequence[Tool]) -> list[str]:
    """What the grammar cannot enforce and `strict` does not ask for."""
    loose = ((tool.name, grammars.compile(tool.parameters, lenient=True).warnings) for tool in tools if not tool.strict)
    return [
        f"the arguments of '{name}' are not held to all of its schema: {'; '.join(why)}" for name, why in loose if why
    ]


class LazyCalls:
    """Leaves the model free until it has begun a call, then holds it to the grammar of calls."""

    marker = MARKER.encode()

    def __init__(self, grammar: Grammar, grammars: Grammars, prefix: str = "", suffix: str = ""):
        self.prefix, self.suffix = prefix, suffix
        self.ended = self.cut = False
        self._grammar, self._grammars = grammar, grammars
        self._said = prefix.encode()
        self._next: list[int] = []  # the rest of the marker, where a token went on behind it
        self._calls: Bound | None = None

    def pick(self, logits: np.ndarray, remaining: int, sample: Callable[[np.ndarray], int]) -> int:
        """The next token. Raises ValueError when none is allowed."""
        if self._calls:
            token = self._calls.pick(logits, remaining, sample)
            self.ended, self.cut = self._calls.ended, self._calls.cut
            return token
        token = self._next.pop(0) if self._next else sample(logits)
        behind = self._behind_marker(token)
        if behind > 0:  # end the token where the marker ends: the grammar has the word from there on
            piece = self._piece(token)
            token, *self._next = self._grammars.encode(piece[: len(piece) - behind])
            behind = self._behind_marker(token)
        if behind == 0:
            try:
                self._calls = self._grammar.constraint(remaining - 1)
            except RequestError:  # no room for any call
                self.cut = True
                return END
        self._said += self._piece(token)
        return token

    def _piece(self, token: int) -> bytes:
        tokens = self._grammars.tokens
        return tokens[token] if END < token < len(tokens) else b""

    def _behind_marker(self, token: int) -> int:
        """How many bytes the token writes behind a call's marker; -1 if it does not complete one."""
        piece = self._piece(token)
        if self.marker[-1:] not in piece:
            return -1
        text = (self._said + piece).decode("latin-1")  # so that characters are bytes
        found = first_call(text, max(0, len(self._said) - len(MARKER)))
        return len(text) - found - len(MARKER) if found >= 0 else -1
