"""The real `openai` client over the unix socket."""

from __future__ import annotations

import concurrent.futures
import json

import httpx
import openai
import pytest

ASK = [{"role": "user", "content": "Say something"}]


@pytest.fixture(scope="module")
def client(running):
    transport = httpx.HTTPTransport(uds=str(running.socket))
    with httpx.Client(transport=transport, trust_env=False) as http:
        yield openai.OpenAI(base_url="http://localhost/v1", api_key="none", http_client=http, max_retries=0)


def chat(client, **fields):
    fields = {"model": "bytes", "messages": ASK, "seed": 1, "max_tokens": 12} | fields
    return client.chat.completions.create(**fields)


def test_models(client):
    (model,) = client.models.list().data
    assert model.id == "bytes"


def test_a_chat_completion_has_usage_and_cost(client):
    done = chat(client)
    assert done.choices[0].message.role == "assistant"
    assert done.choices[0].message.content
    assert done.choices[0].finish_reason == "length"
    assert done.usage.completion_tokens == 12
    assert done.usage.prompt_tokens == 1 + len("User: Say something\n\nAssistant:")
    assert done.usage.total_tokens == done.usage.prompt_tokens + 12
    cost = done.cost
    assert cost["completion_tokens"] == 12
    assert cost["macs"] > 0
    assert cost["bytes_moved"] > 0
    assert cost["energy_j"] > 0
    assert (cost["basis"], cost["simulated"], cost["backend"]) == ("modelled", False, "cpu")
    assert cost["tok_s"] > 0


def test_streaming_gives_the_same_text_and_usage_at_the_end(client):
    whole = chat(client).choices[0].message.content
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].usage.completion_tokens == 12
    assert len({c.id for c in chunks}) == 1
    assert chunks[-2].cost["completion_tokens"] == 12


def test_the_seed_decides_the_text(client):
    texts = [chat(client, seed=s, temperature=1.5).choices[0].message.content for s in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_stop_ends_before_the_string(client):
    whole = chat(client, max_tokens=30).choices[0].message.content
    stop = whole[4:6]
    cut = chat(client, max_tokens=30, stop=[stop])
    assert cut.choices[0].message.content == whole[: whole.index(stop)]
    assert cut.choices[0].finish_reason == "stop"


def test_a_continued_conversation_is_not_prefilled_again_and_says_the_same(client, running):
    """The second turn goes on from the first one's state; a daemon that never saw the first gives the same text."""
    first = chat(client, messages=[{"role": "user", "content": "Alpha?"}])
    reply = first.choices[0].message.content
    following = [{"role": "user", "content": "Alpha?"}, {"role": "assistant", "content": reply},
                 {"role": "user", "content": "Beta?"}]  # fmt: skip
    second = chat(client, messages=following, temperature=0)
    assert second.cost["cached_tokens"] > 0
    assert second.cost["prompt_tokens"] < second.cost["cached_tokens"]
    assert second.usage.prompt_tokens == second.cost["cached_tokens"] + second.cost["prompt_tokens"]

    again = chat(client, messages=following, temperature=0)  # its whole prompt is cached now
    assert again.cost["prompt_tokens"] == 0
    assert again.choices[0].message.content == second.choices[0].message.content


def test_concurrent_requests_get_what_each_gets_alone(client):
    questions = [f"Question number {i}?" for i in range(12)]

    def answer(q: str) -> str:
        return chat(client, messages=[{"role": "user", "content": q}], temperature=0).choices[0].message.content

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        together = list(pool.map(answer, questions))
    fresh = [f"{q} " for q in questions]  # another spelling of the same turn: the cache does not know it
    assert together == [answer(q) for q in fresh]
    assert len(set(together)) > 6, "the answers do not depend on the question"


def test_text_completions(client):
    done = client.completions.create(model="bytes", prompt="abc", max_tokens=8, seed=1)
    assert done.usage.completion_tokens == 8
    assert done.choices[0].text
    echoed = client.completions.create(model="bytes", prompt="abc", max_tokens=8, seed=1, echo=True)
    assert echoed.choices[0].text == "abc" + done.choices[0].text
    streamed = client.completions.create(model="bytes", prompt="abc", max_tokens=8, seed=1, stream=True)
    assert "".join(c.choices[0].text for c in streamed) == done.choices[0].text


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"n": 2}, 400, "'n'"),
        ({"tools": [{"type": "web_search"}]}, 400, "web_search"),
        ({"tool_choice": "required"}, 400, "tool_choice"),
        ({"functions": [{"name": "f"}]}, 400, "functions"),
        ({"response_format": {"type": "xml"}}, 400, "response_format"),
        ({"logprobs": True}, 400, "logprobs"),
        ({"temperature": 9}, 400, "temperature"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"stop": ["a", "b", "c", "d", "e"]}, 400, "stop"),
        ({"messages": []}, 400, "last message"),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400, "robot"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "image_url"),
        ({"messages": "hello"}, 400, "messages"),
        ({"model": "gpt-9"}, 404, "gpt-9"),
    ],
)
def test_what_we_do_not_do_is_refused_by_name(client, fields, status, words):
    with pytest.raises(openai.APIStatusError) as error:
        chat(client, **fields)
    assert error.value.status_code == status
    assert words in error.value.message


def test_a_model_that_was_not_trained_to_call_says_so_and_can_be_made_to(client, running):
    tool = {"name": "mood", "parameters": {"type": "object", "properties": {"mood": {"enum": ["glad", "sad"]}},
                                           "required": ["mood"], "additionalProperties": False}}  # fmt: skip
    tools, flat = [{"type": "function", "function": tool}], [{"type": "function", **tool}]
    free, plain = chat(client, tools=tools), chat(client)
    assert "not trained" in free.model_extra["tool_notes"][0]
    assert "tool_notes" not in plain.model_extra
    assert free.choices == plain.choices, "the tools are not even read"
    assert list(chat(client, tools=tools, stream=True))[-1].model_extra["tool_notes"] == free.model_extra["tool_notes"]
    (call,) = chat(client, tools=tools, tool_choice="required", max_tokens=60).choices[0].message.tool_calls
    assert json.loads(call.function.arguments)["mood"] in ("glad", "sad")
    said = client.responses.create(model="bytes", input="x", tools=flat, max_output_tokens=2)
    assert "not trained" in said.model_extra["tool_notes"][0]
    with running.http() as http:
        asked = {"model": "bytes", "messages": ASK, "tools": tools, "options": {"num_predict": 2}}
        last = http.post("/api/chat", json=asked).text.splitlines()[-1]
        assert "not trained" in json.loads(last)["tool_notes"][0]


def test_parts_developer_role_and_system_prompts_are_read(client):
    plain = chat(client, messages=[{"role": "system", "content": "S"}, *ASK]).choices[0].message.content
    parts = [{"role": "developer", "content": [{"type": "text", "text": "S"}]},
             {"role": "user", "content": [{"type": "text", "text": "Say "}, {"type": "text", "text": "something"}]}]  # fmt: skip  # noqa: E501
    assert chat(client, messages=parts).choices[0].message.content == plain
    assert chat(client).choices[0].message.content != plain


def test_leaving_a_stream_frees_the_engine(client, running):
    import time

    stream = chat(client, stream=True, max_tokens=100_000)
    next(iter(stream))
    stream.close()
    with running.http() as http:
        deadline = time.monotonic() + 20
        while http.get("/readyz").json()["engine"]["live"] and time.monotonic() < deadline:
            time.sleep(0.05)
        assert http.get("/readyz").json()["engine"]["live"] == 0
