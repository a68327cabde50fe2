"""States of the embedded model: exported, imported, forked; and a state says what the text it stands for says."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.daemon.conftest import Daemon


@pytest.fixture(scope="module")
def embedded():
    home = Path(tempfile.mkdtemp(prefix="a-", dir="/tmp"))
    daemon = Daemon(home).start()
    yield daemon
    daemon.kill()
    shutil.rmtree(home)


def say(http, chat_id: str, text: str) -> dict:
    answer = http.post(f"/v1/chats/{chat_id}/messages", json={"content": text, "temperature": 0, "max_tokens": 30})
    assert answer.status_code == 200, answer.text
    return http.get(f"/v1/chats/{chat_id}").json()["messages"][-1]


@pytest.fixture(scope="module")
def exported(embedded):
    """(chat id, what it answers to "And you?", its file before that)."""
    with embedded.http() as http:
        chat = http.post("/v1/chats", json={"title": "kept"}).json()
        reply = say(http, chat["id"], "My name is Ann.")
        file = http.get(f"/v1/states/{reply['id']}")
        assert file.status_code == 200
        return chat["id"], say(http, chat["id"], "And you?")["content"], file.content


def test_an_imported_state_goes_on_as_the_original_without_reading_again(embedded, exported):
    _, wanted, file = exported
    with embedded.http() as http:
        imported = http.post("/v1/states", content=file)
        assert imported.status_code == 201
        view = imported.json()
        assert view["chat"]["title"] == "kept"
        assert [m["role"] for m in view["messages"]] == ["user", "assistant"]
        assert view["messages"][0]["content"] == "My name is Ann."
        reply = say(http, view["chat"]["id"], "And you?")
        assert reply["content"] == wanted
        assert reply["cost"]["cached_tokens"] > reply["cost"]["prompt_tokens"]


def test_it_moves_to_another_daemon_by_the_command_line(exported, embedded, tmp_path):
    chat_id, wanted, _ = exported
    home = Path(tempfile.mkdtemp(prefix="a-", dir="/tmp"))
    other = Daemon(home).start()
    try:
        with embedded.http() as http:
            fork = http.get(f"/v1/chats/{chat_id}").json()["messages"][1]["id"]
            forked = http.post(f"/v1/states/{fork}/fork", json={}).json()
            assert len(forked["messages"]) == 2
        file = tmp_path / "kept.safetensors"
        done = embedded.run("states", "export", forked["chat"]["id"], "-o", str(file))
        assert (done.returncode, done.stdout.strip()) == (0, str(file)), done.stderr
        assert file.stat().st_mode & 0o077 == 0, "it holds what was said"
        again = embedded.run("states", "export", forked["chat"]["id"], "-o", str(file))
        assert (again.returncode, "exists" in again.stderr) == (2, True), "no file is overwritten"
        done = other.run("states", "import", str(file))
        assert done.returncode == 0, done.stderr
        with other.http() as http:
            assert say(http, done.stdout.strip(), "And you?")["content"] == wanted
        file.write_bytes(file.read_bytes()[:-100])
        done = other.run("states", "import", str(file))
        assert (done.returncode, "damaged" in done.stderr) == (1, True), done.stderr
    finally:
        other.kill()
        shutil.rmtree(home)


def test_a_file_of_another_model_or_with_a_flipped_bit_is_refused(embedded, exported, running):
    file = exported[2]
    with running.http() as http:
        refused = http.post("/v1/states", content=file)
    assert refused.status_code in (409, 413), refused.text
    with embedded.http() as http:
        for at in (2, 100, len(file) // 2, len(file) - 1):
            damaged = bytearray(file)
            damaged[at] ^= 16
            refused = http.post("/v1/states", content=bytes(damaged))
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_state_file")
        assert http.post("/v1/states", content=b"x" * (8 << 20)).status_code == 413
        assert http.get("/v1/states/nope").status_code == 404
        users = http.get(f"/v1/chats/{exported[0]}").json()["messages"][0]["id"]
        assert http.get(f"/v1/states/{users}").status_code == 409


def test_a_stored_response_says_what_its_text_says(embedded):
    with embedded.http() as http:

        def ask(**fields) -> dict:
            answer = http.post("/v1/responses", json={"temperature": 0, "max_output_tokens": 24} | fields)
            assert answer.status_code == 200, answer.text
            return answer.json()

        text = lambda response: response["output"][0]["content"][0]["text"]  # noqa: E731
        first = ask(input="One", instructions="Be brief")
        second = ask(input="Two", instructions="Be brief", previous_response_id=first["id"])
        assert second["usage"]["input_tokens_details"]["cached_tokens"] > 0
        said = [{"role": "user", "content": "One"}, {"role": "assistant", "content": text(first)},
                {"role": "user", "content": "Two"}]  # fmt: skip
        for store in (True, False):
            assert text(ask(input=said, instructions="Be brief", store=store)) == text(second)
