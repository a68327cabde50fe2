"""What docs/faults.md promises: kill -9, a full disk, a read-only folder, damaged files, a clock that jumps."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

import assistant
from assistant import wire
from assistant.history import History
from tests.soak import kills


def namespaces() -> bool:
    """Whether a mount of our own can be made: as root, or as anybody where user namespaces are allowed."""
    command = ["unshare", *UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(command, capture_output=True).returncode == 0


UNSHARE = ["-m"] if os.getuid() == 0 else ["-rm"]
needs_mount = pytest.mark.skipif(not namespaces(), reason="NOT SHOWN: no mount namespace can be made here")


def start_inside(daemon, mount: str) -> None:
    """Start the daemon in a mount namespace of its own, after the shell line `mount` with $S as the state folder."""
    state = daemon.home / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    script = f'S="{state}"; {mount}; exec "{sys.executable}" -m assistant serve'
    with daemon.log.open("ab") as log:
        daemon.process = subprocess.Popen(["unshare", *UNSHARE, "sh", "-ec", script], env=daemon.env(), stdout=log,
                                          stderr=log, stdin=subprocess.DEVNULL)  # fmt: skip


def ballast_of(daemon) -> Path:
    """A file on the daemon's own disk, which only its namespace mounts."""
    return Path(f"/proc/{daemon.process.pid}/root{daemon.home}/state/ballast")


def fill(ballast: Path) -> None:
    with ballast.open("wb") as file, pytest.raises(OSError, match="No space"):  # noqa: PT012
        while True:
            os.write(file.fileno(), b"\0" * 4096)


def say(http, chat_id: str, text: str = "hello", **fields):
    return http.post(f"/v1/chats/{chat_id}/messages", json={"content": text, "max_tokens": 8} | fields)


def events(answer) -> list[dict]:
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]


def failed_start(daemon) -> str:
    daemon.start(wait=False)
    assert daemon.process.wait(30) == 1
    return daemon.log.read_text()


# --- kill -9 ---


def test_kill_9_at_random_points_loses_nothing_that_was_acknowledged(daemon):
    told = kills.Told()
    for cycle in range(2):
        kills.cycle(daemon, told, seed=cycle)
    daemon.start()
    assert kills.missing(daemon, told) == []
    assert told.users


# --- the disk ---


@needs_mount
def test_a_full_disk_refuses_what_it_cannot_keep_and_takes_it_again_when_there_is_room(daemon):
    start_inside(daemon, 'mount -t tmpfs -o size=1m,mode=700 none "$S"')
    daemon.wait_ready()
    ballast = ballast_of(daemon)
    with daemon.http() as http:
        chat = http.post("/v1/chats", json={}).json()["id"]
        kept = events(say(http, chat, "before"))[-1]["message"]
        fill(ballast)
        refused = None
        for _ in range(50):  # until the database has used up what it had reserved
            refused = say(http, chat, "x" * 3000)
            if refused.status_code != 200:
                break
        assert refused.status_code == 507, refused.text
        assert "free space" in refused.json()["error"]["hint"]
        assert http.get("/healthz").status_code == 200
        shown = http.get(f"/v1/chats/{chat}").json()["messages"]
        assert kept["content"] in [m["content"] for m in shown], "what there is can still be read"
        stateless = http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "x"}]})
        assert stateless.status_code == 200, "what need not be kept is still answered"
        ballast.unlink()
        answer = say(http, chat, "after")
        assert answer.status_code == 200
        assert events(answer)[-1]["event"] == "finished", events(answer)[-1]
        assert http.get(f"/v1/chats/{chat}").json()["messages"][-2]["content"] == "after"


@needs_mount
def test_a_reply_that_finds_the_disk_full_is_told_to_its_reader_and_stored_later(daemon):
    start_inside(daemon, 'mount -t tmpfs -o size=1m,mode=700 none "$S"')
    daemon.wait_ready()
    ballast = ballast_of(daemon)
    with daemon.http() as http:
        chat = http.post("/v1/chats", json={}).json()["id"]
        with http.stream("POST", f"/v1/chats/{chat}/messages", json={"content": "long", "max_tokens": 5000}) as answer:
            lines = answer.iter_lines()
            next(lines)
            fill(ballast)
            told = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
        last = told[-1]
        if last["event"] == "finished":
            pytest.skip("the database had room enough of its own")
        assert last["event"] == "failed"
        text = "".join(e["text"] for e in told if e["event"] == "delta")
        assert len(text) == 5000, "the reader has all of it all the same"
        ballast.unlink()
        assert say(http, http.post("/v1/chats", json={}).json()["id"]).status_code == 200
        stored = http.get(f"/v1/chats/{chat}").json()["messages"][-1]
        assert (stored["content"], stored["status"]) == (text, "complete")


@needs_mount
def test_a_read_only_folder_is_named_at_the_start_with_what_to_do(daemon):
    (daemon.home / "state").mkdir(mode=0o700)
    start_inside(daemon, 'mount --bind "$S" "$S"; mount -o remount,bind,ro "$S"')
    assert daemon.process.wait(30) in (1, 78)
    log = daemon.log.read_text()
    assert "Traceback" not in log
    assert str(daemon.home / "state") in log
    assert "enabled = false" in log
    daemon.configure('[model]\nname = "bytes"\n[history]\nenabled = false\n')
    start_inside(daemon, 'mount --bind "$S" "$S"; mount -o remount,bind,ro "$S"')
    daemon.wait_ready()
    with daemon.http() as http:
        chat = http.post("/v1/chats", json={}).json()["id"]
        assert say(http, chat).status_code == 200


# --- damaged files ---


def with_history(daemon) -> str:
    daemon.start()
    with daemon.http() as http:
        chat = http.post("/v1/chats", json={"title": "precious"}).json()["id"]
        for i in range(12):
            assert say(http, chat, f"message {i} " + "y" * 1500).status_code == 200
    daemon.stop()
    return chat


@pytest.mark.parametrize("where", ["header", "middle"])
def test_a_damaged_database_is_not_touched_and_the_way_out_is_named(daemon, where):
    with_history(daemon)
    file = daemon.home / "state" / "history.sqlite3"
    content = bytearray(file.read_bytes())
    at = 0 if where == "header" else 4096 * (len(content) // 4096 // 2)
    content[at : at + 2000] = b"\xa5" * 2000
    file.write_bytes(content)
    log = failed_start(daemon)
    assert "Traceback" not in log
    assert str(file) in log
    assert file.read_bytes() == content, "nothing in it is changed"
    file.rename(file.with_suffix(".aside"))
    daemon.start()


def test_damaged_checkpoints_cost_a_second_reading_and_nothing_else(daemon):
    chat = with_history(daemon)
    for i, file in enumerate(sorted((daemon.home / "state" / "checkpoints").iterdir())):
        content = file.read_bytes()
        file.write_bytes([b"", content[:100], content[:-5], bytes([content[0] ^ 1]) + content[1:],
                          content[:60] + b"\0" * 30 + content[90:]][i % 5])  # fmt: skip
    daemon.start()
    with daemon.http() as http:
        done = events(say(http, chat, "and now"))[-1]
        assert done["event"] == "finished"
        assert done["cost"]["cached_tokens"] == 0
        assert done["cost"]["prompt_tokens"] > 1000


def weights_file(daemon):
    (file,) = (daemon.home / "data" / "models" / "bytes").glob("*.safetensors")
    return file


@pytest.mark.parametrize("damage", ["cut off", "header", "empty"])
def test_weights_with_a_broken_structure_stop_the_start(daemon, damage):
    file = weights_file(daemon)
    content = file.read_bytes()
    file.write_bytes({"cut off": content[:-1000], "header": content[:50] + b"\0" + content[51:], "empty": b""}[damage])
    log = failed_start(daemon)
    assert "Traceback" not in log
    assert str(file) in log


def test_one_flipped_bit_in_the_weights_stops_the_answers(daemon):
    file = weights_file(daemon)
    content = bytearray(file.read_bytes())
    content[-1000] ^= 4
    file.write_bytes(content)
    daemon.start(wait=False)
    deadline = time.monotonic() + 30
    while "weights are damaged" not in daemon.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    with daemon.http() as http:
        ready = http.get("/readyz")
        assert (ready.status_code, "damaged" in ready.json()["reason"]) == (503, True)
        refused = http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "x"}]})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "damaged_model")
    verified = daemon.run("models", "verify", "bytes")
    assert verified.returncode == 1
    assert "changed" in verified.stdout + verified.stderr


# --- the clock ---


def test_order_and_replies_do_not_depend_on_the_clock(tmp_path, monkeypatch):
    history = History(tmp_path / "h.sqlite3")
    now = [2e9]
    monkeypatch.setattr("assistant.history.store.time.time", lambda: now[0])
    chat = history.create_chat("t")
    user, first = history.add_turn(chat.id, None, "one")
    for jump in (-5e8, 1e9, -9e8):  # decades, back and forth
        now[0] += jump
        other = history.add_reply(chat.id, user.id)
        history.update_reply(other.id, f"at {now[0]}", "complete", "stop", wire.Cost())
    texts = [history.message(first.id).id]
    siblings = [history.message(m["id"]) for m in
                history._rows("SELECT id FROM messages WHERE parent_id = ? ORDER BY rowid", user.id)]  # fmt: skip
    assert [m.sibling_index for m in siblings] == [0, 1, 2, 3], "in the order in which they were written"
    assert texts[0] == siblings[0].id
    assert [m.role for m in history.path(chat.id, siblings[2].id)] == ["user", "assistant"]
    history.close()
    assert sqlite3.connect(tmp_path / "h.sqlite3").execute("SELECT count(*) FROM messages").fetchone() == (5,)


def test_timeouts_and_durations_are_measured_by_a_clock_that_cannot_jump():
    folder = Path(assistant.__file__).parent
    daemon = [folder / "daemon" / name for name in ("connection.py", "lifecycle.py", "answers.py")]
    for file in [*daemon, *(folder / "session").glob("*.py"), folder / "engine.py", folder / "waiting.py"]:
        assert "time.time()" not in file.read_text(), file
