"""Moods as clients meet them: one event per message, kept beside it, asked by /v1/mood, and switched off."""

from __future__ import annotations

import json

import pytest

from tests.daemon.test_chats import stream


@pytest.fixture
def http(running):
    with running.http() as client:
        yield client


@pytest.fixture
def chat_id(http) -> str:
    return http.post("/v1/chats", json={}).json()["id"]


def sensed(steps: list[dict]) -> list[dict]:
    return [step for step in steps if step["event"] == "sensed"]


def test_a_message_is_sensed_once_and_keeps_its_mood(http, chat_id):
    steps = stream(http, f"/v1/chats/{chat_id}/messages", content="I'm so sad, I cried all night", max_tokens=4)
    (found,) = sensed(steps)
    assert steps[-1]["event"] == "finished", "the mood comes before the end"
    assert found["message_id"] == steps[0]["user_message"]["id"]
    mood = found["mood"]
    assert (mood["label"], mood["valence"], mood["source"]) == ("sad", "negative", "lexicon")
    user, reply = http.get(f"/v1/chats/{chat_id}").json()["messages"]
    assert user["mood"] == mood
    assert not reply.get("mood")
    again = stream(http, f"/v1/chats/{chat_id}/regenerate", max_tokens=4)
    assert sensed(again) == []


def test_a_message_may_ask_not_to_be_read(http, chat_id):
    steps = stream(http, f"/v1/chats/{chat_id}/messages", content="I'm so sad", max_tokens=4, mood=False)
    assert sensed(steps) == []
    assert not http.get(f"/v1/chats/{chat_id}").json()["messages"][0].get("mood")


def test_words_of_crisis_are_answered_by_rule_and_the_chat_goes_on(http, chat_id):
    steps = stream(http, f"/v1/chats/{chat_id}/messages", content="I want to kill myself")
    kinds = [step["event"] for step in steps]
    assert [kinds[0], kinds[-1]] == ["started", "finished"]
    assert kinds.count("sensed") == kinds.count("skill") == 1
    final = steps[-1]["message"]
    assert final["skill"]["skill"] == "care"
    assert "local emergency services" in final["content"]
    assert steps[-1]["cost"]["completion_tokens"] == 0
    assert stream(http, f"/v1/chats/{chat_id}/messages", content="ok", max_tokens=3)[-1]["event"] == "finished"


def test_a_text_is_read_on_request_and_not_kept(http):
    chats = http.get("/v1/chats").json()
    answer = http.post("/v1/mood", json={"text": "Thank you so much, I love it!"}).json()
    assert answer["mood"]["label"] == "happy"
    assert sum(answer["shares"].values()) == pytest.approx(1, abs=1e-3)
    assert http.get("/v1/chats").json() == chats
    refused = http.post("/v1/mood", json={"text": "  "})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "empty_message")


def test_the_command_line_asks_the_daemon(running):
    done = running.run("mood", "--json", "I hate this, it makes me so angry")
    assert json.loads(done.stdout)["mood"]["label"] == "angry", done.stderr
    piped = running.run("mood", "-", input="I'm scared and terrified of the dark")
    assert piped.stdout.startswith("scared (negative), intensity ")
    assert piped.stdout.rstrip().endswith("read by: lexicon")
    assert running.run("mood", "-", input=" ").returncode == 2


def test_it_can_be_switched_off(daemon):
    daemon.configure('[model]\nname = "bytes"\n[mood]\nenabled = false\n')
    daemon.start()
    with daemon.http() as http:
        chat_id = http.post("/v1/chats", json={}).json()["id"]
        steps = stream(http, f"/v1/chats/{chat_id}/messages", content="I'm so sad", max_tokens=4)
        assert sensed(steps) == []
        assert not http.get(f"/v1/chats/{chat_id}").json()["messages"][0].get("mood")
        assert http.post("/v1/mood", json={"text": "I'm so sad"}).status_code == 200, "who asks is answered"
