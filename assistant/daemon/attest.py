"""What this very process must not be able to do, tried: the daemon's own word about its prison."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from assistant import wire

SYS_IO_URING_SETUP = 425  # the same on every architecture since 5.1
RESOLVER = "/run/systemd/resolve/io.systemd.Resolve"
FAMILIES = {"IPv4": socket.AF_INET, "IPv6": socket.AF_INET6, "netlink": socket.AF_NETLINK, "packet": socket.AF_PACKET}


def probes() -> list[wire.Probe]:
    """Blocks for as long as a look-up may take: call it in a thread."""
    found = [
        _probe(f"{name} socket", lambda family=family: socket.socket(family, socket.SOCK_DGRAM).close())
        for name, family in FAMILIES.items()
    ]
    found += [
        _probe("IPv4 socket from native code", _native_socket),
        _probe("connection to this machine's loopback", lambda: socket.create_connection(("127.0.0.1", 9), 1)),
        _probe("look-up of a name", lambda: socket.getaddrinfo("canary.invalid", 443)),
        _probe("io_uring", _io_uring),
        _probe("the system's resolver by its unix socket", _resolver, required=False),
        _probe("writing to /etc", lambda: _write(Path("/etc")), required=False),
        _probe("writing to the home folder", lambda: _write(Path.home()), required=False),
        _probe("memory that is writable and executable", _write_and_execute, required=False),
    ]
    return found


def under_systemd() -> bool:
    """Whether a unit of ours runs this process."""
    try:
        return "rwkv-assistant.service" in Path("/proc/self/cgroup").read_text()
    except OSError:
        return False


def attestation(network: wire.NetworkStatus) -> wire.Attestation:
    return wire.Attestation(network=network, probes=probes(), pid=os.getpid(), uid=os.getuid(), at=time.time(),
                            under_systemd=under_systemd())  # fmt: skip


def _probe(name: str, attempt: Callable[[], object], required: bool = True) -> wire.Probe:
    try:
        attempt()
    except OSError as error:
        return wire.Probe(name=name, refused=True, outcome=error.strerror or str(error), required=required)
    return wire.Probe(name=name, refused=False, outcome="it was possible", required=required)


def _native_socket() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    if handle < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.close(handle)


def _io_uring() -> None:
    libc, parameters = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(120)
    handle = libc.syscall(ctypes.c_long(SYS_IO_URING_SETUP), ctypes.c_long(1), parameters)
    if handle < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.close(handle)


def _resolver() -> None:
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(1)
        s.connect(RESOLVER)


def _write(folder: Path) -> None:
    if os.getuid() == 0 and not under_systemd():
        return  # root may write there, as everybody knows: nothing is tried
    path = folder / f".rwkv-assistant-probe-{os.getpid()}"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    path.unlink()


def _write_and_execute() -> None:
    try:
        mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    except PermissionError as error:
        raise OSError(errno.EPERM, error.strerror) from error
