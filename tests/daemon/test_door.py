"""The door of a real daemon: who gets in, how much, how fast, and in what order."""

from __future__ import annotations

import concurrent.futures
import json
import os
import pwd
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

LIMITS = """
[model]
name = "bytes"
[sampling]
max_tokens = 40
[daemon]
max_batch = 2
max_queue = 8
max_connections = 40
max_prompt_tokens = 2000
max_reply_tokens = 200000
client_timeout_s = 0.6
"""
ASK = {"messages": [{"role": "user", "content": "hi"}], "seed": 1}


@pytest.fixture(scope="module")
def strict(prepared_home):
    """A daemon with tight limits and a TCP port."""
    from tests.daemon.conftest import _daemon

    for daemon in _daemon(prepared_home):
        daemon.configure(LIMITS)
        yield daemon.start("--tcp", "0")


def connect(daemon) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(10)
    made.connect(str(daemon.socket))
    return made


def idle(daemon) -> None:
    """Wait until nothing is being written."""
    with daemon.http() as http:
        for _ in range(400):
            engine = http.get("/readyz").json()["engine"]
            if not engine["live"] and not engine["queued"]:
                return
            time.sleep(0.02)
    raise AssertionError(engine)


# --- who ---


def test_another_user_is_refused_on_the_unix_socket_even_if_the_file_lets_him(strict):
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    nobody = pwd.getpwnam("nobody").pw_uid
    code = (
        # into the folder while that is allowed, so that only the daemon's own check is left
        "import os, socket, sys; os.chdir(sys.argv[1]);"
        f"os.setgroups([]); os.setgid({nobody}); os.setuid({nobody});"
        "s = socket.socket(socket.AF_UNIX); s.connect('daemon.sock');"
        "s.sendall(b'GET /healthz HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'); sys.stdout.write(repr(s.recv(100)))"
    )
    folders = [strict.socket, strict.socket.parent]
    modes = [path.stat().st_mode for path in folders]
    try:
        for path in folders:
            path.chmod(0o777)
        done = subprocess.run([sys.executable, "-c", code, str(strict.socket.parent)], capture_output=True, text=True)
    finally:
        for path, mode in zip(folders, modes, strict=True):
            path.chmod(mode)
    assert done.stdout == "b''" or "ConnectionReset" in done.stderr or "BrokenPipe" in done.stderr, done
    assert "refused a connection of user" in strict.log.read_text()


def test_tcp_listens_on_loopback_only_and_asks_for_the_token(strict):
    port, token = strict.tcp()
    url = f"http://127.0.0.1:{port}/readyz"
    assert httpx.get(url, trust_env=False).status_code == 401
    good = {"authorization": f"Bearer {token}"}
    assert httpx.get(url, headers=good, trust_env=False).status_code == 200
    assert httpx.get(url, headers=good | {"host": "evil.example"}, trust_env=False).status_code == 403
    assert httpx.get(url, headers=good | {"origin": "http://evil.example"}, trust_env=False).status_code == 403
    preflight = httpx.options(url, headers={"origin": "http://evil.example"}, trust_env=False)
    assert preflight.status_code == 403
    assert not [name for name in preflight.headers if name.startswith("access-control")]
    local = {line.split()[1] for line in Path(f"/proc/{strict.process.pid}/net/tcp").read_text().splitlines()[1:]}
    assert f"0100007F:{port:04X}" in local
    assert f"00000000:{port:04X}" not in local


def test_without_the_option_there_is_no_inet_socket(running):
    inodes = set()
    for fd in Path(f"/proc/{running.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            target = str(fd.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    for table in ("tcp", "tcp6", "udp", "udp6"):
        rows = Path(f"/proc/{running.process.pid}/net/{table}").read_text().splitlines()[1:]
        assert not [row for row in rows if row.split()[9] in inodes], table


# --- how much ---


def test_a_body_that_is_too_large_is_refused_before_it_is_read(strict):
    with strict.http() as http:
        refused = http.post("/v1/chat/completions", content=b"x" * (2 << 20))
        assert refused.status_code == 413
        assert refused.json()["error"]["code"] == "too_large"

        def drops():
            for _ in range(400):
                yield b"x" * 8192

        refused = http.post("/v1/chat/completions", content=drops())  # chunked: no length is declared
        assert refused.status_code == 413


def test_headers_that_are_too_large_are_refused_in_our_shape(strict):
    large = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: " + b"a" * 40_000 + b"\r\n\r\n"
    for pause_s, status in ((0, b"431"), (0.05, b"400")):  # at once, and in pieces
        with connect(strict) as s:
            s.sendall(large[:20_000] if pause_s else large)
            time.sleep(pause_s)
            head, _, body = s.makefile("rb").read().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 " + status), head
        assert "head is too large" in json.loads(body)["error"]["message"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[" * 100_000, None),
        (b'{"messages": ' + b"[" * 5000 + b"]" * 5000 + b"}", None),
        (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', None),
        (b'{"messages": [{"role": "user", "content": "\xff"}]}', "invalid_json"),
        (b'{"messages": [{"role": "user", "content": "x"}], "temperature": 1e999}', None),
        (b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": 1' + b"0" * 400 + b"}", None),
        (b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": 99999999}', "out_of_range"),
        (json.dumps({"messages": [{"role": "user", "content": "x" * 3000}]}).encode(), "context_length_exceeded"),
    ],
    ids=["brackets", "nested", "surrogate", "bytes", "infinity", "huge int", "reply tokens", "prompt tokens"],
)  # fmt: skip
def test_hostile_json_is_refused_and_nothing_breaks(strict, body, code):
    with strict.http() as http:
        refused = http.post("/v1/chat/completions", content=body)
        assert refused.status_code == 400, refused.text
        if code:
            assert refused.json()["error"]["code"] == code


def test_more_connections_than_allowed_are_sent_away_and_the_others_live_on(strict):
    held = []
    try:
        answers = []
        for _ in range(44):
            held.append(connect(strict))
        for s in held[-4:]:
            answers.append(s.recv(200))
        assert all(a.startswith(b"HTTP/1.1 503 ") and b"retry-after" in a for a in answers), answers
        held[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert held[0].recv(100).startswith(b"HTTP/1.1 200 ")
    finally:
        for s in held:
            s.close()
    time.sleep(0.1)


# --- how fast ---


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /heal", b"POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
     b"POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"],
    ids=["nothing", "half a line", "half a body", "half a chunk"],
)  # fmt: skip
def test_who_is_slow_to_ask_loses_the_connection(strict, sent):
    with connect(strict) as s:
        s.sendall(sent)
        started = time.monotonic()
        s.makefile("rb").read()  # until the daemon closes
        assert 0.3 < time.monotonic() - started < 8


def test_drops_of_a_header_do_not_buy_time(strict):
    with connect(strict) as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        started = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT012
            while time.monotonic() - started < 8:
                s.sendall(b"X: y\r\n")
                time.sleep(0.05)
        assert time.monotonic() - started < 8


def test_who_reads_nothing_of_a_stream_holds_no_place(strict):
    idle(strict)
    body = json.dumps(ASK | {"stream": True, "max_tokens": 150_000}).encode()
    readers = []
    try:
        for _ in range(2):  # both places of the batch
            s = connect(strict)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            readers.append(s)
        with strict.http() as http:
            answer = http.post("/v1/chat/completions", json=ASK | {"max_tokens": 3})
        assert answer.status_code == 200
        idle(strict)
    finally:
        for s in readers:
            s.close()
    assert "left an answer unread" in strict.log.read_text()


def test_who_leaves_while_waiting_in_line_is_taken_out(strict):
    idle(strict)
    body = json.dumps(ASK | {"max_tokens": 150_000}).encode()
    request = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    asked = [connect(strict) for _ in range(6)]
    for s in asked:
        s.sendall(request)
    with strict.http() as http:
        deadline = time.monotonic() + 5
        while http.get("/readyz").json()["engine"]["queued"] < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert http.get("/readyz").json()["engine"]["queued"] == 4
    for s in asked:
        s.close()
    idle(strict)


# --- in what order ---


def test_a_full_line_says_when_to_come_back(strict):
    idle(strict)
    body = ASK | {"max_tokens": 150_000}
    statuses = []

    def flood(_: int) -> None:
        with strict.http() as http, http.stream("POST", "/v1/chat/completions", json=body | {"stream": True}) as answer:
            statuses.append((answer.status_code, answer.headers.get("retry-after")))
            if answer.status_code == 200:
                stop.wait()

    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(14) as pool:
        for i in range(14):
            pool.submit(flood, i)
        with strict.http() as http:
            try:
                deadline = time.monotonic() + 10
                while len(statuses) < 14 and time.monotonic() < deadline:
                    time.sleep(0.02)
                refused = [retry for status, retry in statuses if status == 429]
                assert len(refused) >= 14 - 2 - 6, statuses  # 2 live, 6 of 8 places for one client
                assert all(1 <= int(retry) <= 60 for retry in refused)
                assert http.get("/readyz").json()["engine"]["queued"] <= 8
            finally:
                stop.set()
    idle(strict)


def test_one_question_is_not_starved_by_a_flood_of_another_client(strict):
    """While one client keeps the line full, another's question is next when a place is free."""
    idle(strict)
    done: list[str] = []

    def ask(name: str, user: str) -> None:
        with strict.http() as http:
            answer = http.post("/v1/chat/completions", json=ASK | {"max_tokens": 1000, "user": user})
            assert answer.status_code == 200, answer.text
            done.append(name)

    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        jobs = [pool.submit(ask, f"flood {i}", "flood") for i in range(8)]  # 2 live, 6 in line
        with strict.http() as http:
            deadline = time.monotonic() + 5
            while http.get("/readyz").json()["engine"]["queued"] < 6 and time.monotonic() < deadline:
                time.sleep(0.005)
        jobs.append(pool.submit(ask, "one", "one"))
        for job in jobs:
            job.result(60)
    assert done.index("one") <= 4, done
