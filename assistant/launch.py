"""Makes sure that a daemon answers: finds one, or starts one and waits until it serves.

Nothing but the standard library: the probe costs a client less than a millisecond of its start.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from assistant import paths
from assistant.errors import DaemonUnavailable

IDLE_EXIT_S = 900
START_TIMEOUT_S = 60.0
POLL_S = 0.02
LOG_TAIL_LINES = 12


def ensure_daemon(
    on_status: Callable[[str], None] = lambda _text: None,
    *,
    command: Sequence[str] | None = None,
    backend: str | None = None,
    timeout_s: float = START_TIMEOUT_S,
) -> bool:
    """Return once a daemon serves, loaded or still loading; True if this call started it.

    With `backend` the daemon is started on it; one that already runs on another is refused, never replaced: somebody
    else may be talking to it.
    """
    path = paths.client_socket()
    if accepts(path):
        require_backend(path, backend)
        return False
    path = paths.socket_path()
    deadline = time.monotonic() + timeout_s
    paths.ensure_private_dir(path.parent)
    with _launch_lock(path.with_suffix(".launch"), deadline, on_status):
        # Whoever held the lock before us has probably started one.
        if accepts(path):
            require_backend(path, backend)
            return False
        on_status("starting the daemon")
        log = paths.daemon_log()
        paths.ensure_private_dir(log.parent)
        child, log_start = _spawn(command or serve_command(backend), log)
        _await_service(path, child, log, log_start, deadline)
    on_status("the daemon runs")
    return True


def serve_command(backend: str | None = None) -> list[str]:
    command = [sys.executable, "-m", "assistant", "serve", "--idle-exit-s", str(IDLE_EXIT_S)]
    return command if backend is None else [*command, "--backend", backend]


def accepts(path: Path, timeout_s: float = 1.0) -> bool:
    """Whether something listens on the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(timeout_s)
        try:
            probe.connect(os.fspath(path))
        except TimeoutError:
            return True  # its backlog is full: busy, but there
        except OSError:
            return False
    return True


def serves(path: Path, timeout_s: float = 2.0) -> bool:
    """Whether an HTTP server answers /healthz on the socket."""
    status_line = _get(path, "/healthz", timeout_s).partition(b"\r\n")[0]
    return status_line.startswith(b"HTTP/1.") and status_line.split()[1:2] == [b"200"]


def require_backend(path: Path, backend: str | None, timeout_s: float = 5.0) -> None:
    """Raises DaemonUnavailable if the daemon of this socket says that it computes on another backend."""
    if backend is None:
        return
    try:
        ready = json.loads(_get(path, "/readyz", timeout_s).partition(b"\r\n\r\n")[2])
        running, pid = ready["backend"]["name"], int(ready["pid"])
    except (ValueError, KeyError, TypeError):
        return  # it says nothing of a backend; whoever asks it next gets its real answer
    if running != backend:
        raise DaemonUnavailable(
            f"a daemon runs already, and it computes on '{running}', not on '{backend}'",
            where=f"process {pid}",
            hint=f"Stop it with `kill {pid}` (all chats are kept), then try again",
        )


def _get(path: Path, target: str, timeout_s: float) -> bytes:
    """A whole HTTP answer from the socket, at most 64 KiB; empty if nobody answers."""
    request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(timeout_s)
        try:
            probe.connect(os.fspath(path))
            probe.sendall(request)
            return probe.makefile("rb").read(1 << 16)
        except OSError:
            return b""


@contextmanager
def _launch_lock(path: Path, deadline: float, on_status: Callable[[str], None]) -> Iterator[None]:
    """Several clients that start at once must not start several daemons."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        told = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DaemonUnavailable(
                        "another client has been starting the daemon for too long",
                        where=path,
                        hint=f"Look into {paths.daemon_log()}, then try again",
                    ) from None
                if not told:
                    on_status("waiting for the daemon that another client starts")
                    told = True
                time.sleep(POLL_S)
        yield
    finally:
        os.close(handle)  # and with it the lock; the file stays, so that all lock the same one


def _spawn(command: Sequence[str], log: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start the daemon so that it outlives this terminal; its output is appended to the log."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        log_start = os.fstat(handle).st_size
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            start_new_session=True,
            # A folder called `backends` in the working directory must not win over ours.
            env=os.environ | {"PYTHONSAFEPATH": "1"},
        )
    except OSError as error:
        raise DaemonUnavailable("cannot start the daemon", where=command[0], why=error) from error
    finally:
        os.close(handle)
    # Somebody has to wait for a child, or it stays a zombie for as long as we live.
    threading.Thread(target=child.wait, name="daemon-reaper", daemon=True).start()
    return child, log_start


def _await_service(path: Path, child: subprocess.Popen[bytes], log: Path, log_start: int, deadline: float) -> None:
    while not serves(path):
        if (code := child.returncode) is not None:
            # It also leaves when it finds a daemon that another way (systemd) has started.
            if serves(path):
                return
            raise DaemonUnavailable(
                "the daemon ended while it was starting",
                where=f"exit code {code}",
                why=_tail(log, log_start) or "it wrote nothing to its log",
                hint=f"The whole log is {log}; `assistant serve` runs the daemon in this terminal",
            )
        if time.monotonic() > deadline:
            raise DaemonUnavailable(
                "the daemon was started but does not serve yet",
                where=f"process {child.pid}",
                why=_tail(log, log_start),
                hint=f"Try again, or look into {log}",
            )
        time.sleep(POLL_S)


def _tail(log: Path, start: int) -> str:
    """The last lines that this start has written, not what an earlier daemon left there."""
    try:
        with log.open("rb") as file:
            file.seek(max(start, log.stat().st_size - 8192))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return "\n".join(line for line in lines[-LOG_TAIL_LINES:] if line.strip())
