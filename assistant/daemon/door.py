"""Who may come in: a private unix socket, one daemon per socket, and only processes of the same user."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import stat
import struct
from pathlib import Path

from uvicorn.protocols.http.h11_impl import H11Protocol

from assistant import paths
from assistant.errors import AssistantError, DaemonUnavailable, UsageError

log = logging.getLogger(__name__)

BACKLOG = 128


def take_lock() -> int:
    """Hold the one-daemon lock until the process ends; returns the descriptor that holds it.

    Raises DaemonUnavailable when another daemon has it.
    """
    path = paths.daemon_lock()
    paths.ensure_private_dir(path.parent)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(handle, 20).decode("ascii", "replace").strip()
        os.close(handle)
        raise DaemonUnavailable(
            "another daemon is running", where=paths.socket_path(), why=f"process {owner or '?'} holds its lock",
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
                         hint="the daemon serves no network")  # fmt: skip
    return listener


class PeerCheckedProtocol(H11Protocol):
    """HTTP/1.1 that drops every connection of another user before a byte is read."""

    def connection_made(self, transport) -> None:
        sock = transport.get_extra_info("socket")
        pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid not in (os.getuid(), 0):
            log.warning("refused a connection of user %d (process %d)", uid, pid)
            transport.abort()
            return
        super().connection_made(transport)
