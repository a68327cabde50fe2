"""Calls that fit: whatever a model would rather say, the arguments are what the tool's schema asks for."""

from __future__ import annotations

import json
from collections.abc import Callable

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.errors import RequestError
from assistant.models.template import template_named
from assistant.models.tokenizer import Tokenizer
from assistant.models.tool_calls import ToolCall, split_calls
from assistant.session.calling import Calling, calling
from assistant.session.constrained import END, Grammars
from assistant.session.text import reply_text_of
from assistant.session.tools import read_tools
from tests.unit.test_constrained import PERSON, SCHEMAS, TREE, _deeper

LEAVES = st.sampled_from([{"type": "string", "maxLength": 3}, {"type": "integer"}, {"const": "ü\n"}, {"type": "null"},
                          {"enum": ["</tool_call>", '"}}', "\\", "é日"]}, {"type": ["boolean", "number"]}])  # fmt: skip
G1, WORLD = template_named("g1"), template_named("world")
OBJECTS = [s for s in SCHEMAS.values() if s is not True and s.get("type") == "object"] + [TREE]
MARKER = b"Well.\n<tool_call>"


def grammars_of(tokenizer: Tokenizer) -> Grammars:
    return Grammars(tokenizer.tokens, tokenizer.size, tokenizer.encode)


BYTES = grammars_of(Tokenizer.byte_level())


def tools(*schemas: dict) -> list[dict]:
    return [{"type": "function", "function": {"name": f"f{i}", "parameters": s}} for i, s in enumerate(schemas)]


def noise(seed: int, begin: list[int]) -> Callable[[np.ndarray], int]:
    """A sampler that says `begin` as far as it may, then anything."""
    rng, left = np.random.default_rng(seed), list(begin)

    def sample(logits: np.ndarray) -> int:
        if left and np.isfinite(logits[token := left.pop(0)]):
            return token
        return int(np.argmax(logits + 3 * rng.standard_normal(len(logits), dtype=np.float32)))

    return sample


def said(how: Calling, grammars: Grammars, limit: int, sample: Callable[[np.ndarray], int]) -> str:
    """The whole reply, as the engine and a session make it."""
    constraint, out = how.constraint, b""
    for used in range(limit):
        token = constraint.pick(np.zeros(grammars.vocab, np.float32), limit - used, sample)
        if token == END:
            break
        out += grammars.tokens[token]
        if constraint.ended:
            break
    return (constraint.prefix + out.decode() + (constraint.suffix if constraint.ended else "")).lstrip()


def check(text: str, schemas: list[dict]) -> list[ToolCall]:
    _, calls = split_calls(text)
    for call in calls:
        jsonschema.validate(json.loads(call.arguments), schemas[int(call.name[1:])])
    return calls


@pytest.mark.parametrize("choice", ["auto", "required", {"type": "function", "function": {"name": "f2"}}])
@pytest.mark.parametrize("template", [G1, WORLD], ids=["g1", "world"])
def test_noise_becomes_calls_that_fit(choice, template):
    how_many = set()
    for seed in range(6):
        how = calling(read_tools(tools(*OBJECTS), choice), BYTES, template, 400, None)
        if choice == "auto" and template is WORLD:
            assert how == Calling(notes=how.notes)
            assert "not trained" in how.notes[0]
            return
        assert how.functions if template is G1 else not how.functions
        sample = noise(seed, [b + 1 for b in MARKER] if choice == "auto" else [])
        text = said(how, BYTES, 400, sample)
        calls = check(text, OBJECTS)
        assert text.startswith("Well.\n<tool_call>" if choice == "auto" else "<tool_call>")
        assert text.rstrip().endswith("</tool_call>")
        how_many.add(len(calls))
    assert min(how_many) >= 1
    assert (max(how_many) > 1) is (template is G1 and isinstance(choice, str))


@settings(max_examples=30, deadline=None)
@given(schema=st.recursive(LEAVES, _deeper, max_leaves=8).flatmap(
           lambda x: st.sampled_from([{"type": "object", "properties": {"x": x}, "required": ["x"]},
                                      {"type": "object", "additionalProperties": x, "minProperties": 1}])),
       seed=st.integers(0, 99), limit=st.integers(5, 150), lazy=st.booleans())  # fmt: skip
def test_schemas_nobody_thought_of(schema, seed, limit, lazy):
    box = read_tools(tools(schema, PERSON), "auto" if lazy else "required", parallel=False)
    try:
        how = calling(box, BYTES, G1, limit, None)
    except RequestError:
        return
    text = said(how, BYTES, limit, noise(seed, [b + 1 for b in MARKER] if lazy else []))
    assert check(text, [schema, PERSON]) or how.constraint.cut or limit < len(MARKER)


def test_a_call_begins_wherever_a_token_ends():
    """As in RWKV's vocabulary, where `>{` and `>,` are tokens: what a token writes behind the marker is not taken."""
    tokenizer = Tokenizer([b"", *(bytes([b]) for b in range(256)), b">{", b"call>,", b" <tool"])
    grammars = grammars_of(tokenizer)
    for begin in (b"<tool_call>{", b"Hm <tool_call>,", b" <tool_call>"):
        how = calling(read_tools(tools(PERSON), "auto"), grammars, G1, 200, None)
        text = said(how, grammars, 200, noise(1, tokenizer.encode(begin)))
        assert len(check(text, [PERSON])) >= 1, text


def test_thoughts_are_free_and_calls_come_after_them():
    how = calling(read_tools(tools(PERSON), "auto"), BYTES, G1, 300, True)
    thought = b">Shall I <tool_call> it? Yes.</think>\n<tool_call>"
    text = said(how, BYTES, 300, noise(2, [b + 1 for b in thought]))
    assert text.startswith("<think" + thought.decode())
    assert len(check(text, [PERSON])) >= 1


def test_no_room_for_a_call():
    with pytest.raises(RequestError, match="12 tokens"):
        calling(read_tools(tools(PERSON), "required"), BYTES, G1, 12, None)
    how = calling(read_tools(tools(PERSON), "auto"), BYTES, G1, len(MARKER) + 5, None)
    text = said(how, BYTES, len(MARKER) + 5, noise(0, [b + 1 for b in MARKER]))
    assert (split_calls(text), how.constraint.cut) == (("Well.\n<tool_call", []), True)


@pytest.mark.parametrize("parallel", [True, False])
def test_an_answer_that_fits_a_schema_or_a_call(parallel):
    kinds = set()
    for seed in range(8):
        box = read_tools(tools(PERSON), "auto", parallel)
        how = calling(box, BYTES, G1, 250, None, {"type": "array", "items": {"type": "integer"}})
        text = said(how, BYTES, 250, noise(seed, []))
        calls = check(text, [PERSON])
        assert calls or all(isinstance(x, int) for x in json.loads(text))
        assert len(calls) <= 1 or parallel
        kinds.add(bool(calls))
    assert kinds == {True, False}
    forced = calling(read_tools(tools(PERSON), "required"), BYTES, G1, 250, None, {"type": "array"})
    assert check(said(forced, BYTES, 250, noise(1, [])), [PERSON])


def test_stop_strings_end_words_and_not_arguments():
    how = calling(read_tools(tools(PERSON), "auto"), BYTES, G1, 200, None)
    decode = lambda tokens: b"".join(BYTES.tokens[t] for t in tokens)  # noqa: E731
    stopped = reply_text_of(decode, how.constraint, ["age"])
    assert any(stopped.push(b + 1).name == "STOP" for b in b"my age <tool_call>")
    going = reply_text_of(decode, how.constraint, ["age"])
    assert not any(going.push(b + 1).name == "STOP" for b in b'<tool_call>{"name": "f0", "arguments": {"age": 1}}')


def test_what_cannot_be_kept_is_told_or_refused():
    odd = {"type": "object", "properties": {"a": {"type": "integer"}}, "not": {"required": ["b"]}}
    how = calling(read_tools(tools(PERSON, odd), "required"), BYTES, G1, 200, None)
    assert how.notes == ["the arguments of 'f1' are not held to all of its schema: Unimplemented keys: [\"not\"]"]
    asked = tools(PERSON, odd)
    asked[1]["function"]["strict"] = True
    with pytest.raises(RequestError, match="'f1'") as error:
        calling(read_tools(asked, "required"), BYTES, G1, 200, None)
    assert error.value.where == "tools[1].function.parameters"
    broken = tools({"type": "object", "properties": {"a": {"type": "frob"}}})
    with pytest.raises(RequestError, match="frob"):
        calling(read_tools(broken), BYTES, G1, 200, None)
    assert calling(read_tools(broken, "none"), BYTES, G1, 200, None) == calling(None, BYTES, G1, 9, None) == Calling()
