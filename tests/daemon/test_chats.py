"""/v1/chats as the terminal uses it: turns, branches, checkpoints, cancelling, and a daemon that dies."""

from __future__ import annotations

import json
import time

import httpx
import pytest

GREEDY = {"temperature": 0, "presence_penalty": 0, "frequency_penalty": 0}


def stream(http: httpx.Client, path: str, **body) -> list[dict]:
    """All events of one streamed request."""
    return list(events(http, path, **body))


def events(http: httpx.Client, path: str, **body):
    with http.stream("POST", path, json=GREEDY | body) as response:
        if response.status_code >= 400:
            response.read()
            raise AssertionError(response.text)
        for line in response.iter_lines():
            if line.startswith("data: ") and line != "data: [DONE]":
                yield json.loads(line[6:])


def ask(http: httpx.Client, chat_id: str, content: str, **body) -> dict:
    """The last event (finished) of a turn."""
    last = stream(http, f"/v1/chats/{chat_id}/messages", content=content, **body)[-1]
    assert last["event"] == "finished", last
    return last


@pytest.fixture
def http(running):
    with running.http() as client:
        yield client


@pytest.fixture
def chat_id(http) -> str:
    return http.post("/v1/chats", json={}).json()["id"]


def contents(http: httpx.Client, chat_id: str) -> list[str]:
    return [m["content"] for m in http.get(f"/v1/chats/{chat_id}").json()["messages"]]


def test_a_turn_streams_and_is_kept(http, chat_id):
    steps = stream(http, f"/v1/chats/{chat_id}/messages", content="Hello there", max_tokens=10)
    assert [steps[0]["event"], steps[-1]["event"]] == ["started", "finished"]
    text = "".join(s["text"] for s in steps if s["event"] == "delta")
    final = steps[-1]["message"]
    assert final["content"] == text
    assert final["id"] == steps[0]["message_id"]
    assert (final["status"], final["finish_reason"]) == ("complete", "length")
    assert final["cost"]["completion_tokens"] == 10
    assert [s for s in steps if s["event"] == "delta"][-1]["cost"]["completion_tokens"] > 0
    assert contents(http, chat_id) == ["Hello there", text]
    assert http.get(f"/v1/chats/{chat_id}").json()["chat"]["title"] == "Hello there"


def test_later_turns_and_retries_start_from_checkpoints(http, chat_id):
    first = ask(http, chat_id, "A long first message, so that its prefill would show " * 3, max_tokens=8)
    second = ask(http, chat_id, "next", max_tokens=8)
    assert second["cost"]["cached_tokens"] >= first["usage"]["prompt_tokens"]
    assert second["cost"]["prompt_tokens"] <= len("x\n\nUser: next\n\nAssistant:")
    retry = stream(http, f"/v1/chats/{chat_id}/regenerate", max_tokens=8)[-1]
    assert retry["cost"]["prompt_tokens"] == 0, "a retry prefilled what its checkpoint held"
    assert retry["message"]["content"] == second["message"]["content"]
    assert (retry["message"]["siblings"], retry["message"]["sibling_index"]) == (2, 1)


def test_an_edit_is_a_branch_that_costs_its_own_text_only(http, chat_id):
    first = ask(http, chat_id, "one", max_tokens=6)
    old = ask(http, chat_id, "two", max_tokens=6)
    edited = ask(http, chat_id, "deux", parent_id=first["message"]["id"], max_tokens=6)
    assert edited["cost"]["prompt_tokens"] <= len("x\n\nUser: deux\n\nAssistant:")
    assert contents(http, chat_id)[2] == "deux"
    back = http.patch(f"/v1/chats/{chat_id}", json={"head_id": old["message"]["id"]}).json()
    assert [m["content"] for m in back["messages"]][2] == "two"
    root = ask(http, chat_id, "uno", root=True, max_tokens=4)
    assert root["cost"]["cached_tokens"] == 0
    assert contents(http, chat_id)[0] == "uno"


def test_a_fork_goes_on_by_itself_without_prefill(http, chat_id):
    ask(http, chat_id, "one", max_tokens=6)
    fork = http.post(f"/v1/chats/{chat_id}/fork", json={}).json()
    there, here = ask(http, fork["chat"]["id"], "two", max_tokens=6), ask(http, chat_id, "two", max_tokens=6)
    assert there["message"]["content"] == here["message"]["content"]
    assert there["cost"]["prompt_tokens"] == here["cost"]["prompt_tokens"]
    assert there["cost"]["cached_tokens"] == here["cost"]["cached_tokens"]


def test_cancel_keeps_what_there_is_and_the_next_turn_goes_on(http, chat_id):
    step = None
    for step in events(http, f"/v1/chats/{chat_id}/messages", content="Go on for ever", max_tokens=100_000):
        if step["event"] == "delta":
            http.post(f"/v1/chats/{chat_id}/cancel")
    assert step["event"] == "finished"
    assert (step["message"]["status"], step["message"]["finish_reason"]) == ("cancelled", "cancelled")
    assert step["message"]["content"] == contents(http, chat_id)[1] != ""
    assert ask(http, chat_id, "and now?", max_tokens=3)["cost"]["cached_tokens"] > 0


def test_closing_the_connection_cancels(http, chat_id, running):
    for step in events(http, f"/v1/chats/{chat_id}/messages", content="Go on for ever", max_tokens=100_000):
        if step["event"] == "delta":
            break
    deadline = time.monotonic() + 20
    status = lambda: http.get(f"/v1/chats/{chat_id}").json()["messages"][1]["status"]  # noqa: E731
    while status() == "streaming" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert status() == "cancelled"


def test_a_chat_that_is_being_answered_is_busy(http, chat_id, running):
    busy = None
    for step in events(http, f"/v1/chats/{chat_id}/messages", content="Go on", max_tokens=100_000):
        if step["event"] == "delta" and busy is None:
            busy = http.post(f"/v1/chats/{chat_id}/messages", json={"content": "me too"})
            http.post(f"/v1/chats/{chat_id}/cancel")
    assert busy.status_code == 409
    assert busy.json()["error"]["code"] == "busy"
    assert contents(http, chat_id)[0] == "Go on"
    assert len(contents(http, chat_id)) == 2


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/chats/nope", None, 404),
        ("POST", "/v1/chats/nope/messages", {"content": "x"}, 404),
        ("POST", "/v1/chats/{}/messages", {"content": "  "}, 400),
        ("POST", "/v1/chats/{}/messages", {}, 400),
        ("POST", "/v1/chats/{}/messages", {"content": 5}, 400),
        ("POST", "/v1/chats/{}/messages", {"content": "x", "parent_id": "nope"}, 400),
        ("POST", "/v1/chats/{}/messages", {"content": "x", "top_p": 2}, 400),
        ("POST", "/v1/chats/{}/regenerate", {}, 400),
        ("GET", "/nowhere", None, 404),
        ("DELETE", "/v1/chats", None, 405),
    ],
)
def test_errors_say_what_is_wrong_and_store_nothing(http, chat_id, method, path, body, status):
    response = http.request(method, path.format(chat_id), json=body)
    assert response.status_code == status
    assert response.json()["error"]["message"]
    assert contents(http, chat_id) == []


def test_too_much_and_no_json_are_refused(http, chat_id):
    path = f"/v1/chats/{chat_id}/messages"
    assert http.post(path, content=b"{nonsense").status_code == 400
    assert http.post(path, content=b'{"content": "' + b"x" * (2 << 20) + b'"}').status_code == 413


def test_deleting_a_chat_while_it_is_written_is_harmless(http, chat_id):
    for step in events(http, f"/v1/chats/{chat_id}/messages", content="Go on", max_tokens=100_000):
        if step["event"] == "delta":
            assert http.delete(f"/v1/chats/{chat_id}").json() == {"deleted": True}
            break
    assert http.get(f"/v1/chats/{chat_id}").status_code == 404
    assert http.get("/readyz").json()["ready"]


# --- across processes ---


def test_kill_9_in_a_reply_loses_no_message(daemon):
    daemon.start()
    with daemon.http() as http:
        chat_id = http.post("/v1/chats", json={}).json()["id"]
        before = ask(http, chat_id, "remember me", max_tokens=5)
        deltas = 0
        with pytest.raises(httpx.HTTPError):  # noqa: PT012 - the loop is what dies
            for step in events(http, f"/v1/chats/{chat_id}/messages", content="and me", max_tokens=100_000):
                deltas += step["event"] == "delta"
                if deltas == 1:
                    died_after = time.monotonic() + 1.2  # past two saves of the partial reply
                if deltas and time.monotonic() > died_after:
                    daemon.kill()
    daemon.start()
    with daemon.http() as http:
        messages = http.get(f"/v1/chats/{chat_id}").json()["messages"]
        assert [m["status"] for m in messages] == ["complete", "complete", "complete", "interrupted"]
        assert messages[1]["content"] == before["message"]["content"]
        assert messages[2]["content"] == "and me"
        assert messages[3]["content"], "the partial reply was lost"
        follow = ask(http, chat_id, "next", max_tokens=4)
        assert follow["cost"]["cached_tokens"] > 0, "the checkpoints of before the crash were lost"
        assert stream(http, f"/v1/chats/{chat_id}/regenerate", max_tokens=4)[-1]["cost"]["prompt_tokens"] == 0


def test_a_restart_resumes_without_prefill_and_with_the_same_words(daemon):
    daemon.start()
    with daemon.http() as http:
        chat_id = http.post("/v1/chats", json={}).json()["id"]
        ask(http, chat_id, "one", max_tokens=12)
        fork = http.post(f"/v1/chats/{chat_id}/fork", json={}).json()["chat"]["id"]
        expected = ask(http, fork, "two", max_tokens=12)
    assert daemon.stop() == 0
    daemon.start()
    with daemon.http() as http:
        resumed = ask(http, chat_id, "two", max_tokens=12)
    assert resumed["message"]["content"] == expected["message"]["content"]
    assert resumed["cost"]["prompt_tokens"] == expected["cost"]["prompt_tokens"]


def test_stopping_the_daemon_ends_a_long_stream_with_what_there_is(daemon):
    daemon.configure('[model]\nname = "bytes"\n[daemon]\ndrain_s = 0.3\n')
    daemon.start()
    with daemon.http() as http:
        chat_id = http.post("/v1/chats", json={}).json()["id"]
        step = None
        for step in events(http, f"/v1/chats/{chat_id}/messages", content="Go on", max_tokens=100_000):
            if step["event"] == "delta" and daemon.process.poll() is None:
                daemon.process.terminate()
    assert step["event"] == "finished"
    assert step["message"]["status"] == "interrupted"
    assert daemon.process.wait(timeout=30) == 0
    assert not daemon.socket.exists()
