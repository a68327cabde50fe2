"""Answers that fit a schema: always JSON, always valid, always complete, whatever the model would rather say."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.errors import RequestError
from assistant.models.store import Store
from assistant.models.tokenizer import Tokenizer
from assistant.models.vocabulary import world_vocabulary_file
from assistant.session.constrained import ANY_OBJECT, END, Grammars, Place, response_schema

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"v": {"type": "integer"}, "k": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
            "required": ["v", "k"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}
WIDE = {f"k{i}": {"type": "string"} for i in range(10)}
SCHEMAS = {
    "any object": ANY_OBJECT,
    "anything": True,
    "person": PERSON,
    "tree": TREE,
    "numbers": {"type": "array", "items": {"type": "number"}, "minItems": 2},
    "enum": {"enum": ["red", "green", 3, None]},
    "pattern": {"type": "string", "pattern": "^[a-z]{3,8}-[0-9]+$"},
    "multiple": {"type": "integer", "multipleOf": 7, "minimum": 100},
    "either": {"anyOf": [{"type": "null"}, PERSON]},
    "length": {"type": "string", "minLength": 5, "maxLength": 9},
    "formats": {"type": "object", "properties": {"day": {"type": "string", "format": "date"}}, "required": ["day"]},
    "sudden weight": {
        "type": "object",
        "additionalProperties": {"type": "object", "properties": WIDE, "required": list(WIDE)},
    },
}


@pytest.fixture(scope="module", params=["byte-level", "embedded", "world"])
def grammars(request) -> Grammars:
    tokenizer = {
        "byte-level": Tokenizer.byte_level,
        "embedded": lambda: Store().open().tokenizer,
        "world": lambda: Tokenizer.from_file(world_vocabulary_file()),
    }[request.param]()
    return Grammars(tokenizer.tokens, tokenizer.size + 3, tokenizer.encode)


def said(grammars: Grammars, constraint, limit: int, seed: int) -> bytes:
    """What a model of pure noise says under the constraint."""
    rng, out = np.random.default_rng(seed), []
    for used in range(limit):
        logits = rng.standard_normal(grammars.vocab).astype(np.float32) * 3
        token = constraint.pick(logits, limit - used, lambda x: int(np.argmax(x)))
        if token == END:
            break
        out.append(token)
        if constraint.ended:
            break
    return b"".join(grammars.tokens[token] for token in out)


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_noise_becomes_valid_json_at_every_limit(grammars, schema):
    grammar, tried = grammars.compile(schema), 0
    for seed, limit in enumerate((1, 3, 10, 25, 60, 120) if grammars.vocab < 10_000 else (25, 60)):
        try:
            constraint = grammar.constraint(limit)
        except RequestError:
            assert limit < 60, "a schema this small has an answer of 60 tokens"
            continue
        text = said(grammars, constraint, limit, seed)
        jsonschema.validate(json.loads(text.decode("utf-8")), schema)
        tried += 1
    assert tried


LEAVES = st.sampled_from([{"type": "string"}, {"type": "integer"}, {"type": "boolean"}, {"type": "null"},
                          {"enum": ["a", "b\n", 'c"']}, {"type": "number", "minimum": -2, "maximum": 3}])  # fmt: skip


def _deeper(inner):
    objects = st.dictionaries(st.text('abc}"\\ü', min_size=1, max_size=3), inner, max_size=3).map(
        lambda p: {"type": "object", "properties": p, "required": sorted(p)[:2], "additionalProperties": False}
    )
    arrays = st.tuples(inner, st.integers(0, 2)).map(lambda x: {"type": "array", "items": x[0], "minItems": x[1]})
    return objects | arrays | st.lists(inner, min_size=1, max_size=2).map(lambda x: {"anyOf": x})


@settings(max_examples=60, deadline=None)
@given(schema=st.recursive(LEAVES, _deeper, max_leaves=8), seed=st.integers(0, 9), limit=st.integers(5, 120))
def test_schemas_nobody_thought_of(schema, seed, limit):
    tokenizer = Tokenizer.byte_level()
    grammars = Grammars(tokenizer.tokens, tokenizer.size, tokenizer.encode)
    try:
        constraint = grammars.compile(schema).constraint(limit)
    except RequestError:
        return
    jsonschema.validate(json.loads(said(grammars, constraint, limit, seed).decode("utf-8")), schema)


def test_a_model_that_knows_what_it_wants_is_not_hindered():
    """With room enough the mask changes nothing that fits."""
    tokenizer = Tokenizer.byte_level()
    grammars = Grammars(tokenizer.tokens, tokenizer.size, tokenizer.encode)
    wanted = '{"name": "Zoë }]", "age": 41}'.encode()
    constraint, out = grammars.compile(PERSON).constraint(200), b""
    while not constraint.ended:
        logits = np.zeros(tokenizer.size, np.float32)
        logits[wanted[len(out)] + 1] = 9
        out += grammars.tokens[constraint.pick(logits, 200 - len(out), lambda x: int(np.argmax(x)))]
    assert out == wanted
    assert not constraint.cut


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "frob"}, "frob"),
        ({"not": {}}, "not"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"$ref": "http://example.org/x"}, "does not fetch"),
        ({"$ref": "file:///etc/passwd"}, "does not fetch"),
        ({"enum": []}, "nsatisfiable"),
        ({"type": "string", "pattern": "(?=x)"}, "look-around"),
        ({"type": "array", "minItems": 10**9}, "tokens"),
        ([], "object"),
        ("x", "object"),
    ],
)
def test_what_cannot_be_enforced_is_refused_by_name(schema, why):
    tokenizer = Tokenizer.byte_level()
    grammars = Grammars(tokenizer.tokens, tokenizer.size, tokenizer.encode)
    with pytest.raises(RequestError) as error:
        grammars.compile(schema).constraint(1000)
    assert (error.value.status, error.value.code) == (400, "unsupported_schema")
    assert why in str(error.value)


def test_openai_formats():
    assert response_schema(None) is response_schema({"type": "text"}) is None
    assert response_schema({"type": "json_object"}) == ANY_OBJECT
    assert response_schema({"type": "json_schema", "json_schema": {"name": "p", "schema": PERSON}}) == PERSON
    for wrong in ({"type": "xml"}, {"type": "json_schema"}, {"type": "json_schema", "json_schema": {}}):
        with pytest.raises(RequestError):
            response_schema(wrong)


def test_the_place_in_a_text():
    assert Place().after(b'{"a\\"') == Place(in_string=True)
    assert Place().after(b'{"a\\\\"') == Place()
    assert Place().after(b'"\\') == Place(in_string=True, escaped=True)
