"""Tools and the messages around calls, checked: what is wrong is told with its place, why, and what to do."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant import wire
from assistant.errors import RequestError
from assistant.session.messages import conversation
from assistant.session.tools import NOTHING, read_tools
from assistant.session.transcript import Turn

ADD = {"type": "function", "function": {"name": "add", "parameters": {"type": ["object", "null"], "properties": {}}}}
NOW = {"type": "function", "function": {"name": "now", "description": "The time"}}
FLAT = {"type": "function", "name": "now", "strict": True}


def function(**fields) -> dict:
    return {"type": "function", "function": {"name": "f"} | fields}


def named(name: str) -> dict:
    return {"type": "function", "function": {"name": name}}


def test_tools_are_read():
    box = read_tools([ADD, NOW])
    assert [tool.name for tool in box.tools] == ["add", "now"]
    assert (box.mode, box.parallel, box.callable) == ("auto", True, box.tools)
    assert box.tools[0].parameters["type"] == "object"
    assert box.tools[1].function == {"name": "now", "description": "The time", "parameters": NOTHING}
    one = read_tools([ADD, NOW], named("now"))
    assert ([tool.name for tool in one.callable], one.mode, one.parallel) == (["now"], "required", False)
    some = read_tools([ADD, NOW], {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [named("add")]}})
    assert ([tool.name for tool in some.callable], some.mode, some.parallel) == (["add"], "auto", True)
    flat = read_tools([FLAT], {"type": "function", "name": "now"}, False, flat=True)
    assert flat.callable[0].strict
    assert flat.parallel is False
    assert read_tools([]) is read_tools(None, "none") is read_tools(None, "auto") is None


@pytest.mark.parametrize(
    ("tools", "choice", "words", "where", "hint"),
    [
        ([ADD, NOW], named("nwo"), "'nwo'", "tool_choice", "Did you mean 'now'"),
        ([ADD, NOW], named("zzzzzz"), "'zzzzzz'", "tool_choice", "Known are: add, now"),
        ([ADD], "requierd", "'requierd'", "tool_choice", "Did you mean 'required'"),
        ([ADD], {"type": "mcp"}, "tool_choice", "tool_choice", ""),
        ([ADD], {"type": "allowed_tools", "allowed_tools": {"tools": []}}, "no tools", "tool_choice", "list"),
        (None, "required", "without tools", "tool_choice", "send the tools"),
        ([ADD, NOW, ADD], None, "both called 'add'", "tools[2].function", "own name"),
        ([function(name="rm -rf")], None, "'rm -rf'", "tools[0].function.name", "letters"),
        ([function(name="x" * 65)], None, "xxx", "tools[0].function.name", "64"),
        ([function(name=None)], None, "None", "tools[0].function.name", "letters"),
        ([function(description=3)], None, "description", "tools[0].function.description", ""),
        ([function(parameters=["a"])], None, "a list", "tools[0].function.parameters", ""),
        ([function(parameters={"type": "string"})], None, "'string'", "tools[0].function.parameters", "properties"),
        ([{"type": "web_search"}], None, "web_search", "tools[0]", ""),
        (["clock"], None, "no tool", "tools[0]", "write"),
        ([{"type": "function", "name": "f"}], None, "no function", "tools[0]", '"function"'),
        ([ADD] * 129, None, "129", "tools", ""),
    ],
)
def test_what_is_wrong_with_tools(tools, choice, words, where, hint):
    with pytest.raises(RequestError) as error:
        read_tools(tools, choice)
    assert words in f"{error.value.what}: {error.value.why}"
    assert (error.value.status, error.value.where) == (400, where)
    assert hint in (error.value.hint or "")


def said(role: str, content: str | None = None, **fields) -> wire.ChatMessage:
    return wire.ChatMessage(role=role, content=content, **fields)


def call(key: str, name: str = "add", arguments: object = '{"a": 1}') -> dict:
    return {"id": key, "type": "function", "function": {"name": name, "arguments": arguments}}


ASKED = [said("user", "1 + 1?"), said("assistant", "Well.", tool_calls=[call("c1"), call("c2", "now", "{}")])]
RESULTS = [said("tool", "2", tool_call_id="c2"), said("tool", '{"sum": 2}', tool_call_id="c1")]


def test_calls_and_results_become_turns():
    assert conversation([*ASKED, *RESULTS, said("user", "And?")])[1] == [
        Turn("user", "1 + 1?"),
        Turn("assistant", 'Well.\n<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>\n'
                          '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'),
        Turn("user", '<tool_response>\n{"name": "now", "content": "2"}\n</tool_response>\n'
                     '<tool_response>\n{"name": "add", "content": {"sum": 2}}\n</tool_response>\nAnd?'),
    ]  # fmt: skip
    assert conversation([said("tool", "2", tool_call_id="c9")], {"c9": "now"})[1][0].content.startswith("<tool_resp")


@pytest.mark.parametrize(
    ("messages", "words", "hint"),
    [
        (
            [*ASKED, said("tool", "2", tool_call_id="c1"), said("user", "And?")],
            "'c2' (now)",
            "one tool message for each",
        ),
        (ASKED, "'c1' (add), 'c2' (now)", "one tool message for each"),
        ([*ASKED, said("tool", "2", tool_call_id="c3")], "'c3' answers no call", "Did you mean 'c2'"),
        ([*ASKED, *RESULTS, RESULTS[0]], "'c2' answers no call", "right after"),
        ([said("user", "x"), RESULTS[0]], "no call waits", "right after"),
        ([*ASKED, said("tool", "2")], "without tool_call_id", ""),
        ([said("user", "x", tool_calls=[call("c1")])], "user message with tool_calls", ""),
        ([said("user", "x"), said("assistant", tool_calls=[call("c1"), call("c1")])], "used twice", "own id"),
        ([said("user", "x"), said("assistant", tool_calls=[call("c1", arguments={})])], "not a string", ""),
        ([said("user", "x"), said("assistant", tool_calls=[call("c1", "rm -rf")])], "'rm -rf'", ""),
        ([said("user", "x"), said("assistant", tool_calls=["add"])], "no call", "write"),
        ([said("function", "x")], "and tool", ""),
    ],
)
def test_what_does_not_fit_together(messages, words, hint):
    with pytest.raises(RequestError) as error:
        conversation(messages)
    assert words in f"{error.value.what}: {error.value.why}"
    assert hint in (error.value.hint or "")
    assert error.value.code == "bad_messages"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from(["function", "add", "object"]),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "function", "name", "parameters", "id", "arguments", "tools", "mode"]), x, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(tools=st.lists(JSON, max_size=3), choice=JSON, flat=st.booleans())
def test_whatever_is_sent_as_tools_is_read_or_refused(tools, choice, flat):
    with suppress(RequestError):
        read_tools(tools, choice, flat=flat)


@given(calls=st.lists(JSON, max_size=3), key=st.none() | st.text(max_size=3))
def test_whatever_is_sent_as_calls_is_read_or_refused(calls, key):
    with suppress(RequestError):
        conversation([said("user", "x"), said("assistant", tool_calls=calls), said("tool", "y", tool_call_id=key)])
