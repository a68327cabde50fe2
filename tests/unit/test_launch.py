"""Starting a daemon on demand: once, detached, and with a reason when it fails."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from assistant import launch, paths
from assistant.errors import DaemonUnavailable

DAEMON = textwrap.dedent(
    """
    import os, socket, sys, time
    from pathlib import Path
    socket_path, started, delay_s = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    with started.open("a") as file:
        print(os.getpid(), os.getsid(0), os.environ.get("PYTHONSAFEPATH"), file=file)
    print("loading", flush=True)
    time.sleep(delay_s)
    server = socket.socket(socket.AF_UNIX)
    server.bind(socket_path)
    server.listen()
    while True:
        peer, _ = server.accept()
        if peer.recv(1000).startswith(b"GET /healthz"):
            peer.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\n{}")
        peer.close()
    """
)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Path]:
    """A file with one line per daemon process; the processes end with the test."""
    file = tmp_path / "started"
    yield file
    if file.exists():
        for line in file.read_text().splitlines():
            with suppress(ProcessLookupError):
                os.kill(int(line.split()[0]), 9)


def command(started: Path, delay_s: float = 0.0) -> list[str]:
    return [sys.executable, "-c", DAEMON, str(paths.socket_path()), str(started), str(delay_s)]


def test_a_daemon_is_started_once_and_told(started: Path) -> None:
    told: list[str] = []
    assert launch.ensure_daemon(told.append, command=command(started))
    assert told == ["starting the daemon", "the daemon runs"]
    assert launch.serves(paths.socket_path())
    assert not launch.ensure_daemon(told.append, command=command(started))
    assert len(started.read_text().splitlines()) == 1


def test_the_daemon_outlives_the_terminal_and_is_safe_from_the_working_directory(
    started: Path,
) -> None:
    launch.ensure_daemon(command=command(started))
    pid, session, safe_path = started.read_text().split()
    assert session == pid  # its own session: no hang-up, no Ctrl-C from our terminal
    assert safe_path == "1"


def test_the_log_is_private(started: Path) -> None:
    launch.ensure_daemon(command=command(started))
    log = paths.daemon_log()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert log.read_text() == "loading\n"


def test_clients_that_start_together_share_one_daemon(started: Path) -> None:
    told: list[str] = []

    def client(_index: int) -> bool:
        return launch.ensure_daemon(told.append, command=command(started, delay_s=0.3))

    with ThreadPoolExecutor(4) as pool:
        starters = list(pool.map(client, range(4)))
    assert sorted(starters) == [False, False, False, True]
    assert len(started.read_text().splitlines()) == 1
    assert told.count("waiting for the daemon that another client starts") == 3


def test_other_processes_respect_the_lock(started: Path) -> None:
    code = """if True:
        import sys
        from assistant.launch import ensure_daemon
        print(ensure_daemon(command=sys.argv[1:]))"""
    clients = [
        subprocess.Popen(
            [sys.executable, "-c", code, *command(started, delay_s=0.3)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    answers = sorted(client.communicate(timeout=60)[0].strip() for client in clients)
    assert answers == ["False", "True"]
    assert len(started.read_text().splitlines()) == 1


def test_an_early_death_is_told_with_the_log_of_this_start_only() -> None:
    paths.ensure_private_dir(paths.daemon_log().parent)
    paths.daemon_log().write_text("an old story\n")
    code = "import sys; print('no model: it is gone', file=sys.stderr); sys.exit(78)"
    with pytest.raises(DaemonUnavailable) as caught:
        launch.ensure_daemon(command=[sys.executable, "-c", code])
    assert "no model: it is gone" in str(caught.value)
    assert "exit code 78" in str(caught.value)
    assert "an old story" not in str(caught.value)
    assert str(paths.daemon_log()) in (caught.value.hint or "")


def test_a_command_that_cannot_run_is_told() -> None:
    with pytest.raises(DaemonUnavailable, match="cannot start the daemon"):
        launch.ensure_daemon(command=["/nonexistent/python"])


def test_a_daemon_that_never_serves_is_not_waited_for_without_end(started: Path) -> None:
    with pytest.raises(DaemonUnavailable, match="does not serve yet"):
        launch.ensure_daemon(command=command(started, delay_s=600), timeout_s=0.5)


def test_a_stale_socket_file_is_not_a_daemon(started: Path) -> None:
    import socket

    path = paths.socket_path()
    paths.ensure_private_dir(path.parent)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    assert not launch.accepts(path)
    assert not launch.serves(path)


def test_a_started_daemon_that_ends_leaves_no_zombie(started: Path) -> None:
    launch.ensure_daemon(command=command(started))
    pid = int(started.read_text().split()[0])
    os.kill(pid, 9)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, "the ended daemon is still in the process table"
        time.sleep(0.01)


def test_the_real_command_names_this_interpreter() -> None:
    assert launch.serve_command()[:4] == [sys.executable, "-m", "assistant", "serve"]
