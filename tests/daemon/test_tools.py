"""Tool calls as clients that other people wrote make them: `openai` (both APIs, streamed and not) and `ollama`."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import httpx
import jsonschema
import numpy as np
import ollama
import openai
import pytest
from safetensors.numpy import save_file

from assistant import config
from assistant.models.template import template_named
from assistant.models.tokenizer import Tokenizer
from assistant.models.vocabulary import write_vocabulary
from assistant.session.constrained import Grammars
from assistant.session.skill_calls import SkillCalls
from assistant.skills.registry import Registry
from tests.daemon.conftest import BYTES, Daemon
from tests.daemon.test_chats import stream
from tests.synthetic import synthetic_tensors, to_blinkdl

WEATHER = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 2}, "unit": {"enum": ["°C", "°F"]}},
           "required": ["city", "unit"], "additionalProperties": False}  # fmt: skip
FUNCTIONS = [{"name": "weather", "description": "The weather\n\nnow", "parameters": WEATHER}, {"name": "now"}]
TOOLS = [{"type": "function", "function": function} for function in FUNCTIONS]
FLAT = [{"type": "function", "strict": None} | function for function in FUNCTIONS]
NAMED = {"type": "function", "function": {"name": "weather"}}
ASK = [{"role": "user", "content": "How warm is it?"}]
SAYS = ":Sure"  # what the model says after "Assistant:" before it calls


def caller() -> tuple[dict[str, np.ndarray], bytes]:
    """(weights, vocabulary) of a model that says "Sure" and then calls: what follows depends on the last token only.

    The layers add nothing, and the head turns the embedding of each letter of SAYS into the next one.
    """
    marker = 257
    config = replace(BYTES, vocab=marker + 1)
    tensors = synthetic_tensors(config, seed=5)
    for name, tensor in tensors.items():
        if name.endswith(("att.output.weight", "ffn.value.weight")):
            tensor[:] = 0
    embedding = tensors["emb.weight"]
    chain = [*(ord(letter) + 1 for letter in SAYS), marker]
    for before, after in pairwise(chain):
        tensors["head.weight"][after] = embedding[before]
    tensors["head.weight"][0] = 0.2 * embedding[ord(">") + 1]  # after a call, an end is about as likely as another
    return tensors, write_vocabulary([b"", *(bytes([b]) for b in range(256)), b"\n<tool_call>"])


@pytest.fixture(scope="module")
def daemon():
    home = Path(tempfile.mkdtemp(prefix="a-", dir="/tmp"))
    made = Daemon(home)
    tensors, vocabulary = caller()
    save_file(to_blinkdl(tensors), home / "caller.safetensors")
    (home / "vocab.txt").write_bytes(vocabulary)
    added = made.run("models", "add", str(home / "caller.safetensors"), "--template", "g1", "--vocab",
                     str(home / "vocab.txt"))  # fmt: skip
    assert added.returncode == 0, added.stderr
    made.configure(
        '[model]\nname = "caller"\n[sampling]\nmax_tokens = 200\ntemperature = 0.7\ntop_p = 1.0\n'
        "[skills]\nby_model = true\n"
    )
    yield made.start()
    made.end()
    shutil.rmtree(home)


def openai_client(daemon: Daemon) -> openai.OpenAI:
    http = httpx.Client(transport=httpx.HTTPTransport(uds=str(daemon.socket)), trust_env=False)
    return openai.OpenAI(base_url="http://localhost/v1", api_key="none", http_client=http, max_retries=0)


@pytest.fixture(scope="module")
def client(daemon):
    with openai_client(daemon) as made:
        yield made


def check(calls: list[tuple[str, str]]) -> None:
    assert calls
    for name, arguments in calls:
        schema = WEATHER if name == "weather" else {"const": {}}
        jsonschema.validate(json.loads(arguments), schema)


def called(message) -> list[tuple[str, str]]:
    return [(call.function.name, call.function.arguments) for call in message.tool_calls or []]


# --- OpenAI: chat completions ---


@pytest.mark.parametrize(("choice", "parallel"), [("auto", True), ("auto", False), ("required", True), (NAMED, True)])
def test_a_call_comes_whole_and_in_pieces(client, choice, parallel):
    for seed in range(2 if choice == "auto" and parallel else 1):
        ask = {"model": "caller", "messages": ASK, "tools": TOOLS, "tool_choice": choice, "seed": seed,
               "parallel_tool_calls": parallel, "max_tokens": 600}  # fmt: skip
        done = client.chat.completions.create(**ask)
        message, calls = done.choices[0].message, called(done.choices[0].message)
        check(calls)
        assert done.choices[0].finish_reason == "tool_calls"
        assert message.content == ("Sure" if choice == "auto" else None)
        assert len(calls) == 1 or (parallel and choice != NAMED)
        assert choice != NAMED or calls[0][0] == "weather"
        assert len({call.id for call in message.tool_calls}) == len(calls)
        assert done.usage.completion_tokens > 0
        with client.chat.completions.stream(**ask, stream_options={"include_usage": True}) as stream:
            chunks = [event.chunk for event in stream if event.type == "chunk"]
            whole = stream.get_final_completion()
        assert called(whole.choices[0].message) == calls
        assert (whole.choices[0].message.content or None) == message.content
        assert whole.choices[0].finish_reason == done.choices[0].finish_reason
        assert whole.usage.completion_tokens == done.usage.completion_tokens
        deltas = [d for c in chunks if c.choices for d in c.choices[0].delta.tool_calls or []]
        begins = [d for d in deltas if d.id]
        assert [d.index for d in begins] == list(range(len(calls)))
        assert all(d.function.name and not d.function.arguments for d in begins)
        assert all(d.function.name is None and d.function.arguments for d in deltas if not d.id)
        assert chunks[-1].model_extra["cost"]["completion_tokens"] == done.usage.completion_tokens


def test_a_result_goes_back_and_nothing_is_read_twice(client):
    ask = {"model": "caller", "tools": TOOLS, "seed": 1}
    for fields in ({"tool_choice": NAMED}, {"parallel_tool_calls": False}):
        first = client.chat.completions.create(messages=ASK, **ask, **fields)
        message = first.choices[0].message
        results = [{"role": "tool", "tool_call_id": call.id, "content": '{"t": 21}'} for call in message.tool_calls]
        messages = [*ASK, message.model_dump(exclude_none=True), *results]
        second = client.chat.completions.create(messages=messages, **ask | {"tool_choice": "auto"})
        assert second.choices[0].message.content == "Sure"
        cost = second.model_extra["cost"]
        assert cost["cached_tokens"] > first.usage.prompt_tokens, "the call's own state was found"
        again = client.chat.completions.create(messages=[*messages[:-1], {**results[0], "content": "x"}], **ask)
        assert again.usage.prompt_tokens != second.usage.prompt_tokens


def test_tools_may_be_there_and_not_be_used(client):
    done = client.chat.completions.create(model="caller", messages=ASK, tools=TOOLS, tool_choice="none", max_tokens=5)
    assert done.choices[0].message.content == "Sure\n<tool_call>", "it is not asked for calls, so this is text"
    assert done.choices[0].message.tool_calls is None
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
        {"type": "function", "function": {"name": "now"}}]}}  # fmt: skip
    done = client.chat.completions.create(model="caller", messages=ASK, tools=TOOLS, tool_choice=allowed)
    assert {name for name, _ in called(done.choices[0].message)} == {"now"}


def test_a_call_for_which_there_is_no_room(client):
    short = {"model": "caller", "messages": ASK, "tools": TOOLS, "max_tokens": 10}
    done = client.chat.completions.create(**short)
    assert (done.choices[0].message.tool_calls, done.choices[0].finish_reason) == (None, "length")
    with pytest.raises(openai.BadRequestError, match="10 tokens"):
        client.chat.completions.create(**short, tool_choice="required")


def test_a_schema_that_only_a_part_of_can_be_kept(client):
    odd = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "not": {"required": ["b"]}}
    tools = [{"type": "function", "function": {"name": "odd", "parameters": odd}}]
    done = client.chat.completions.create(model="caller", messages=ASK, tools=tools, tool_choice="required")
    assert "not" in done.model_extra["tool_notes"][0]
    tools[0]["function"]["strict"] = True
    with pytest.raises(openai.BadRequestError, match="'odd'") as error:
        client.chat.completions.create(model="caller", messages=ASK, tools=tools, tool_choice="required")
    assert error.value.param == "tools[0].function.parameters"


# --- OpenAI: responses ---


@pytest.mark.parametrize("store", [True, False])
def test_a_response_calls_and_goes_on_from_the_result(client, store):
    create = client.responses.create
    for choice in ("auto", {"type": "function", "name": "weather"}) if store else ("auto",):
        ask = {"model": "caller", "tools": FLAT, "tool_choice": choice, "store": store, "max_output_tokens": 120,
               "extra_body": {"seed": 2}}  # fmt: skip
        first = create(input="How warm is it?", parallel_tool_calls=False, **ask)
        calls = [item for item in first.output if item.type == "function_call"]
        check([(call.name, call.arguments) for call in calls])
        assert first.output_text == ("Sure" if choice == "auto" else "")
        assert len(first.tools) == 2
        events = list(create(input="How warm is it?", parallel_tool_calls=False, stream=True, **ask))
        last = events[-1].response
        assert [e.sequence_number for e in events] == list(range(len(events)))
        assert [(i.type, getattr(i, "arguments", None)) for i in last.output] == [
            (i.type, getattr(i, "arguments", None)) for i in first.output]  # fmt: skip
        pieces = "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta")
        (done,) = (e for e in events if e.type == "response.function_call_arguments.done")
        assert pieces == done.arguments == calls[0].arguments
        ends = [e for e in events if e.type == "response.output_item.done"]
        assert [e.item.model_dump() for e in ends] == [item.model_dump() for item in last.output]

        result = {"type": "function_call_output", "call_id": calls[0].call_id, "output": "21"}
        if not store:
            earlier = [{"role": "user", "content": "How warm is it?"}, *(item.model_dump() for item in first.output)]
            assert create(input=[*earlier, result], **ask | {"tool_choice": "none"}).output_text
            continue
        again = client.responses.retrieve(first.id)
        assert [item.model_dump() for item in again.output] == [item.model_dump() for item in first.output]
        second = create(input=[result], previous_response_id=first.id, **ask | {"tool_choice": "auto"})
        assert second.output_text == "Sure"
        assert second.usage.input_tokens_details.cached_tokens > first.usage.input_tokens
        (item,) = client.responses.input_items.list(second.id).data
        assert (item.type, item.call_id, item.output) == ("function_call_output", calls[0].call_id, "21")
        for wrong in ("And?", [result | {"call_id": "call_nope"}]):
            with pytest.raises(openai.BadRequestError, match=r"result|answers"):
                create(input=wrong, previous_response_id=first.id, **ask)


# --- Ollama ---


def weather(city: str, unit: str) -> str:
    """The weather.

    Args:
      city: where
      unit: of the temperature
    """
    return f"21 {unit} in {city}"


def test_ollama_calls_a_function_of_python(daemon):
    client = ollama.Client("http://localhost", transport=httpx.HTTPTransport(uds=str(daemon.socket)))
    assert client.show("caller").capabilities == ["completion", "tools"]
    options = {"seed": 3, "num_predict": 250}
    done = client.chat("caller", ASK, tools=[weather], options=options)
    assert done.message.content == "Sure"
    lines = list(client.chat("caller", ASK, tools=[weather], options=options, stream=True))
    calls = [call.function for line in lines for call in line.message.tool_calls or []]
    assert calls == [call.function for call in done.message.tool_calls]
    assert "".join(line.message.content for line in lines) == "Sure"
    assert all(isinstance(weather(**call.arguments), str) for call in calls)
    results = [{"role": "tool", "tool_name": call.name, "content": weather(**call.arguments)} for call in calls]
    assert client.chat("caller", [*ASK, done.message, *results], tools=[weather], options=options).done
    with pytest.raises(ollama.ResponseError, match="'wether'"):
        client.chat("caller", [*ASK, done.message, {"role": "tool", "tool_name": "wether", "content": ""}])


# --- our own skills, called by the model in a chat ---


def test_a_chat_shows_exactly_what_the_skill_that_the_model_calls_says(daemon):
    with daemon.http() as http:
        chat = http.post("/v1/chats", json={}).json()["id"]
        for question in ("Well?", "And now?"):
            steps = stream(http, f"/v1/chats/{chat}/messages", content=question, seed=1, max_tokens=150)
            used = next(step for step in steps if step["event"] == "skill")["answer"]
            done = steps[-1]["message"]
            assert done["content"] == f"Sure\n{used['text']}"
            assert done["skill"] == used
            assert "".join(step["text"] for step in steps if step["event"] == "delta") == done["content"]
            assert steps[-1]["usage"]["completion_tokens"] > 0
        kept = http.get(f"/v1/chats/{chat}").json()["messages"]
        assert [bool(message.get("skill")) for message in kept] == [False, True, False, True]
        plain = stream(http, f"/v1/chats/{chat}/messages", content="And?", skills=False, max_tokens=5)[-1]["message"]
        assert plain["content"].startswith("Sure")
        assert not plain.get("skill")
        assert stream(http, f"/v1/chats/{chat}/messages", content="2 + 2")[-1]["cost"]["backend"] == "skill"


def test_a_model_may_only_call_what_changes_nothing(tmp_path):
    skills = Registry(config.Skills(), tmp_path, [])
    made = SkillCalls(skills, Grammars(Tokenizer.byte_level().tokens, 257, Tokenizer.byte_level().encode),
                      template_named("g1")).calling(200, None)  # fmt: skip
    names = {function["name"] for function in made.functions}
    assert names == {tool.name for tool in skills.tools() if not tool.acts}
    assert {"current_time", "calculate"} <= names
    assert not {"set_timer", "remind", "write_note"} & names
