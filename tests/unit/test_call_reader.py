"""Tool calls read while they are written: the pieces come to what the whole says, however the text was cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from assistant.models.tool_calls import ToolCall, first_call, split_calls
from assistant.session.call_reader import Arguments, CallBegun, CallReader, Text
from tests.unit.models.test_tool_calls import REPLIES

CALL = 'One moment.\n<tool_call>\n{"name": "add", "arguments": {"a": "}\\""}}\n</tool_call>\n\n'


def read(pieces: list[str]) -> tuple[str, list[ToolCall], list]:
    reader, out = CallReader(), []
    for piece in pieces:
        out += reader.feed(piece)
    out += reader.close()
    text, calls = "", []
    for piece in out:
        match piece:
            case Text(more):
                text += more
            case CallBegun(name):
                calls.append(ToolCall(name, ""))
            case Arguments(more):
                calls[-1] = ToolCall(calls[-1].name, calls[-1].arguments + more)
    return text, calls, out


def test_letter_by_letter():
    text, calls, out = read(list(CALL))
    assert (text, calls) == ("One moment.", [ToolCall("add", '{"a": "}\\""}')])
    assert CallBegun("add") in out
    assert out.count(Arguments('"')) == 5
    assert CallReader().feed("Hello ") == [Text("Hello")]
    assert CallReader().feed("1 <to") == [Text("1")]
    assert CallReader().feed("1 < 2") == [Text("1 < 2")]


@example(reply='so <tool_call><tool_call>{"name": "go", "arguments": {}}', cuts=[])
@given(reply=REPLIES, cuts=st.lists(st.integers(0, 60), max_size=6))
def test_any_reply_in_any_pieces(reply, cuts):
    reply = reply.lstrip()  # as replies are
    at = sorted({0, len(reply), *(min(c, len(reply)) for c in cuts)})
    text, calls, _ = read([reply[a:b] for a, b in pairwise(at)])
    told = split_calls(reply)
    broken_off = len(calls) > len(told[1])
    assert broken_off or (text, calls) == told
    assert first_call(reply) >= 0 or text == reply
