"""The honeypot: who calls is caught with time, process, name, address and bytes, and what is silent is not accused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from assistant.selftest import honeypot
from assistant.selftest.packets import dns_answer, dns_question, parse, server_name

CALLER = """
import socket, ssl
ip = socket.getaddrinfo("telemetry.example.invalid", 443, socket.AF_INET)[0][4][0]
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x" * 100, ("203.0.113.9", 5555))
plain = socket.create_connection((ip, 443))
try: ssl.create_default_context().wrap_socket(plain, server_hostname="telemetry.example.invalid")
except OSError: pass
"""


def catch(*command: str, **options) -> honeypot.Catch:
    try:
        return honeypot.run([sys.executable, "-P", *command], **options)
    except honeypot.HoneypotUnavailable as error:
        pytest.skip(f"HONEYPOT NOT CHECKED: {error}")


def test_whoever_calls_is_named():
    found = catch("-c", CALLER)
    assert found.is_awake, found.canaries
    assert len(found.canaries) >= 6
    assert found.hosts == ["203.0.113.9:5555", "telemetry.example.invalid"]
    look_up = next(a for a in found.attempts if a.port == 53)
    assert (look_up.protocol, look_up.name) == ("udp", "telemetry.example.invalid")
    datagram = next(a for a in found.attempts if a.port == 5555)
    assert (datagram.address, datagram.bytes) == ("203.0.113.9", 100)
    greeting = next(a for a in found.attempts if a.protocol == "tcp")
    assert (greeting.sni, greeting.port) == ("telemetry.example.invalid", 443)
    assert greeting.bytes > 200
    assert "-c" in look_up.process, "the caller is not named"
    assert found.exit_code == 0


def test_silence_is_no_attempt_and_ci_is_not_set(monkeypatch):
    monkeypatch.setenv("CI", "true")
    found = catch("-c", "import os, socket; socket.socketpair(); print(os.environ.get('CI'), os.getuid())")
    assert (found.attempts, found.hosts, found.ci) == ([], [], None)
    assert found.is_awake
    assert found.output.split()[0] == "None"


def test_one_deaf_ear_proves_nothing():
    found = honeypot.Catch(canaries={"a": True, "b": False}, attempts=[], seconds=60, exit_code=0, ci=None, hidden=[])
    assert not found.is_awake
    assert not honeypot.Catch(canaries={}, attempts=[], seconds=60, exit_code=0, ci=None, hidden=[]).is_awake


def test_where_namespaces_are_forbidden_it_says_so():
    """A filter may forbid them, as some containers do."""
    code = """
import sys
from assistant.selftest import honeypot, namespace
def refuse():
    raise PermissionError(1, "Operation not permitted")
namespace.enter = refuse
sys.exit(honeypot.main(["--", "true"]))
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == honeypot.EXIT_UNAVAILABLE
    assert "Operation not permitted" in done.stderr


@pytest.mark.parametrize("cut", [*range(0, 60, 7), 100, 200])
def test_torn_packets_harm_nobody(cut):
    import ssl

    out = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="a.example.invalid")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = out.read()
    assert server_name(hello) == "a.example.invalid"
    assert server_name(hello[:cut]) in (None, "a.example.invalid", "")
    assert server_name(b"GET / HTTP/1.1\r\nHost: b.example.invalid\r\n\r\n") == "b.example.invalid"
    query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x07invalid\x00\x00\x01\x00\x01"
    assert dns_question(query) == "a.invalid"
    dns_question(query[:cut])
    assert dns_answer(query, "198.18.0.1").endswith(b"\xc6\x12\x00\x01")


def test_a_kernel_s_answer_that_nobody_listens_is_no_attempt():
    ethernet = bytes(12) + b"\x08\x00"
    unreachable = ethernet + b"\x45\x00\x00\x1c" + bytes(5) + b"\x01" + bytes(10) + b"\x03\x03" + bytes(6)
    assert parse(unreachable) is None
    ping = unreachable.replace(b"\x03\x03", b"\x08\x00")
    assert parse(ping).protocol == "icmp"
