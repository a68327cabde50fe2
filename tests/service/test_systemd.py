"""The units under a real systemd: activation, watchdog, stop, scores, walls; for the machine and for one user."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.service.machine import Machine

SERVICE, SOCKET = "rwkv-assistant.service", "/run/rwkv-assistant/daemon.sock"
QUESTION = ("--seed", "7", "--max-tokens", "12", "Hello! Who are you?")
HTTP = """
import http.client, socket, sys
class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])
connection = Connection("localhost")
connection.request(sys.argv[2], sys.argv[3], sys.argv[4] or None)
answer = connection.getresponse()
while line := answer.readline():
    print(line.decode().rstrip(), flush=True)
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "WHOLE_SELFTEST" not in os.environ, reason="SYSTEMD NOT CHECKED: set WHOLE_SELFTEST=1 as CI does"
    ),
]


class System:
    """The system-wide service as root sees it."""

    def __init__(self, machine: Machine, python: Path):
        self.machine, self.python = machine, str(python)

    def assistant(self, *words: str, **options) -> subprocess.CompletedProcess:
        return self.machine.run(self.python, "-P", "-m", "assistant", *words, **options)

    def http(self, path: str, method: str = "GET", body: str = "") -> list[str]:
        """The command that sends a request and prints the answer line by line as it comes."""
        return self.machine.enter("python3", "-c", HTTP, SOCKET, method, path, body)

    def ask(self, path: str, method: str = "GET", body: str = "") -> dict:
        done = subprocess.run(self.http(path, method, body), capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise ConnectionError(done.stderr)
        return json.loads(done.stdout)

    def pid(self) -> int:
        return int(self.machine.show(SERVICE, "MainPID"))


@pytest.fixture(scope="module")
def system(machine: Machine, installed: Path) -> System:
    it = System(machine, installed)
    it.machine.write("/etc/rwkv-assistant/config.toml", '[backend]\nname = "sluggish"\n[daemon]\ndrain_s = 1\n')
    # Quicker than ours, so that the test need not wait for half a minute.
    it.machine.write(f"/etc/systemd/system/{SERVICE}.d/20-test.conf",
                     "[Unit]\nStartLimitIntervalSec=0\n[Service]\nWatchdogSec=2s\nTimeoutAbortSec=2s\n")  # fmt: skip
    done = it.assistant("service", "install", "--system")
    assert "listening on" in done.stdout
    return it


def test_the_first_request_starts_it_and_is_answered(system: System) -> None:
    assert system.machine.show(SERVICE, "ActiveState") == "inactive"
    started = time.monotonic()
    done = system.assistant("ask", "--json", *QUESTION)
    print(f"first answer, process start included, after {time.monotonic() - started:.2f} s")
    assert json.loads(done.stdout.splitlines()[-1])["text"].strip()
    assert system.machine.show(SERVICE, "ActiveState") == "active"
    assert system.machine.show(SERVICE, "StatusText") == "serving embedded on sluggish"


def test_its_walls_hold_and_it_says_so(system: System) -> None:
    found = system.ask("/v1/selftest/attest", "POST", "")
    print(json.dumps(found, indent=1))
    assert found["under_systemd"] is True
    assert [probe["name"] for probe in found["probes"] if not probe["refused"]] == []
    assert len(found["probes"]) >= 11
    assert (found["network"]["denied"], found["network"]["seccomp"], found["network"]["no_new_privs"]) == (True, 2, 1)
    assert found["network"]["namespace"] != system.machine.run("readlink", "/proc/self/ns/net").stdout.strip()
    assert found["uid"] not in (0, 65534)
    status = system.machine.run("cat", f"/proc/{system.pid()}/status").stdout
    assert re.search(r"^Seccomp:\t2$", status, re.MULTILINE)
    assert re.search(r"^CapEff:\t0{16}$", status, re.MULTILINE)
    # What the kernel's filter and the namespace are for, seen from outside: its namespace has no way out.
    routes = system.machine.run("nsenter", "-t", str(system.pid()), "-n", "cat", "/proc/net/route").stdout
    assert len(routes.splitlines()) == 1


def test_members_of_the_group_may_ask_and_nobody_else(system: System) -> None:
    for name in ("alice", "carol"):
        system.machine.run("useradd", "-m", name)
    system.machine.run("usermod", "-aG", "rwkv-assistant-users", "alice")
    done = system.assistant("ask", "--json", *QUESTION, user="alice")  # it has no daemon of its own, so it finds this
    assert json.loads(done.stdout.splitlines()[-1])["text"].strip()
    probe = f"import socket; socket.socket(socket.AF_UNIX).connect({SOCKET!r})"
    refused = system.machine.run("python3", "-c", probe, user="carol", check=False)
    assert "PermissionError" in refused.stderr


def test_status_and_logs_tell_what_there_is(system: System) -> None:
    status = system.assistant("service", "status", "--system").stdout
    for word in ("listening on", "active (running)", "every week", "weights in memory", "denied, Seccomp 2"):
        assert word in status
    log = system.assistant("service", "logs", "--system", "-n", "50").stdout
    assert "ready: embedded on sluggish" in log
    entry = system.machine.run("journalctl", "-u", SERVICE, "-o", "json", "-n", "50").stdout
    priorities = {json.loads(line)["MESSAGE"]: json.loads(line)["PRIORITY"] for line in entry.splitlines()}
    ready = next(message for message in priorities if "ready: embedded" in message)
    assert priorities[ready] == "6"
    assert not ready.startswith("<")


def test_a_hanging_engine_is_killed_and_the_socket_survives(system: System) -> None:
    """The event loop goes on answering all the while: only the engine's thread hangs."""
    before, inode = system.pid(), system.machine.run("stat", "-c", "%i", SOCKET).stdout
    system.machine.run("touch", "/run/rwkv-assistant-daemon/hang")
    assert system.ask("/healthz") == {"status": "ok"}
    system.assistant("ask", "--json", *QUESTION, check=False)  # a client that has no luck
    until = time.monotonic() + 30
    while system.pid() in (0, before) and time.monotonic() < until:
        time.sleep(0.1)
    assert system.pid() != before
    assert system.machine.run("stat", "-c", "%i", SOCKET).stdout == inode
    log = system.machine.run("journalctl", "-u", SERVICE, "-o", "cat").stdout
    assert "Watchdog timeout" in log
    assert "sluggish.py" in log, "the log does not tell where the engine hung"
    done = system.assistant("ask", "--json", *QUESTION)
    assert json.loads(done.stdout.splitlines()[-1])["text"].strip()


def test_a_stop_in_a_stream_keeps_what_there_is(system: System) -> None:
    chat = system.ask("/v1/chats", "POST", "{}")["id"]
    body = json.dumps({"content": "Tell me a long story", "max_tokens": 4000, "temperature": 5, "top_p": 1})
    request = system.http(f"/v1/chats/{chat}/messages", "POST", body)
    reader = subprocess.Popen(request, stdout=subprocess.PIPE, text=True)
    for line in reader.stdout:
        if '"delta"' in line:
            break
    system.machine.run("systemctl", "stop", SERVICE)
    lines = [json.loads(line[6:]) for line in reader.stdout if line.startswith("data: {")]
    reader.wait(30)
    assert lines[-1]["event"] == "finished", "the stream was cut instead of ended"
    assert lines[-1]["message"]["status"] in ("interrupted", "complete")
    assert system.machine.show(SERVICE, "Result") == "success"
    assert system.machine.show(SERVICE, "ActiveState") == "inactive"
    messages = system.ask(f"/v1/chats/{chat}")["messages"]  # this starts it again
    assert messages[1]["content"] == lines[-1]["message"]["content"] != ""
    assert messages[1]["status"] == lines[-1]["message"]["status"]


def test_kill_9_loses_nothing_and_the_next_request_is_answered(system: System) -> None:
    """What the kernel's out-of-memory killer does as well."""
    chat = system.ask("/v1/chats", "POST", '{"title": "before"}')["id"]
    before = system.pid()
    system.machine.run("kill", "-KILL", str(before))
    titles = {c["id"]: c["title"] for c in _retry(lambda: system.ask("/v1/chats"))["data"]}
    assert titles[chat] == "before"
    assert system.pid() not in (0, before)
    assert int(system.machine.show(SERVICE, "NRestarts")) >= 1


def test_a_wrong_configuration_is_not_started_again_and_again(system: System) -> None:
    good = system.machine.run("cat", "/etc/rwkv-assistant/config.toml").stdout
    system.machine.run("systemctl", "stop", SERVICE, "rwkv-assistant.socket")
    system.machine.write("/etc/rwkv-assistant/config.toml", "[deamon]\n")
    assert system.machine.run("systemctl", "start", SERVICE, check=False).returncode != 0
    assert system.machine.show(SERVICE, "ExecMainStatus") == "78"
    assert system.machine.show(SERVICE, "NRestarts") == "0"
    log = system.machine.run("journalctl", "-u", SERVICE, "-o", "cat", "-n", "8").stdout
    assert "Did you mean 'daemon'?" in log
    system.machine.write("/etc/rwkv-assistant/config.toml", good)
    system.machine.run("systemctl", "reset-failed", SERVICE)
    system.machine.run("systemctl", "start", "rwkv-assistant.socket")


def test_the_weekly_self_test_proves_it_and_the_daemon_shows_that(system: System) -> None:
    unit = "rwkv-assistant-selftest.service"
    short = f"[Service]\nExecStart=\nExecStart={system.python} -m assistant selftest network-down --seconds 2\n"
    system.machine.write(f"/etc/systemd/system/{unit}.d/20-test.conf", short)
    system.machine.run("systemctl", "daemon-reload")
    system.machine.run("systemctl", "start", unit, check=False)
    log = system.machine.run("journalctl", "-u", unit, "-o", "cat").stdout
    assert "self-test network-down: PASS" in log, log[-3000:]
    assert system.machine.show("rwkv-assistant-selftest.timer", "ActiveState") == "active"
    shown = system.ask("/readyz")["selftest"]
    verdicts = dict.fromkeys(("static", "seccomp", "honeypot", "live"), "PASS")
    assert (shown["verdict"], shown["rungs"], shown["hosts"]) == ("PASS", verdicts, [])
    assert system.ask("/v1/selftest")["kept"] == 1


def test_exposure(system: System) -> None:
    for unit, limit in ((SERVICE, 3), ("rwkv-assistant-selftest.service", 30)):
        done = system.machine.run(
            "systemd-analyze", "security", f"--threshold={limit}", "--no-pager", unit, check=False
        )
        print(done.stdout.splitlines()[-1])
        assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_the_files_are_well_formed(system: System) -> None:
    units = [f"/etc/systemd/system/rwkv-assistant{u}" for u in (".socket", ".service", "-selftest.service",
                                                                "-selftest.timer")]  # fmt: skip
    done = system.machine.run("systemd-analyze", "verify", *units, check=False)
    assert done.returncode == 0, done.stderr
    assert "rwkv-assistant" not in done.stderr, done.stderr


def test_uninstall_leaves_chats_and_no_unit(system: System) -> None:
    done = system.assistant("service", "uninstall", "--system")
    assert "chats and models are kept" in done.stdout
    look = "ls /etc/systemd/system | grep rwkv; ls -d /var/lib/rwkv-assistant"
    left = system.machine.run("sh", "-c", look, check=False)
    assert left.stdout.split()[-1] == "/var/lib/rwkv-assistant"
    assert {name[-2:] for name in left.stdout.split()[:-1]} == {".d"}, "only the test's own drop-ins stay"
    assert system.assistant("service", "status", "--system", check=False).returncode == 69


def test_a_user_s_own_service(machine: Machine, installed: Path) -> None:
    machine.run("useradd", "-m", "bob")
    machine.run("systemctl", "start", "systemd-logind")
    machine.run("loginctl", "enable-linger", "bob")
    machine.run("systemctl", "start", f"user@{machine.run('id', '-u', 'bob').stdout.strip()}.service")
    bob = lambda *words, **more: machine.run(str(installed), "-P", "-m", "assistant", *words, user="bob", **more)  # noqa: E731
    assert "listening on" in bob("service", "install", "--user").stdout
    assert machine.show(SERVICE, "ActiveState", "--user", user="bob") == "inactive"
    answer = json.loads(bob("ask", "--json", *QUESTION).stdout.splitlines()[-1])
    assert answer["text"].strip()
    assert machine.show(SERVICE, "ActiveState", "--user", user="bob") == "active"
    assert "denied, Seccomp 2" in bob("service", "status").stdout
    # The rung that asks the service: no namespace of ours shares its network, and all its probes were refused.
    code = "from assistant.selftest import live; import msgspec; print(msgspec.json.encode(live.climb()).decode())"
    rung = json.loads(machine.run(str(installed), "-P", "-c", code, user="bob").stdout)
    assert rung["verdict"] == "PASS", rung["why"]
    assert [check["name"] for check in rung["checks"] if not check["ok"]] == []
    score = machine.run("systemd-analyze", "--user", "security", "--threshold=10", "--no-pager", SERVICE, user="bob",
                        check=False)  # fmt: skip
    print(score.stdout.splitlines()[-1])
    assert score.returncode == 0, score.stdout.splitlines()[-1]
    second = bob("serve", check=False)
    assert second.returncode == 69
    assert "another daemon is running" in second.stderr
    assert "removed" in bob("service", "uninstall").stdout
    assert bob("models", "list").returncode == 0


def _retry(call, seconds: float = 15.0):
    """Connections that the dead process had accepted are gone with it; the next is answered."""
    until = time.monotonic() + seconds
    while True:
        try:
            return call()
        except ConnectionError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
