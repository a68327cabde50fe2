"""Clients that other people wrote complete a streamed chat: `openai`, `ollama` and `llm`."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import httpx
import jsonschema
import ollama
import openai
import pytest

ASK = [{"role": "user", "content": "Say something"}]
PERSON = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
          "required": ["name", "age"], "additionalProperties": False}  # fmt: skip


@pytest.fixture(scope="module")
def daemon(prepared_home):
    """A daemon with both doors open."""
    from tests.daemon.conftest import _daemon

    for made in _daemon(prepared_home):
        yield made.start("--tcp", "0")


@pytest.fixture(scope="module", params=["unix", "tcp"])
def openai_client(request, daemon):
    if request.param == "tcp":
        port, token = daemon.tcp()
        with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=token, max_retries=0) as client:
            yield client
    else:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(daemon.socket)), trust_env=False) as http:
            yield openai.OpenAI(base_url="http://localhost/v1", api_key="none", http_client=http, max_retries=0)


@pytest.fixture(scope="module", params=["unix", "tcp"])
def ollama_client(request, daemon):
    if request.param == "tcp":
        port, token = daemon.tcp()
        yield ollama.Client(f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {token}"})
    else:
        yield ollama.Client("http://localhost", transport=httpx.HTTPTransport(uds=str(daemon.socket)))


# --- openai ---


def test_openai_streams_a_chat(openai_client):
    chunks = list(
        openai_client.chat.completions.create(model="bytes", messages=ASK, stream=True, max_tokens=12, seed=1)
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks)
    assert chunks[-1].choices[0].finish_reason == "length"


def test_openai_without_the_token_is_refused_as_it_expects(daemon):
    port, _ = daemon.tcp()
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="wrong", max_retries=0)
    with client, pytest.raises(openai.AuthenticationError) as error:
        client.models.list()
    assert "token" in error.value.message


def test_openai_streams_a_response_and_goes_on_from_it(openai_client):
    ask = openai_client.responses.create
    events = list(ask(model="bytes", input="Alpha?", max_output_tokens=12, stream=True, extra_body={"seed": 1}))
    kinds, first = [event.type for event in events], events[-1].response
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == first.output_text
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert kinds[:4] == ["response.created", "response.in_progress", "response.output_item.added",
                         "response.content_part.added"]  # fmt: skip
    assert kinds[-4:] == ["response.output_text.done", "response.content_part.done", "response.output_item.done",
                          "response.incomplete"]  # fmt: skip
    assert first.incomplete_details.reason == "max_output_tokens"
    assert first.usage.output_tokens == 12

    second = ask(model="bytes", input="Beta?", previous_response_id=first.id, temperature=0, max_output_tokens=12)
    assert second.usage.input_tokens_details.cached_tokens > 0
    whole = [{"role": "user", "content": "Alpha?"}, {"role": "assistant", "content": first.output_text},
             {"role": "user", "content": "Beta?"}]  # fmt: skip
    unstored = ask(model="bytes", input=whole, temperature=0, max_output_tokens=12, store=False)
    with pytest.raises(openai.NotFoundError):
        openai_client.responses.retrieve(unstored.id)

    again = openai_client.responses.retrieve(second.id)
    assert (again.output_text, again.previous_response_id) == (second.output_text, first.id)
    items = openai_client.responses.input_items.list(second.id).data
    assert [item.content[0].text for item in items] == ["Beta?"]
    openai_client.responses.delete(second.id)
    with pytest.raises(openai.NotFoundError):
        openai_client.responses.retrieve(second.id)
    assert openai_client.responses.retrieve(first.id).output_text == first.output_text


def test_two_responses_branch_from_one(openai_client):
    ask = openai_client.responses.create
    root = ask(model="bytes", input="Root", max_output_tokens=8, temperature=0)
    more = {"model": "bytes", "previous_response_id": root.id, "max_output_tokens": 8, "temperature": 0}
    left, right = ask(input="left", **more), ask(input="right", **more)
    assert left.output_text != right.output_text
    assert ask(input="left", **more).output_text == left.output_text


def test_instructions_are_those_of_each_request(openai_client):
    """As OpenAI has it: they are not carried over, and others mean another context from its first word on."""
    ask = openai_client.responses.create
    common = {"model": "bytes", "max_output_tokens": 8, "temperature": 0}
    first = ask(input="One", instructions="Be brief", **common)
    same = ask(input="Two", instructions="Be brief", previous_response_id=first.id, **common)
    assert same.usage.input_tokens_details.cached_tokens > 0
    other = ask(input="Two", previous_response_id=first.id, **common)
    assert other.usage.input_tokens_details.cached_tokens == 0
    said = [{"role": "user", "content": "One"}, {"role": "assistant", "content": first.output_text},
            {"role": "user", "content": "Two"}]  # fmt: skip
    assert other.output_text == ask(input=said, store=False, **common).output_text
    assert same.output_text != other.output_text


def test_responses_are_not_among_the_chats(openai_client, daemon):
    made = openai_client.responses.create(model="bytes", input="hidden words", max_output_tokens=2)
    with daemon.http() as http:
        assert "hidden words" not in http.get("/v1/chats").text
        assert http.get(f"/v1/responses/{made.id}").status_code == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"tools": [{"type": "web_search"}]}, 400), ({"background": True}, 400), ({"input": ""}, 400),
     ({"input": [{"type": "item_reference", "id": "x"}]}, 400), ({"previous_response_id": "resp_nope"}, 404),
     ({"previous_response_id": "nope"}, 404), ({"text": {"format": {"type": "xml"}}}, 400), ({"model": "gpt-9"}, 404),
     ({"max_output_tokens": 0}, 400), ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, 400)],
)  # fmt: skip
def test_responses_refuse_what_they_do_not_do(openai_client, fields, status):
    with pytest.raises(openai.APIStatusError) as error:
        openai_client.responses.create(**{"model": "bytes", "input": "x", "max_output_tokens": 4} | fields)
    assert error.value.status_code == status


@pytest.mark.parametrize("limit", [24, 90])
def test_openai_gets_json_that_fits_from_a_model_of_noise(openai_client, limit):
    shape = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": PERSON}}
    done = openai_client.chat.completions.create(model="bytes", messages=ASK, response_format=shape, max_tokens=limit)
    jsonschema.validate(json.loads(done.choices[0].message.content), PERSON)
    free = openai_client.chat.completions.create(model="bytes", messages=ASK, max_tokens=limit,
                                                 response_format={"type": "json_object"})  # fmt: skip
    assert isinstance(json.loads(free.choices[0].message.content), dict)
    flat = {"format": {"type": "json_schema", "name": "person", "schema": PERSON}}
    said = openai_client.responses.create(model="bytes", input="Who?", text=flat, max_output_tokens=limit)
    jsonschema.validate(json.loads(said.output_text), PERSON)


def test_a_schema_that_cannot_be_kept_is_refused(openai_client):
    for schema, words in (({"type": "frob"}, "frob"), ({"not": {}}, "not"), (PERSON, "tokens")):
        shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        with pytest.raises(openai.BadRequestError) as error:
            openai_client.chat.completions.create(model="bytes", messages=ASK, response_format=shape, max_tokens=5)
        assert error.value.code == "unsupported_schema"
        assert words in error.value.message


# --- ollama ---


def test_ollama_streams_a_chat(ollama_client):
    options = {"num_predict": 12, "seed": 1, "num_ctx": 4096}
    parts = list(ollama_client.chat("bytes", ASK, stream=True, options=options))
    assert "".join(p.message.content for p in parts)
    assert [p.done for p in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1].done_reason == "length"
    assert parts[-1].eval_count == 12
    assert parts[-1].eval_duration > 0
    whole = ollama_client.chat("bytes:latest", ASK, options=options)
    assert whole.message.content == "".join(p.message.content for p in parts)


def test_ollama_generates(ollama_client):
    plain = ollama_client.generate("bytes", "abc", options={"num_predict": 8, "seed": 1}, raw=True)
    assert plain.response
    parts = list(ollama_client.generate("bytes", "abc", stream=True, options={"num_predict": 8, "seed": 1}, raw=True))
    assert "".join(p.response for p in parts) == plain.response
    assert ollama_client.generate("bytes", "abc", system="S", options={"num_predict": 8}).done
    assert ollama_client.generate("bytes", "").done_reason == "load"


def test_ollama_gets_json_that_fits(ollama_client):
    answer = ollama_client.chat("bytes", ASK, format=PERSON, options={"num_predict": 60})
    jsonschema.validate(json.loads(answer.message.content), PERSON)
    assert isinstance(json.loads(ollama_client.generate("bytes", "x", format="json").response), dict)


def test_ollama_lists_and_shows(ollama_client):
    (model,) = ollama_client.list().models
    assert model.model == "bytes:latest"
    (running,) = ollama_client.ps().models
    assert running.model == model.model
    shown = ollama_client.show("bytes")
    assert shown.modelinfo["general.architecture"] == "rwkv7"
    assert shown.capabilities == ["completion"]


def test_ollama_errors_are_readable(ollama_client):
    for wrong, status in (({"model": "llama9"}, 404), ({"tools": [lambda x: x]}, 400),
                          ({"format": {"type": "xml"}}, 400), ({"options": {"temperature": "hot"}}, 400)):  # fmt: skip
        with pytest.raises(ollama.ResponseError) as error:
            ollama_client.chat(**{"model": "bytes", "messages": ASK} | wrong)
        assert error.value.status_code == status
        assert len(error.value.error) > 10


def test_ollama_root_and_version(daemon):
    with daemon.http() as http:
        assert http.head("/").status_code == 200
        assert http.get("/api/version").json()["version"]


def test_ollama_options_that_change_nothing_are_named(daemon):
    asked = {"prompt": "x", "stream": False, "options": {"num_predict": 2, "num_ctx": 4096, "mirostat": 1, "top_k": 3}}
    with daemon.http() as http:
        assert http.post("/api/generate", json=asked).json()["ignored_options"] == ["mirostat", "num_ctx"]


# --- llm ---


def test_llm_streams_a_chat(daemon, tmp_path):
    """Simon Willison's command line, configured as its documentation says for OpenAI-compatible servers."""
    port, token = daemon.tcp()
    (tmp_path / "extra-openai-models.yaml").write_text(
        f"- model_id: local\n  model_name: bytes\n  api_base: http://127.0.0.1:{port}/v1\n  api_key_name: local\n"
    )
    env = os.environ | {"LLM_USER_PATH": str(tmp_path)}
    command = [
        sys.executable,
        "-m",
        "llm",
        "-m",
        "local",
        "--key",
        token,
        "-o",
        "max_tokens",
        "12",
        "-n",
        "Say something",
    ]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip()) >= 8, done
