"""Who comes in by which door: the peer of a connection as the kernel names it, and whether it may enter."""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SO_PEERGROUPS = 59  # linux/asm-generic/socket.h; Python has no name for it
MAX_GROUPS = 256  # what Python reads at most; who is in more enters by the primary group only


@dataclass(frozen=True, slots=True)
class Visitor:
    """The other end of one connection. `uid` and `pid` are the kernel's word, and unknown (None) over TCP."""

    door: str  # unix | tcp
    uid: int | None = None
    pid: int | None = None

    @property
    def key(self) -> str:
        """Requests with the same key share one place in the line: one process, or everybody behind TCP's one token."""
        return f"{self.door}:{self.pid}" if self.pid else self.door


def visitor_of(scope: Mapping[str, Any]) -> Visitor:
    """Whom the connection of an ASGI request belongs to."""
    return scope.get("state", {}).get("visitor") or Visitor("unix")


def visitor(sock: socket.socket) -> Visitor:
    """Ask the kernel who connected."""
    if sock.family != socket.AF_UNIX:
        return Visitor("tcp")
    pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return Visitor("unix", uid, pid)


def may_enter(sock: socket.socket, who: Visitor) -> bool:
    """Over the unix socket: our own user, root, and members of the socket's group if it may write to the socket.

    The last is for a system service, whose administrator says with SocketGroup= and SocketMode= who may use it. The
    mode's bits for others open nothing. TCP is guarded by its token instead.
    """
    if who.door != "unix" or who.uid in (os.getuid(), 0):
        return True
    try:
        info = Path(sock.getsockname()).stat()
    except (OSError, TypeError, ValueError):  # an unnamed or abstract socket has no group
        return False
    return bool(info.st_mode & stat.S_IWGRP) and info.st_gid in _groups(sock)


def _groups(sock: socket.socket) -> set[int]:
    """The peer's group and its supplementary ones, at the time it connected."""
    _pid, _uid, gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, 4 * MAX_GROUPS)
    except OSError:
        raw = b""
    return {gid, *struct.unpack(f"{len(raw) // 4}I", raw)}
