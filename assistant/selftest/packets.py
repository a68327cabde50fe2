"""What a packet on the loopback says: who sends what to whom, and the name that is called (DNS, TLS, HTTP).

Sources: RFC 791, 8200, 768, 9293, 1035 (question), 8446 section 4.1.2 and 6066 section 3 (server name).
"""

from __future__ import annotations

import re
import socket
import struct
from dataclasses import dataclass

IPV4, IPV6, ICMP, TCP, UDP, ICMP6 = 0x0800, 0x86DD, 1, 6, 17, 58
NAMES = {ICMP: "icmp", TCP: "tcp", UDP: "udp", ICMP6: "icmp6"}
SYN_ACK = 0x12
ETHERNET = 14  # bytes; the loopback has such headers too


@dataclass(frozen=True, slots=True)
class Packet:
    """Ports are 0 where a protocol has none."""

    protocol: str
    source: str
    source_port: int
    address: str
    port: int
    payload: bytes
    accepts: bool = False  # the answer of somebody who listens there (TCP's SYN and ACK)

    @property
    def flow(self) -> tuple[str, str, int, str, int]:
        return self.protocol, self.source, self.source_port, self.address, self.port

    @property
    def answers(self) -> tuple[str, str, int, str, int]:
        """The flow that this packet would be a reply to."""
        return self.protocol, self.address, self.port, self.source, self.source_port


def parse(frame: bytes) -> Packet | None:
    """None for what is nobody's attempt to reach somebody: an answer of the kernel that nobody listens."""
    (kind,) = struct.unpack_from("!H", frame, 12)
    ip = frame[ETHERNET:]
    if kind == IPV4:
        number, rest = ip[9], ip[(ip[0] & 15) * 4 : struct.unpack_from("!H", ip, 2)[0]]
        source, address = socket.inet_ntop(socket.AF_INET, ip[12:16]), socket.inet_ntop(socket.AF_INET, ip[16:20])
    elif kind == IPV6:
        number, rest = ip[6], ip[40:]
        source, address = socket.inet_ntop(socket.AF_INET6, ip[8:24]), socket.inet_ntop(socket.AF_INET6, ip[24:40])
    else:
        return Packet(f"ethertype {kind:#06x}", "", 0, "", 0, ip)
    if (number == ICMP and rest[:1] == b"\3") or (number == ICMP6 and rest[:1] == b"\1"):
        return None
    protocol = NAMES.get(number, f"ip protocol {number}")
    if number not in (TCP, UDP):
        return Packet(protocol, source, 0, address, 0, rest)
    source_port, port = struct.unpack_from("!HH", rest)
    payload = rest[8:] if number == UDP else rest[(rest[12] >> 4) * 4 :]
    accepts = number == TCP and rest[13] & SYN_ACK == SYN_ACK
    return Packet(protocol, source, source_port, address, port, payload, accepts)


def dns_question(message: bytes) -> str | None:
    """The name that a DNS query asks for."""
    at, labels = 12, []
    try:
        while length := message[at]:
            if length > 63:
                return None
            labels.append(message[at + 1 : at + 1 + length].decode("ascii", "replace"))
            at += 1 + length
    except IndexError:
        return None
    return ".".join(labels) or None


def dns_answer(query: bytes, ipv4: str) -> bytes:
    """A reply: `ipv4` for an A question, nothing for any other."""
    end = 12
    while query[end]:
        end += 1 + query[end]
    question = query[12 : end + 5]
    is_a = question[-4:-2] == b"\0\1"
    header = query[:2] + struct.pack("!HHHHH", 0x8180, 1, int(is_a), 0, 0)
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 30, 4) + socket.inet_aton(ipv4) if is_a else b""
    return header + question + record


def server_name(payload: bytes) -> str | None:
    """The host that a TLS ClientHello or an HTTP request names."""
    if payload[:1] == b"\x16" and payload[5:6] == b"\x01":
        return _client_hello_name(payload[9:])
    found = re.match(rb"[A-Z]+ \S+ HTTP/1.*?\r\nhost: *([^\r]+)", payload, re.IGNORECASE | re.DOTALL)
    return found[1].decode("ascii", "replace") if found else None


def _client_hello_name(hello: bytes) -> str | None:
    try:
        at = 34  # version, random
        at += 1 + hello[at]  # session id
        at += 2 + struct.unpack_from("!H", hello, at)[0]  # cipher suites
        at += 1 + hello[at]  # compression methods
        at += 2
        while True:
            kind, length = struct.unpack_from("!HH", hello, at)
            if kind == 0:
                (size,) = struct.unpack_from("!H", hello, at + 7)
                return hello[at + 9 : at + 9 + size].decode("ascii", "replace")
            at += 4 + length
    except (IndexError, struct.error):
        return None
