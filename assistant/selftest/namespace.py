"""A network namespace of our own, made without privileges, in which every address of the world is this machine.

Sources: unshare(2), user_namespaces(7), rtnetlink(7), netdevice(7). Standard library only.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
RTM_NEWROUTE, NLM_REQUEST_ACK_CREATE = 24, 0x1 | 0x4 | 0x400
RT_TABLE_LOCAL, RTPROT_BOOT, SCOPE_HOST, RTN_LOCAL, RTA_OIF = 255, 3, 254, 2, 4

RESOLVERS = ("/run/systemd/resolve", "/run/nscd", "/run/dbus", "/run/avahi-daemon")
"""Their sockets are files, so no network namespace hides them: who asks there is answered from outside of ours."""


def enter(hidden: Iterable[str] = RESOLVERS) -> None:
    """Move this process (of one thread) into its own namespaces; its user keeps its number. Raises OSError.

    hidden: folders that look empty in there, and files that look like /dev/null.
    """
    libc, uid, gid = ctypes.CDLL(None, use_errno=True), os.getuid(), os.getgid()
    _checked(libc.unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS), "unshare")
    for file, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        Path("/proc/self", file).write_text(text)
    mount("", "/", flags=MS_REC | MS_PRIVATE)
    for path in hidden:
        if Path(path).is_dir():
            mount("tmpfs", path)
        elif Path(path).exists():
            mount("", path, source="/dev/null", flags=MS_BIND)
    _raise_loopback()
    _route_everything_here(socket.AF_INET)
    if Path("/proc/net/if_inet6").exists():
        _route_everything_here(socket.AF_INET6)


def mount(kind: str, where: str, source: str = "none", flags: int = 0, options: str = "") -> None:
    """mount(2), with its errors as OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = [os.fsencode(word) or None for word in (source, where, kind)]
    done = libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(options) or None)
    _checked(done, f"mount on {where}")


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        name = b"lo".ljust(16, b"\0")
        (flags,) = struct.unpack_from("h", fcntl.ioctl(s, SIOCGIFFLAGS, name + bytes(24)), 16)
        fcntl.ioctl(s, SIOCSIFFLAGS, name + struct.pack("h", flags | IFF_UP) + bytes(22))


def _route_everything_here(family: int) -> None:
    """`ip route add local 0.0.0.0/0 dev lo` (or ::/0), because a slim machine has no `ip`."""
    route = struct.pack("BBBBBBBBI", family, 0, 0, 0, RT_TABLE_LOCAL, RTPROT_BOOT, SCOPE_HOST, RTN_LOCAL, 0)
    device = struct.pack("HHI", 8, RTA_OIF, socket.if_nametoindex("lo"))
    header = struct.pack("IHHII", 16 + len(route) + len(device), RTM_NEWROUTE, NLM_REQUEST_ACK_CREATE, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as s:
        s.bind((0, 0))
        s.send(header + route + device)
        (error,) = struct.unpack_from("i", s.recv(4096), 16)
    if error:
        raise OSError(-error, f"cannot add a route: {os.strerror(-error)}")


def _checked(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
