"""`assistant ask` against a real daemon: down, up, and killed in the middle of a reply."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest


def stop_started(daemon) -> None:
    """End the daemon that `ask` has started by itself."""
    with daemon.http() as http:
        os.kill(http.get("/readyz").json()["pid"], signal.SIGTERM)


def test_with_the_daemon_down_it_is_started_and_told(daemon):
    first = daemon.run("ask", "hello")
    assert first.returncode == 0, first.stderr
    assert first.stdout.strip()
    assert "starting the daemon" in first.stderr
    second = daemon.run("ask", "hello", "again", "--json", "--seed", "1")
    assert second.returncode == 0, second.stderr
    assert "starting" not in second.stderr
    answer = json.loads(second.stdout)
    assert answer["usage"]["completion_tokens"] == 40
    assert answer["cost"]["backend"] == "cpu"
    stop_started(daemon)


def test_piped_text_is_the_prompt(daemon):
    daemon.start()
    done = daemon.run("ask", "Sum this up:", "--json", input="line one\nline two\n")
    chat_id = json.loads(done.stdout)["chat_id"]
    with daemon.http() as http:
        assert http.get(f"/v1/chats/{chat_id}").json()["messages"][0]["content"] == "Sum this up:\nline one\nline two"


def test_a_daemon_killed_in_the_reply_leaves_message_and_part(daemon):
    daemon.start()
    command = [sys.executable, "-m", "assistant", "ask", "Tell me all", "--max-tokens", "100000"]
    asking = subprocess.Popen(command, env=daemon.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert asking.stdout.read(10)
    time.sleep(1.5)  # the partial reply is stored twice a second
    daemon.kill()
    _, stderr = asking.communicate(timeout=30)
    assert asking.returncode == 75
    assert "kept" in stderr
    assert "Traceback" not in stderr

    after = daemon.run("ask", "--continue", "and now?", "--json")  # starts a new daemon by itself
    assert after.returncode == 0, after.stderr
    with daemon.http() as http:
        messages = http.get(f"/v1/chats/{json.loads(after.stdout)['chat_id']}").json()["messages"]
    assert [m["content"] for m in messages if m["role"] == "user"] == ["Tell me all", "and now?"]
    assert messages[1]["status"] == "interrupted"
    assert messages[1]["content"]
    assert messages[3]["status"] == "complete"
    stop_started(daemon)


def test_a_second_daemon_is_refused(daemon):
    daemon.start()
    second = daemon.run("serve")
    assert second.returncode == 69
    assert "another daemon is running" in second.stderr
    assert daemon.process.poll() is None
    with daemon.http() as http:
        assert http.get("/healthz").status_code == 200


def test_what_is_no_socket_is_not_touched(daemon):
    daemon.socket.parent.mkdir(mode=0o700)
    daemon.socket.write_text("precious")
    refused = daemon.run("serve")
    assert refused.returncode == 1
    assert "not a socket" in refused.stderr
    assert daemon.socket.read_text() == "precious"


def test_socket_and_folders_are_private(daemon):
    daemon.start()
    assert daemon.socket.stat().st_mode & 0o777 == 0o600
    for folder in (daemon.socket.parent, daemon.home / "state", daemon.home / "state" / "checkpoints"):
        assert folder.stat().st_mode & 0o077 == 0
    assert (daemon.home / "state" / "history.sqlite3").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_another_user_is_refused_even_if_the_path_is_open_to_him(daemon):
    daemon.start()
    for path in (daemon.home, daemon.socket.parent):
        path.chmod(0o755)
    daemon.socket.chmod(0o666)
    probe = (
        "import os, socket; os.setgid(65534); os.setuid(65534); s = socket.socket(socket.AF_UNIX);"
        f"s.connect({str(daemon.socket)!r}); s.settimeout(20);"
        "import sys\ntry: s.sendall(b'GET /healthz HTTP/1.0\\r\\n\\r\\n'); data = s.recv(100)\n"
        "except ConnectionError: data = b''\nsys.exit(len(data))"  # it may be shown the door before it has spoken
    )
    assert subprocess.run([sys.executable, "-c", probe], timeout=30, check=False).returncode == 0
    assert "refused a connection of user 65534" in daemon.log.read_text()


def test_socket_activation_serves_an_inherited_socket(daemon):
    import socket

    daemon.socket.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(daemon.socket))
        listener.listen()
        os.set_inheritable(listener.fileno(), True)
        daemon.start("--fd", str(listener.fileno()), pass_fds=[listener.fileno()])
        assert daemon.stop() == 0
        assert daemon.socket.exists(), "a socket that is not ours was removed"


def test_it_leaves_when_idle(daemon):
    daemon.start("--idle-exit-s", "1", wait=False)
    assert daemon.process.wait(timeout=60) == 0


def test_a_wrong_configuration_ends_the_start_with_a_clear_error(daemon):
    daemon.configure('[model]\nname = "nope"\n')
    missing = daemon.run("serve")
    assert missing.returncode == 69
    assert "nope" in missing.stderr
    daemon.configure('[backend]\nname = "quantum"\n[model]\nname = "bytes"\n')
    unknown = daemon.run("ask", "hi")
    assert unknown.returncode == 69
    assert "quantum" in unknown.stderr
    assert "reference" in unknown.stderr
    assert "Traceback" not in missing.stderr + unknown.stderr
