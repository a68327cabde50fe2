"""What a running daemon tells of cost: on every event, at /v1/cost, at /metrics, and after it is gone."""

from __future__ import annotations

import json
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.daemon.test_chats import GREEDY, ask, events

PARTS = ("queue_s", "prefill_s", "decode_s", "sample_s", "text_s", "other_s")


@pytest.fixture(scope="module")
def measured(running):
    """The daemon once it knows its wall."""
    with running.http() as http:
        for _ in range(200):
            if "read_bandwidth" in http.get("/metrics").text:
                break
            time.sleep(0.1)
        yield http


def test_every_event_carries_live_figures(measured):
    chat_id = measured.post("/v1/chats", json={}).json()["id"]
    steps = list(events(measured, f"/v1/chats/{chat_id}/messages", content="Count", max_tokens=30))
    costs = [s["cost"] for s in steps if s["event"] in ("delta", "finished")]
    assert len(costs) > 1
    for cost in costs:
        assert sum(cost[part] for part in PARTS) == pytest.approx(cost["elapsed_s"], abs=1e-9)
        assert cost["other_s"] > -1e-6, "no time was counted twice"
        assert all(cost[part] >= 0 for part in PARTS[:-1])
    elapsed = [cost["elapsed_s"] for cost in costs]
    assert elapsed == sorted(elapsed)
    last = costs[-1]
    assert last["ms_per_token_p50"] <= last["ms_per_token_p95"]
    assert last["ttft_s"] <= last["elapsed_s"]
    assert last["bytes_per_token"] > 0
    assert last["gb_s"] > 0
    assert last["wall_share"] == pytest.approx(last["gb_s"] / last["wall_gb_s"])
    assert last["j_per_token"] > 0
    assert last["energy_basis"] in ("modelled", "measured")
    assert last["energy_source"]


def counters(http) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(http.get("/metrics").text):
        for s in family.samples:
            found[s.name + "".join(f"[{v}]" for k, v in s.labels.items() if k in ("kind", "le", "source"))] = s.value
    return found


def test_metrics_count_what_was_answered(measured):
    response = measured.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    before = counters(measured)
    chat_id = measured.post("/v1/chats", json={}).json()["id"]
    ask(measured, chat_id, "One", max_tokens=7)
    body = GREEDY | {"messages": [{"role": "user", "content": "Two"}], "max_tokens": 5}
    assert measured.post("/v1/chat/completions", json=body).status_code == 200
    after = counters(measured)
    gained = {k: v - before.get(k, 0) for k, v in after.items()}
    assert gained["rwkv_assistant_tokens_total[completion]"] == 12
    assert gained["rwkv_assistant_time_to_first_token_seconds_count"] == 2
    assert gained["rwkv_assistant_token_interval_seconds_count"] == 10
    assert (gained["rwkv_assistant_answers_total[chat]"], gained["rwkv_assistant_answers_total[api]"]) == (1, 1)
    assert after["rwkv_assistant_ready"] == 1
    assert after["process_resident_memory_bytes"] > 1e6


def test_the_report_is_the_sum_of_its_messages(measured):
    before = measured.get("/v1/cost?since=today").json()["total"]
    chat_id = measured.post("/v1/chats", json={}).json()["id"]
    costs = [ask(measured, chat_id, f"Part {i}", max_tokens=4 + i)["cost"] for i in range(3)]
    sessions = measured.get("/v1/cost?by=session").json()["rows"]
    mine = next(row for row in sessions if row["key"] == chat_id)["totals"]
    assert mine["answers"] == 3
    for name in ("completion_tokens", "elapsed_s", "macs", "bytes_moved", *PARTS):
        assert mine[name] == pytest.approx(sum(c[name] for c in costs)), name
    assert sum(mine["energy_j"].values()) == pytest.approx(sum(c["energy_j"] for c in costs))
    now = measured.get("/v1/cost?since=today").json()
    assert now["total"]["answers"] == before["answers"] + 3
    assert measured.delete(f"/v1/chats/{chat_id}").status_code == 200
    assert measured.get("/v1/cost?since=today").json()["total"] == now["total"], "sums outlive a chat"
    assert any(note.startswith("joules now: ") for note in now["notes"])


@pytest.mark.parametrize("query", ["by=week", "since=7x", "sinse=7d"])
def test_what_cannot_be_asked(measured, query):
    response = measured.get(f"/v1/cost?{query}")
    assert response.status_code == 400
    assert response.json()["error"]["message"]


def test_the_command_says_the_same_with_and_without_the_daemon(daemon):
    assert "Nothing has been answered yet" in daemon.run("cost").stdout
    daemon.start()
    with daemon.http() as http:
        chat_id = http.post("/v1/chats", json={"title": "Kept"}).json()["id"]
        ask(http, chat_id, "Hello", max_tokens=6)
    live = json.loads(daemon.run("cost", "--json", "--by", "session").stdout)
    daemon.stop()
    later = json.loads(daemon.run("cost", "--json", "--by", "session").stdout)
    assert live["total"] == later["total"]
    assert [r["label"] for r in later["rows"]] == ["Kept"]
    text = daemon.run("cost", "--since", "7d").stdout
    assert "energy" in text
    assert "where the time went" in text
    wrong = daemon.run("cost", "--since", "never")
    assert (wrong.returncode, "is no day" in wrong.stderr) == (2, True)


def test_what_a_killed_daemon_spent_is_not_lost(daemon):
    daemon.configure('[model]\nname = "bytes"\n[sampling]\nmax_tokens = 1000000\n')
    daemon.start()
    with daemon.http() as http:
        chat_id = http.post("/v1/chats", json={}).json()["id"]
        began = time.monotonic()
        for _ in events(http, f"/v1/chats/{chat_id}/messages", content="Go on", max_tokens=1_000_000):
            if time.monotonic() - began > 1.5:
                daemon.kill()
                break
    daemon.start()
    total = json.loads(daemon.run("cost", "--json").stdout)["total"]
    assert total["answers"] == 1
    assert total["completion_tokens"] > 0
