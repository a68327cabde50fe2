"""kill -9 at random points while several clients talk, and the count of what was acknowledged and is gone."""

from __future__ import annotations

import json
import random
import threading
import time
from dataclasses import dataclass, field

import httpx

from tests.daemon.conftest import Daemon

CLIENTS = 4
MOST_TURNS = 16  # acknowledged in one life, by all clients together
PATIENCE_S = 20.0


@dataclass
class Told:
    """What the daemon has acknowledged: by id, what must be there for ever."""

    chats: dict[str, str] = field(default_factory=dict)  # id -> title
    users: dict[str, str] = field(default_factory=dict)  # message id -> text
    replies: dict[str, tuple[str, str]] = field(default_factory=dict)  # message id -> (chat id, final text)
    cut: int = 0  # streams that the kill has cut


def cycle(daemon: Daemon, told: Told, seed: int) -> None:
    """Start, talk from several clients, kill at a random moment."""
    rng = random.Random(seed)
    daemon.start()
    stop = threading.Event()
    threads = [threading.Thread(target=_talk, args=(daemon, told, f"{seed}.{i}", stop)) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    wanted, deadline = len(told.users) + rng.randrange(MOST_TURNS), time.monotonic() + PATIENCE_S
    while len(told.users) < wanted and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(rng.uniform(0.0, 0.05))  # anywhere within a turn
    daemon.kill()
    stop.set()
    for thread in threads:
        thread.join(30)


def _talk(daemon: Daemon, told: Told, name: str, stop: threading.Event) -> None:
    try:
        with daemon.http() as http:
            chat_id = http.post("/v1/chats", json={"title": name}).json()["id"]
            told.chats[chat_id] = name
            turn = 0
            while not stop.is_set():
                turn += 1
                _turn(http, told, chat_id, f"{name} says {turn}")
    except (httpx.HTTPError, KeyError, ValueError):
        return  # the kill


def _turn(http: httpx.Client, told: Told, chat_id: str, text: str) -> None:
    message_id, reply = "", ""
    body = {"content": text, "max_tokens": 60}
    try:
        with http.stream("POST", f"/v1/chats/{chat_id}/messages", json=body) as answer:
            for line in answer.iter_lines():
                if not line.startswith("data: {"):
                    continue
                event = json.loads(line[6:])
                if event["event"] == "started":
                    told.users[event["user_message"]["id"]] = text
                    message_id = event["message_id"]
                elif event["event"] == "delta":
                    reply += event["text"]
                elif event["event"] == "finished":
                    told.replies[message_id] = (chat_id, event["message"]["content"])
    except httpx.HTTPError:
        told.cut += 1
        raise


def missing(daemon: Daemon, told: Told) -> list[str]:
    """What was acknowledged and is not as it was; the daemon runs. A reply that was cut must not read as complete."""
    gone, seen = [], {}
    with daemon.http() as http:
        for chat_id, title in told.chats.items():
            answer = http.get(f"/v1/chats/{chat_id}")
            if answer.status_code != 200 or answer.json()["chat"]["title"] != title:
                gone.append(f"chat {title}")
                continue
            for message in answer.json()["messages"]:
                seen[message["id"]] = message
    gone += [f"message '{text}'" for i, text in told.users.items() if seen.get(i, {}).get("content") != text]
    for message_id, (_, text) in told.replies.items():
        found = seen.get(message_id, {})
        if (found.get("content"), found.get("status")) != (text, "complete"):
            gone.append(f"reply {message_id}: {found.get('status')}")
    gone += [f"{m['id']} still streams" for m in seen.values() if m["status"] == "streaming"]
    return gone
