"""The daemon as a process: what a service manager sees of it, and what it does when the machine fails it."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

LONG = {"content": "Go on for ever", "max_tokens": 100_000}


def new_chat(http: httpx.Client) -> str:
    return http.post("/v1/chats", json={}).json()["id"]


def events(http: httpx.Client, chat: str, **body):
    with http.stream("POST", f"/v1/chats/{chat}/messages", json=body) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                yield json.loads(line[6:])


def test_it_says_that_it_denies_the_network(running):
    with running.http() as http:
        network = http.get("/readyz").json()["network"]
        found = http.post("/v1/selftest/attest").json()
        last = http.get("/v1/selftest").json()
    assert (network["denied"], network["seccomp"], network["no_new_privs"]) == (True, 2, 1)
    assert network.get("reason") is None
    process = Path(f"/proc/{running.process.pid}")
    fields = dict(line.split(":\t") for line in (process / "status").read_text().splitlines())
    assert (fields["Seccomp"], fields["NoNewPrivs"]) == ("2", "1")
    for thread in (process / "task").iterdir():
        assert "Seccomp:\t2\n" in (thread / "status").read_text()
    refused = {probe["name"]: probe["refused"] for probe in found["probes"] if probe["required"]}
    assert len(refused) >= 8
    assert all(refused.values()), refused
    assert last == {"last": None, "kept": 0}


def test_the_filter_comes_before_any_library(daemon):
    """Nothing of the network's libraries, and nothing native, is loaded when the filter goes on."""
    code = (
        "import sys\nfrom assistant import silence\n"
        "libraries = 'numpy onnxruntime uvicorn starlette httpx ssl asyncio backends sqlite3 msgspec'.split()\n"
        "def told(unfiltered):\n    print(sorted(m for m in sys.modules if m.split('.')[0] in libraries))\n"
        "    raise SystemExit\n"
        "silence.fall_silent = told\nfrom assistant import cli\nsys.argv = ['assistant', 'serve']\ncli.main()"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_a_service_manager_is_told_and_its_socket_is_taken(daemon, tmp_path):
    """sd_listen_fds, READY=1 once it serves, WATCHDOG=1 while it lives, STOPPING=1."""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        daemon.socket.parent.mkdir(mode=0o700)
        listener.bind(str(daemon.socket))
        listener.listen()
        manager.bind(str(daemon.home / "notify"))
        manager.settimeout(60)
        env = daemon.env() | {
            "NOTIFY_SOCKET": str(daemon.home / "notify"),
            "WATCHDOG_USEC": "600000",
            "LISTEN_FDS": "1",
        }
        code = (
            f"import os, sys; os.dup2({listener.fileno()}, 3); os.environ['LISTEN_PID'] = str(os.getpid()); "
            "os.execv(sys.executable, [sys.executable, '-m', 'assistant', 'serve'])"
        )
        with daemon.log.open("ab") as log:
            daemon.process = subprocess.Popen([sys.executable, "-c", code], env=env, pass_fds=[listener.fileno()],
                                              stdout=log, stderr=log, stdin=subprocess.DEVNULL)  # fmt: skip
        # The first request comes before the model is there: it waits, and is answered.
        with daemon.http() as http:
            assert http.get("/v1/chats").status_code == 200
        assert manager.recv(200) == b"READY=1\nSTATUS=serving bytes on cpu"
        assert [manager.recv(200) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        assert daemon.stop() == 0
        left = []
        manager.settimeout(1)
        while not left or not left[-1].startswith(b"STOPPING=1"):
            left.append(manager.recv(200))
        assert daemon.socket.exists(), "the manager's socket was removed"


def test_its_log_suits_the_journal(daemon):
    info = daemon.log.open("ab")
    with info:
        stat = os.fstat(info.fileno())
        env = daemon.env() | {"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}
        command = [sys.executable, "-m", "assistant", "serve"]
        daemon.process = subprocess.Popen(command, env=env, stdout=info, stderr=info, stdin=subprocess.DEVNULL)
    daemon.wait_ready()
    daemon.stop()
    lines = daemon.log.read_text().splitlines()
    assert lines
    assert all(line.startswith(("<6>", "<4>", "<7>")) for line in lines), lines
    assert not any("INFO" in line for line in lines)


def test_a_stop_lets_a_reply_be_finished(daemon):
    daemon.configure('[model]\nname = "bytes"\n[daemon]\ndrain_s = 30\n')
    daemon.start()
    with daemon.http() as http:
        chat = new_chat(http)
        stopped = False
        for step in events(http, chat, content="Tell me", max_tokens=600):
            if step["event"] == "delta" and not stopped:
                daemon.process.terminate()
                stopped = True
    assert (step["event"], step["message"]["status"]) == ("finished", "complete")
    assert step["cost"]["completion_tokens"] == 600
    assert daemon.process.wait(30) == 0
    daemon.start()
    with daemon.http() as http:
        assert http.get(f"/v1/chats/{chat}").json()["messages"][1]["content"] == step["message"]["content"]


def test_a_second_stop_does_not_wait(daemon):
    daemon.configure('[model]\nname = "bytes"\n[daemon]\ndrain_s = 600\n')
    daemon.start()
    with daemon.http() as http:
        for step in events(http, new_chat(http), **LONG):
            if step["event"] == "delta" and daemon.process.poll() is None:
                daemon.process.terminate()
    assert step["message"]["status"] == "interrupted"
    assert step["message"]["content"]
    assert daemon.process.wait(30) == 0


def test_weights_leave_when_idle_and_the_chat_goes_on_as_if_they_had_not(daemon):
    daemon.configure('[model]\nname = "bytes"\n[daemon]\nunload_after_s = 0.5\n')
    daemon.start()
    with daemon.http() as http:
        chat = new_chat(http)
        list(events(http, chat, content="one", max_tokens=10))
        fork = http.post(f"/v1/chats/{chat}/fork", json={}).json()["chat"]["id"]
        *_, awake = events(http, fork, content="two", max_tokens=10, seed=3)
    until = time.monotonic() + 30
    with daemon.http() as http:  # a terminal that only watches does not keep them in memory
        while http.get("/readyz").json()["weights_in_memory"] and time.monotonic() < until:
            time.sleep(0.1)
        assert http.get("/readyz").json()["weights_in_memory"] is False
        *_, slept = events(http, chat, content="two", max_tokens=10, seed=3)
        assert http.get("/readyz").json()["weights_in_memory"] is True
    assert slept["message"]["content"] == awake["message"]["content"]
    assert slept["cost"]["cached_tokens"] == awake["cost"]["cached_tokens"] > 0
    assert "the weights are back after" in daemon.log.read_text()


def test_two_daemons_on_one_history_are_one_too_many(daemon):
    """Another socket, the same state folder: the second would take the first one's replies for interrupted."""
    daemon.start()
    env = {k: v for k, v in os.environ.items() if k != "ASSISTANT_HOME"}
    elsewhere = daemon.home / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    env |= {"STATE_DIRECTORY": str(daemon.home / "state"), "RUNTIME_DIRECTORY": str(elsewhere),
            "CONFIGURATION_DIRECTORY": str(daemon.home / "config")}  # fmt: skip
    second = subprocess.run([sys.executable, "-m", "assistant", "serve"], env=env, capture_output=True, text=True,
                            timeout=60, check=False)  # fmt: skip
    assert second.returncode == 69
    assert f"process {daemon.process.pid} holds its lock" in second.stderr
    assert not (elsewhere / "daemon.sock").exists()
    with daemon.http() as http:
        assert http.get("/readyz").json()["ready"]


def test_a_service_manager_s_socket_is_not_taken_from_it(daemon):
    """Nobody runs, but somebody listens and would start a daemon on demand."""
    daemon.socket.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(daemon.socket))
        listener.listen()
        refused = daemon.run("serve")
    assert refused.returncode == 69
    assert "somebody listens there already" in refused.stderr
    assert daemon.socket.exists()


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare (util-linux) is missing")
def test_a_read_only_data_folder_ends_the_start_and_changes_nothing(daemon):
    state = daemon.home / "state"
    state.mkdir(mode=0o700)
    words = (f"mount --bind {state} {state} && mount -o remount,ro,bind {state} && "
             f"exec {sys.executable} -m assistant serve")  # fmt: skip
    done = subprocess.run(["unshare", "-rm", "sh", "-c", words], env=daemon.env(), capture_output=True, text=True,
                          timeout=60, check=False)  # fmt: skip
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mount namespace here: {done.stderr.strip()}")
    assert done.returncode == 78
    assert done.stderr.count("error:") == 1
    assert str(state) in done.stderr
    assert "Read-only" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(state.iterdir()) == []


def test_out_of_memory_ends_one_reply_and_no_more(daemon):
    """A limit on its memory that is met in the middle of work. Below systemd the kernel would kill it instead."""
    daemon.configure('[model]\nname = "bytes"\n[sampling]\nmax_tokens = 5\n')
    daemon.start()
    pid = daemon.process.pid
    with daemon.http() as http:
        chat = new_chat(http)
        first = list(events(http, chat, content="remember me"))[-1]
        used = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(pid, resource.RLIMIT_AS, (used, resource.RLIM_INFINITY))
        outcome = "died"
        try:
            http.post("/v1/completions", json={"prompt": "x" * 900_000, "max_tokens": 1})
            outcome = "answered"
        except httpx.HTTPError:
            pass
        if daemon.process.poll() is None:
            resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(outcome, daemon.process.poll())
    if daemon.process.poll() is not None:
        daemon.start()
    with daemon.http() as http:
        kept = http.get(f"/v1/chats/{chat}").json()["messages"]
        assert [m["content"] for m in kept] == ["remember me", first["message"]["content"]]
        assert list(events(http, chat, content="still there?"))[-1]["event"] == "finished"


def test_many_readers_while_it_stops_all_get_an_end(daemon):
    daemon.configure('[model]\nname = "bytes"\n[daemon]\ndrain_s = 0.2\n')
    daemon.start()
    ends, begun = [], threading.Barrier(5)

    def read() -> None:
        with daemon.http() as http:
            waited = False
            for step in events(http, new_chat(http), **LONG):
                if step["event"] == "delta" and not waited:
                    waited = bool(begun.wait(30)) or True
            ends.append((step["event"], step["message"]["status"]))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    begun.wait(30)
    daemon.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(30)
    assert ends == [("finished", "interrupted")] * 4
    assert daemon.process.wait(30) == 0


def test_the_tcp_door_is_open_and_no_other_can_be_made(daemon):
    """Its socket listens from before the filter went on."""
    daemon.start("--tcp", "0")
    port = next(line.split("127.0.0.1:")[1].split(";")[0] for line in daemon.log.read_text().splitlines()
                if "listening on 127.0.0.1:" in line)  # fmt: skip
    token = (daemon.home / "state" / "token").read_text().strip()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {token}"},
                      trust_env=False, timeout=30) as http:  # fmt: skip
        network = http.get("/readyz").json()["network"]
        assert http.post("/v1/completions", json={"prompt": "hello", "max_tokens": 3}).status_code == 200
    assert (network["denied"], network["seccomp"]) == (True, 2)
