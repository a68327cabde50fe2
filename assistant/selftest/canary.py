"""Canaries: calls to the outside which a working honeypot must catch and a working filter must refuse.

Names end in .invalid (RFC 2606) and addresses are of TEST-NET-1 and 2001:db8::/32 (RFC 5737, 3849): nobody has them,
so even where a canary flies in the open it reaches no one.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import sys

PYTHON, NATIVE, AFTER = "python.canary.invalid", "native.canary.invalid", "after.canary.invalid"
ADDRESS, ADDRESS6, PORT = "192.0.2.7", "2001:db8::7", 9
TIMEOUT_S = 3.0


def python(name: str = PYTHON) -> dict[str, str]:
    """Python's own sockets: a datagram on IPv4 and IPv6, a look-up, a TLS greeting. What became of each."""
    return {
        "udp": _tried(lambda: _datagram(socket.AF_INET, (ADDRESS, PORT))),
        "udp6": _tried(lambda: _datagram(socket.AF_INET6, (ADDRESS6, PORT))),
        "dns": _tried(lambda: socket.getaddrinfo(name, 443)),
        "tls": _tried(lambda: _greet(name)),
    }


def native(name: str = NATIVE) -> dict[str, str]:
    """The C library without Python's socket module: its resolver, and a socket by its bare system call."""
    libc = ctypes.CDLL(None, use_errno=True)
    address = socket.inet_pton(socket.AF_INET, ADDRESS)

    def look_up() -> None:
        result = ctypes.c_void_p()
        if code := libc.getaddrinfo(name.encode(), b"443", None, ctypes.byref(result)):
            raise OSError(code, "getaddrinfo: " + ctypes.string_at(_text(libc, code)).decode())

    def connect() -> None:
        handle = libc.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)
        if handle < 0:
            raise OSError(ctypes.get_errno(), "socket refused")
        where = ctypes.create_string_buffer(b"\2\0" + PORT.to_bytes(2, "big") + address + bytes(8), 16)
        sent = libc.sendto(handle, b"native canary", 13, 0, where, 16)
        libc.close(handle)
        if sent < 0:
            raise OSError(ctypes.get_errno(), "sendto refused")

    return {"dns": _tried(look_up), "udp": _tried(connect)}


def _text(libc: ctypes.CDLL, code: int) -> int:
    libc.gai_strerror.restype = ctypes.c_void_p
    return libc.gai_strerror(code)


def _datagram(family: int, where: tuple) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.sendto(b"canary", where)


def _greet(name: str) -> None:
    import ssl

    plain = socket.create_connection((ADDRESS, 443), TIMEOUT_S)
    with plain, contextlib.suppress(ssl.SSLError, ConnectionError, TimeoutError):  # nobody answers what is sent
        ssl.create_default_context().wrap_socket(plain, server_hostname=name)


def _tried(call) -> str:
    try:
        call()
    except OSError as error:
        return f"refused: {error.strerror or error}"
    return "sent"


if __name__ == "__main__":
    kind, *name = sys.argv[1:]
    {"python": python, "native": native}[kind](*name)
