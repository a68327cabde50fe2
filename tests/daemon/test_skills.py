"""Skills in chats of a real daemon: whole events, kept answers, states that know of them, and reminders that ring."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest

from assistant.skills.reminder_book import ReminderBook
from assistant.skills.zones import local_zone
from tests.daemon.conftest import _daemon
from tests.daemon.test_chats import GREEDY, ask, stream


@pytest.fixture(scope="module")
def ringing(prepared_home, request):
    """A daemon that starts with a reminder which is an hour late."""
    for made in _daemon(prepared_home):
        made.book = ReminderBook(made.home / "data" / "skills" / "reminders")
        made.book.add("the bread", "reminder", datetime.now(local_zone()) - timedelta(hours=1))
        yield made.start()


@pytest.fixture
def http(ringing):
    with ringing.http() as client:
        yield client


@pytest.fixture
def chat_id(http) -> str:
    return http.post("/v1/chats", json={}).json()["id"]


def messages(http, chat_id: str) -> list[dict]:
    return http.get(f"/v1/chats/{chat_id}").json()["messages"]


def test_a_skill_answers_instead_of_the_model(http, chat_id):
    steps = stream(http, f"/v1/chats/{chat_id}/messages", content="what is 15 % of 80?")
    assert [step["event"] for step in steps] == ["started", "sensed", "skill", "delta", "finished"]
    steps = [step for step in steps if step["event"] != "sensed"]
    assert steps[1]["answer"] == {"skill": "calculator", "text": "15 % of 80 = 12", "quotes": []}
    assert steps[2]["text"] == "15 % of 80 = 12"
    done = steps[3]
    assert done["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    cost = done["cost"]
    assert (cost["backend"], cost["energy_j"], cost["energy_source"]) == ("skill", 0, "no pass of the model")
    assert cost["elapsed_s"] > 0
    kept = messages(http, chat_id)[-1]
    assert kept == done["message"]
    assert (kept["skill"]["skill"], kept["status"], kept["finish_reason"]) == ("calculator", "complete", "stop")
    rows = http.get("/v1/cost?by=backend").json()["rows"]
    assert [r["totals"]["completion_tokens"] for r in rows if r["key"] == "skill"] == [0]


def test_the_next_turn_has_read_what_the_skill_said(http, chat_id):
    """As if the model had said it: the same as the whole conversation without any checkpoint."""
    first = ask(http, chat_id, "Hello", max_tokens=6)["message"]
    ask(http, chat_id, "twelve times seven")
    ask(http, chat_id, "twelve times eight")
    last = ask(http, chat_id, "And now?", max_tokens=12)
    told = [{"role": m["role"], "content": m["content"]} for m in messages(http, chat_id)[:-1]]
    body = GREEDY | {"messages": told, "max_tokens": 12}
    whole = http.post("/v1/chat/completions", json=body).json()
    assert last["message"]["content"] == whole["choices"][0]["message"]["content"].lstrip()
    assert last["usage"]["prompt_tokens"] in (whole["usage"]["prompt_tokens"], whole["usage"]["prompt_tokens"] - 1)
    assert last["cost"]["cached_tokens"] > 0  # from the checkpoint after the first reply
    assert first["content"]


def test_regenerate_asks_again_and_may_leave_it_to_the_model(http, chat_id):
    ask(http, chat_id, "2 + 2")
    again = stream(http, f"/v1/chats/{chat_id}/regenerate")
    assert again[-1]["message"]["content"] == "2 + 2 = 4"
    model = stream(http, f"/v1/chats/{chat_id}/regenerate", skills=False, max_tokens=5)
    assert "skill" not in [step["event"] for step in model]
    assert model[-1]["message"].get("skill") is None
    assert model[-1]["usage"]["completion_tokens"] == 5
    assert model[-1]["message"]["siblings"] == 3
    direct = stream(http, f"/v1/chats/{chat_id}/messages", content="2 + 2", skills=False, max_tokens=3)
    assert direct[-1]["usage"]["completion_tokens"] == 3


def test_edit_fork_and_undo_know_skills(http, chat_id):
    first = ask(http, chat_id, "2 + 2")["message"]
    edited = stream(http, f"/v1/chats/{chat_id}/messages", content="2 + 3", root=True)[-1]["message"]
    assert (edited["content"], edited["skill"]["skill"]) == ("2 + 3 = 5", "calculator")
    fork = http.post(f"/v1/chats/{chat_id}/fork", json={"message_id": first["id"]}).json()
    assert [m["content"] for m in fork["messages"]] == ["2 + 2", "2 + 2 = 4"]
    assert fork["messages"][-1]["skill"]["skill"] == "calculator"
    assert ask(http, fork["chat"]["id"], "Good", max_tokens=3)["usage"]["completion_tokens"] == 3
    http.patch(f"/v1/chats/{chat_id}", json={"head_id": first["id"]})
    assert ask(http, chat_id, "Go on", max_tokens=3)["message"]["parent_id"]
    assert [m["content"] for m in messages(http, chat_id)][:3] == ["2 + 2", "2 + 2 = 4", "Go on"]
    assert http.get(f"/v1/states/{first['id']}").status_code == 404  # no state follows it: said, not guessed


def test_an_act_is_done_once_however_often_it_is_answered(http, chat_id):
    ask(http, chat_id, "note: buy milk")
    stream(http, f"/v1/chats/{chat_id}/regenerate")
    assert ask(http, chat_id, "show my notes")["message"]["content"].endswith("1. buy milk")


def test_a_cancel_does_not_hurt_and_the_chat_is_free_again(http, chat_id):
    with http.stream("POST", f"/v1/chats/{chat_id}/messages", json={"content": "2 + 2"}) as response:
        response.read()
    assert http.post(f"/v1/chats/{chat_id}/cancel").json() == {"cancelled": 0}
    with http.stream("POST", f"/v1/chats/{chat_id}/messages", json={"content": "Tell me more", "max_tokens": 40}):
        pass  # gone at once: the model is cancelled, wherever it was
    deadline = time.monotonic() + 20
    while messages(http, chat_id)[-1]["status"] == "streaming" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert messages(http, chat_id)[-1]["status"] in ("cancelled", "complete")
    assert ask(http, chat_id, "3 + 3")["message"]["content"] == "3 + 3 = 6"


def test_only_chats_ask_skills(http):
    said = {"messages": [{"role": "user", "content": "2 + 2"}], "max_tokens": 4}
    assert http.post("/v1/chat/completions", json=said).json()["usage"]["completion_tokens"] == 4
    answer = http.post("/v1/responses", json={"input": "2 + 2", "max_output_tokens": 4}).json()
    assert answer["usage"]["output_tokens"] == 4


def test_the_daemon_tells_of_itself(http, chat_id):
    model = ask(http, chat_id, "which model are you?")["message"]["content"]
    assert "The model is bytes:" in model
    assert "cannot open any network connection" in ask(http, chat_id, "are you online?")["message"]["content"]
    names = [view["name"] for view in http.get("/v1/skills").json()["data"]]
    assert names[:3] == ["care", "clock", "calculator"]


def test_what_was_missed_is_told_at_once_and_late(http):
    told = http.get("/v1/reminders/told", headers={"prefer": "wait=20"}).json()["data"]
    bread = next(r for r in told if r["text"] == "the bread")
    assert bread["done"]
    assert 3600 <= bread["late_s"] < 3700


def test_reminders_come_and_go(http, ringing, chat_id):
    since = time.time()
    made = http.post("/v1/reminders", json={"text": "remind me to call Ann tomorrow at 9"})
    assert (made.status_code, made.json()["text"]) == (201, "call Ann")
    soon = ask(http, chat_id, "set a tea timer for 1 second")["message"]["content"]
    assert soon.startswith("Timer ")
    [tea] = http.get(f"/v1/reminders/told?since={since}", headers={"prefer": "wait=20"}).json()["data"]
    assert (tea["text"], tea["kind"], tea["done"]) == ("tea, 1 second", "timer", True)
    assert [r["text"] for r in http.get("/v1/reminders").json()["data"]][:2] == ["call Ann", "tea, 1 second"]
    assert "call Ann" in ringing.run("skills", "reminders").stdout
    assert http.delete(f"/v1/reminders/{made.json()['id']}").json() == {"deleted": True}
    for wrong in (made.json()["id"], "x"):
        assert http.delete(f"/v1/reminders/{wrong}").status_code == 404
    for text in ("hello", "cancel all reminders", ""):
        assert http.post("/v1/reminders", json={"text": text}).status_code == 400
    assert http.get("/v1/reminders/told?since=soon").status_code == 400
    asked = http.options("/v1/reminders/told")  # another route's pattern fits that address as well
    assert (asked.status_code, asked.headers["allow"]) == (405, "GET, HEAD")


def test_a_daemon_stays_for_a_reminder_and_then_leaves(daemon):
    """Its idle time is over before it is ready."""
    book = ReminderBook(daemon.home / "data" / "skills" / "reminders")
    book.add("stay", "timer", datetime.now(local_zone()) + timedelta(seconds=1))
    daemon.start("--idle-exit-s", "0.01", wait=False)
    assert daemon.process.wait(timeout=60) == 0
    [entry] = book.entries()
    assert entry.done
    assert entry.fired_at >= entry.due_at
    assert "stay" not in daemon.log.read_text()  # what a person is reminded of is nobody else's to read
