"""Documents over HTTP, for reading only, and in a chat, where they answer instead of the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon.conftest import Daemon


@pytest.fixture(scope="module")
def papers(running: Daemon) -> Path:
    folder = running.home / "papers"
    folder.mkdir()
    (folder / "lease.txt").write_text("RENT\n\nThe monthly rent is 1,140 euros.\n\nPETS\n\nOne dog is permitted.\n")
    (folder / "scan.txt").write_bytes(b"\x00\x01")
    return folder


def test_from_nothing_to_an_answer_while_the_daemon_runs(running: Daemon, papers: Path) -> None:
    with running.http() as http:
        assert http.get("/v1/documents").json() == {"folders": [], "skipped": []}
        assert http.post("/v1/documents/search", json={"query": "rent"}).json() == {"query": "rent", "hits": []}
        none = http.post("/v1/documents/ask", json={"query": "How much is the rent?"}).json()
        assert (none["known"], none["quotes"]) == (False, [])
        assert "assistant docs add" in none["text"]

        assert running.run("docs", "add", str(papers)).returncode == 0
        listing = http.get("/v1/documents").json()
        assert [(f["path"], f["files"], f["skipped"]) for f in listing["folders"]] == [(str(papers), 1, 1)]
        assert listing["skipped"] == [{"path": f"{papers}/scan.txt", "reason": "binary"}]
        (hit,) = http.post("/v1/documents/search", json={"query": "monthly rent"}).json()["hits"]
        assert (hit["quote"]["file"], hit["quote"]["line"]) == (f"{papers}/lease.txt", 3)
        assert "\x02rent\x03" in hit["snippet"]
        told = http.post("/v1/documents/ask", json={"query": "How much is the monthly rent?"}).json()
        assert told["known"]
        assert told["confidence"] > 0.5
        assert told["quotes"][0] == {"file": f"{papers}/lease.txt", "text": "The monthly rent is 1,140 euros.",
                                     "heading": "RENT", "line": 3, "page": None, "state": "current"}  # fmt: skip
        unknown = http.post("/v1/documents/ask", json={"query": "Who painted the ceiling?"}).json()
        assert (unknown["known"], unknown["text"]) == (False, "I don't know: nothing in your documents fits.")

        for wrong in ({}, {"query": 3}, {"query": "a", "limit": 0}, {"query": "x" * 3000}):
            refused = http.post("/v1/documents/ask", json=wrong)
            assert (refused.status_code, "query" in refused.text or "limit" in refused.text) == (400, True)


def test_in_a_chat_a_quote_is_the_reply(running: Daemon, papers: Path) -> None:
    assert running.run("docs", "add", str(papers)).returncode == 0
    with running.http() as http:
        chat = http.post("/v1/chats", json={"title": "rent"}).json()["id"]

        def say(text: str) -> dict:
            assert http.post(f"/v1/chats/{chat}/messages", json={"content": text, "max_tokens": 4}).status_code == 200
            return http.get(f"/v1/chats/{chat}").json()["messages"][-1]

        reply = say("What do my documents say about the monthly rent?")
        assert reply["skill"]["skill"] == "documents"
        assert reply["skill"]["quotes"][0]["line"] == 3
        assert reply["content"] == reply["skill"]["text"]
        assert "“The monthly rent is 1,140 euros.”" in reply["content"]
        assert say("In my documents, who painted the ceiling?")["content"].startswith("I don't know")
        assert say("hello there")["skill"] is None
    assert running.run("docs", "remove", "--all").returncode == 0
