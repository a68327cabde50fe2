"""Many clients at once: each knows what it must be told, so that a state that leaks from one to another is seen.

What each script of questions is answered is recorded first, alone and in order. Then the crowd asks the same, among
clients that leave in the middle or ask for JSON: every answer must be the one that was recorded.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.daemon.conftest import Daemon

CONFIG = """
[model]
name = "bytes"
[sampling]
max_tokens = 24
temperature = 0.0
[daemon]
max_queue = 48
[history]
checkpoint_cap_mb = 64
"""
SCRIPTS = 24
TURNS = 3
SHAPE = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}


@dataclass
class Report:
    """What the crowd has done and seen."""

    done: Counter = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    kept: dict[str, list[str]] = field(default_factory=dict)  # chat id -> the texts that were acknowledged
    latencies_s: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        times = sorted(self.latencies_s) or [0.0]
        at = lambda share: times[int(share * (len(times) - 1))] * 1e3  # noqa: E731
        counts = ", ".join(f"{n:,} {what}" for what, n in self.done.most_common())
        return (
            f"{counts}; {len(self.wrong)} mixed up, {len(self.lost)} chats lost of {len(self.kept):,};"
            f" latency p50 {at(0.5):.0f} ms, p99 {at(0.99):.0f} ms; memory {self.rss_mb[0]:.0f} MB after a quarter,"
            f" {self.rss_mb[-1]:.0f} MB at the end"
        )


def _script(i: int) -> list[str]:
    return [f"Client {i * 7919 % 1000}, question {turn}: what is {i}?" for turn in range(TURNS)]


def run(daemon: Daemon, clients: int, seconds: float) -> Report:
    """Let the crowd at a fresh daemon. The caller looks at the report."""
    daemon.configure(CONFIG)
    daemon.start()
    report = Report()
    with daemon.http() as http:
        expected = [[_stateless(http, _script(i)[0]), *_chat(http, i, Report(), None)] for i in range(SCRIPTS)]
    assert len({answers[0] for answers in expected}) == SCRIPTS, "the answers do not depend on the questions"
    # Two ways to one answer that share no state: a leak in either shows already here.
    assert all(answers[0] == answers[1] for answers in expected)
    stop = threading.Event()
    threads = [
        threading.Thread(target=_client, args=(daemon, report, expected, seed, stop), daemon=True)
        for seed in range(clients)
    ]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    while (left := started + seconds - time.monotonic()) > 0:
        time.sleep(min(1.0, left))
        if time.monotonic() - started > seconds / 4:
            report.rss_mb.append(_rss_mb(daemon.process.pid))
    stop.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a client still waits for its answer"
    _count_lost(daemon, report)
    return report


def _client(daemon: Daemon, report: Report, expected: list[list[str]], seed: int, stop: threading.Event) -> None:
    rng = random.Random(seed)
    with daemon.http() as http:
        while not stop.is_set():
            i = rng.randrange(SCRIPTS)
            started = time.perf_counter()
            try:
                match rng.randrange(10):
                    case 0:
                        _leave(http, i)
                        report.done["left in the middle"] += 1
                    case 1:
                        _json(http, report)
                    case 2 | 3 | 4:
                        if (told := _stateless(http, _script(i)[0])) != expected[i][0]:
                            report.wrong.append(f"completion {i}: {told!r} instead of {expected[i][0]!r}")
                        report.done["completions"] += 1
                    case _:
                        told = _chat(http, i, report, stop)
                        if told != expected[i][1 : 1 + len(told)]:
                            report.wrong.append(f"chat {i}: {told!r} instead of {expected[i][1:]!r}")
                        report.done["chats"] += 1
            except _Busy as busy:
                report.done["asked to come back later"] += 1
                stop.wait(min(1.0, busy.retry_s) * rng.random())
            except (httpx.HTTPError, KeyError, AssertionError) as error:
                report.wrong.append(f"{type(error).__name__}: {error}")
                return
            else:
                report.latencies_s.append(time.perf_counter() - started)


class _Busy(Exception):
    def __init__(self, answer: httpx.Response):
        self.retry_s = int(answer.headers["retry-after"])


def _post(http: httpx.Client, path: str, body: dict) -> httpx.Response:
    answer = http.post(path, json=body)
    if answer.status_code == 429:
        raise _Busy(answer)
    assert answer.status_code in (200, 201), answer.text
    return answer


def _stateless(http: httpx.Client, question: str) -> str:
    body = {"messages": [{"role": "user", "content": question}]}
    return _post(http, "/v1/chat/completions", body).json()["choices"][0]["message"]["content"]


def _chat(http: httpx.Client, i: int, report: Report, stop: threading.Event | None) -> list[str]:
    """A conversation over its checkpoints; what was acknowledged is written down as it is."""
    chat_id = _post(http, "/v1/chats", {"title": f"script {i}"}).json()["id"]
    kept = report.kept.setdefault(chat_id, [])
    told = []
    for question in _script(i):
        if stop is not None and stop.is_set():
            break
        while True:
            try:
                answer = _post(http, f"/v1/chats/{chat_id}/messages", {"content": question})
                break
            except _Busy as busy:
                report.done["asked to come back later"] += 1
                time.sleep(min(1.0, busy.retry_s) * random.random())
        last = json.loads(_last_event(answer.text))
        assert last["event"] == "finished", last
        kept += [question, last["message"]["content"]]
        if told and not last["cost"]["cached_tokens"]:
            # Its checkpoint was gone. Read as text a reply gets a space before it that a model of noise did not write.
            report.done["read again"] += 1
            break
        told.append(last["message"]["content"])
    return told


def _last_event(text: str) -> str:
    return [line[6:] for line in text.splitlines() if line.startswith("data: {")][-1]


def _leave(http: httpx.Client, i: int) -> None:
    body = {"messages": [{"role": "user", "content": _script(i)[1]}], "stream": True, "max_tokens": 4000}
    with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        if answer.status_code == 429:
            raise _Busy(answer)
        next(answer.iter_lines())


def _json(http: httpx.Client, report: Report) -> None:
    shape = {"type": "json_schema", "json_schema": {"name": "a", "schema": SHAPE}}
    body = {"messages": [{"role": "user", "content": "a?"}], "response_format": shape, "temperature": 2.0}
    text = _post(http, "/v1/chat/completions", body).json()["choices"][0]["message"]["content"]
    if not isinstance(json.loads(text)["a"], int):
        report.wrong.append(f"not the schema: {text!r}")
    report.done["JSON answers"] += 1


def _count_lost(daemon: Daemon, report: Report) -> None:
    with daemon.http() as http:
        for chat_id, texts in report.kept.items():
            stored = [m["content"] for m in http.get(f"/v1/chats/{chat_id}").json()["messages"]]
            if stored[: len(texts)] != texts:
                report.lost.append(chat_id)


def _rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("the daemon is gone")
