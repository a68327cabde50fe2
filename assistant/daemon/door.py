"""The sockets the daemon listens on: one private unix socket, one daemon per socket, and loopback if asked for."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from pathlib import Path

from assistant import launch, paths
from assistant.errors import AssistantError, ConfigError, DaemonUnavailable, UsageError

BACKLOG = 128
LOOPBACK = "127.0.0.1"


def take_locks(keeps_history: bool = True) -> list[int]:
    """Be the one daemon of this socket and, if it keeps anything there, of this state folder until the process ends.

    Returns the descriptors that hold that. Raises DaemonUnavailable when another daemon is, ConfigError when a folder
    cannot be used.
    """
    files = [paths.daemon_lock(), *([paths.state_lock()] if keeps_history else [])]
    return [_take_lock(path) for path in files]


def _take_lock(path: Path) -> int:
    paths.ensure_private_dir(path.parent)
    try:
        return _locked(path)
    except OSError as error:
        raise ConfigError("cannot write to the folder", where=path.parent, why=error.strerror,
                          hint="nothing was changed; make it writable, set ASSISTANT_HOME, or keep nothing: "
                               "[history] enabled = false") from error  # fmt: skip


def _locked(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(handle, 20).decode("ascii", "replace").strip()
        os.close(handle)
        raise DaemonUnavailable(
            "another daemon is running", where=path.parent, why=f"process {owner or '?'} holds its lock",
            hint="use that one, or stop it first",
        ) from None  # fmt: skip
    os.ftruncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
    return handle


def bind(path: Path) -> socket.socket:
    """Listen on `path`, 0600 in a 0700 folder. Removes what is there only if it is a socket (of a dead daemon).

    Call it with the lock held. Raises AssistantError if something else is in the way.
    """
    paths.ensure_private_dir(path.parent)
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise AssistantError("cannot listen", where=path, why="it exists and is not a socket",
                                 hint="move it away: nothing of it is touched")  # fmt: skip
        if launch.accepts(path):  # not a dead daemon's: a service manager's that starts one on demand
            raise DaemonUnavailable("somebody listens there already", where=path,
                                    hint="use it; `assistant service status` tells more")  # fmt: skip
        path.unlink()
    except FileNotFoundError:
        pass
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # so that it is never wider, not even for a moment
    try:
        listener.bind(os.fspath(path))
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    return listener


def inherited(fd: int) -> socket.socket:
    """The listening socket a service manager passed us. Raises UsageError if it is not a unix socket."""
    try:
        listener = socket.socket(fileno=os.dup(fd))
    except OSError as error:
        raise UsageError(f"file descriptor {fd} is not a socket", why=error.strerror) from error
    if listener.family != socket.AF_UNIX or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise UsageError(f"file descriptor {fd} is not a listening unix socket",
                         hint="TCP is opened with --tcp, on loopback only")  # fmt: skip
    return listener


def bind_loopback(port: int) -> socket.socket:
    """Listen on 127.0.0.1, and on nothing that another machine could reach. Raises AssistantError."""
    try:
        return socket.create_server((LOOPBACK, port), backlog=BACKLOG)
    except OSError as error:
        raise AssistantError("cannot listen on TCP", where=f"{LOOPBACK}:{port}", why=error.strerror or error,
                             hint="choose another port: --tcp PORT") from error  # fmt: skip
