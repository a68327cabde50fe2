"""A network of its own where every address is this machine: runs a command in it and tells every packet it sends.

It is run as a program, because only a process of one thread may move into namespaces. Needs no privileges, only that
the kernel allows user namespaces. Canaries of Python and of native code fly before and after: the deaf prove nothing.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from assistant.selftest import canary, namespace
from assistant.selftest.packets import Packet, dns_answer, dns_question, parse, server_name

EVERYTHING = 3  # ETH_P_ALL
TCP_SINKS = (53, 80, 443, 853, 4317, 4318, 8080)  # others are seen by their first packet
IP_PKTINFO, IPV6_RECVPKTINFO, IPV6_PKTINFO = 8, 49, 50
NAMES_NET = "198.18.0.0"  # RFC 2544: each name that is asked for gets an address of its own here
QUIET_S = 0.4


class Attempt(msgspec.Struct, kw_only=True):
    """One conversation that somebody in the honeypot tried to begin."""

    at_s: float  # since the command was started
    process: str  # name and id; "" if it was gone before it could be asked
    protocol: str
    address: str
    port: int
    name: str = ""  # looked up, or greeted in TLS or HTTP
    sni: str = ""
    packets: int = 0
    bytes: int = 0  # payload

    @property
    def host(self) -> str:
        return self.sni or self.name or f"{self.address}:{self.port}"


class Catch(msgspec.Struct, kw_only=True):
    """What a honeypot has to tell."""

    canaries: dict[str, bool]  # what was caught of them, by kind; all must be
    attempts: list[Attempt]
    seconds: float
    exit_code: int | None  # None: it ran until we ended it
    ci: str | None  # the variable CI in the command's environment
    hidden: list[str]  # resolvers' folders that were hidden
    output: str = ""  # the end of what the command wrote

    @property
    def is_awake(self) -> bool:
        return bool(self.canaries) and all(self.canaries.values())

    @property
    def hosts(self) -> list[str]:
        """Whom the command called; a look-up and the connection that follows are one."""
        return sorted({attempt.host for attempt in self.attempts})


class HoneypotUnavailable(Exception):
    """No such network can be made here; the message says why."""


def run(command: list[str], seconds: float | None = None, env: dict[str, str] | None = None,
        timeout_s: float = 1200.0) -> Catch:  # fmt: skip
    """Run the command to its end, or for `seconds` if it has none, and listen. Raises HoneypotUnavailable."""
    arguments = [] if seconds is None else [f"--for={seconds}"]
    environment = {k: v for k, v in (os.environ if env is None else env).items() if k != "CI"}
    done = subprocess.run([sys.executable, "-P", "-m", __name__, *arguments, "--", *command], env=environment,
                          capture_output=True, text=True, timeout=timeout_s, check=False)  # fmt: skip
    if done.returncode == EXIT_UNAVAILABLE:
        raise HoneypotUnavailable(done.stderr.strip().splitlines()[-1])
    if done.returncode:
        raise RuntimeError(f"the honeypot failed: {done.stderr[-2000:]}")
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Catch)


EXIT_UNAVAILABLE = 69


class Honeypot:
    """The listening side, inside of the namespace."""

    def __init__(self, tcp_ports: tuple[int, ...] = TCP_SINKS) -> None:
        self._tcp_ports = tcp_ports
        self.started_s = time.monotonic()
        self.attempts: dict[tuple, Attempt] = {}
        self._past: set[tuple] = set()  # flows of before the last take(): their last packets may come late
        self._names: dict[str, str] = {}  # address -> name that was answered with it
        self._selector = selectors.DefaultSelector()
        self._packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING))
        self._packets.setblocking(False)
        self._selector.register(self._packets, selectors.EVENT_READ)
        for family, everywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            try:
                self._open_sinks(family, everywhere)
            except OSError:
                if family == socket.AF_INET:
                    raise  # a machine without IPv6 is fine

    def _open_sinks(self, family: int, everywhere: str) -> None:
        level, option = (socket.IPPROTO_IP, IP_PKTINFO) if family == socket.AF_INET else (41, IPV6_RECVPKTINFO)
        dns = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            dns.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        dns.setsockopt(level, option, 1)  # so that the answer comes from the address that was asked
        dns.bind((everywhere, 53))
        self._selector.register(dns, selectors.EVENT_READ, self._on_question)
        for port in self._tcp_ports:
            sink = socket.socket(family, socket.SOCK_STREAM)
            if family == socket.AF_INET6:
                sink.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sink.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sink.bind((everywhere, port))
            sink.listen()
            self._selector.register(sink, selectors.EVENT_READ, self._on_caller)

    def listen(self, until_s: float, process: subprocess.Popen | None = None) -> None:
        """Until the time, or until the process has ended and all is quiet."""
        while (left := until_s - time.monotonic()) > 0:
            ready = self._selector.select(min(left, 0.1))
            # All packets first: when a call is answered, its sender has been asked for its name.
            self._drain_packets()
            for key, _ in ready:
                if key.fileobj is not self._packets:
                    key.data(key.fileobj)
            if process and process.poll() is not None:
                process, until_s = None, min(until_s, time.monotonic() + QUIET_S)

    def take(self) -> list[Attempt]:
        """What was caught since the last time."""
        found = list(self.attempts.values())
        self._past |= self.attempts.keys()
        self.attempts = {}
        return found

    # --- what arrives ---

    def _drain_packets(self) -> None:
        while True:
            try:
                frame, address = self._packets.recvfrom(65535)
            except BlockingIOError:
                return
            if address[2] == socket.PACKET_OUTGOING:  # the loopback shows each packet twice
                self._on_packet(parse(frame))

    def _on_packet(self, packet: Packet | None) -> None:
        if packet is None:
            return
        if packet.answers in self.attempts:
            self.answered(packet)
            return
        if {packet.answers, packet.flow} & self._past:
            return
        attempt = self.attempts.get(packet.flow)
        if attempt is None:
            attempt = self.attempts[packet.flow] = self.begin(packet)
        attempt.packets += 1
        attempt.bytes += len(packet.payload)
        if packet.port == 53 and packet.protocol == "udp":
            attempt.name = dns_question(packet.payload) or attempt.name
        attempt.sni = attempt.sni or server_name(packet.payload) or ""

    def begin(self, packet: Packet) -> Attempt:
        """What is known of a conversation from its first packet."""
        owner = owner_of(packet.protocol, packet.source_port)
        return Attempt(
            at_s=round(time.monotonic() - self.started_s, 3), process=f"{_words(owner)} ({owner})" if owner else "",
            protocol=packet.protocol, address=packet.address, port=packet.port,
            name=self.name_of(packet.address),
        )  # fmt: skip

    def answered(self, packet: Packet) -> None:
        """To a conversation that was begun; by our sinks, or by somebody else in here."""

    def name_of(self, address: str) -> str:
        """The name that was answered with this address."""
        return self._names.get(address, "")

    def _on_question(self, dns: socket.socket) -> None:
        query, control, _flags, who = dns.recvmsg(4096, 256)
        if not (name := dns_question(query)):
            return
        address = next((a for a, n in self._names.items() if n == name), None)
        if address is None:
            (net,) = struct.unpack("!I", socket.inet_aton(NAMES_NET))
            address = socket.inet_ntoa(struct.pack("!I", net + 1 + len(self._names)))
            self._names[address] = name
        reply = []
        for level, kind, data in control:
            if kind == IP_PKTINFO:
                reply = [(level, kind, struct.pack("I4s4s", 0, data[8:12], bytes(4)))]
            elif kind == IPV6_PKTINFO:
                reply = [(level, kind, data[:16] + bytes(4))]
        dns.sendmsg([dns_answer(query, address)], reply, 0, who)

    def _on_caller(self, sink: socket.socket) -> None:
        caller, _ = sink.accept()
        self._selector.register(caller, selectors.EVENT_READ, self._on_speech)

    def _on_speech(self, caller: socket.socket) -> None:
        """What is said was read from the packets; nobody gets an answer."""
        self._selector.unregister(caller)
        caller.close()


def owner_of(protocol: str, port: int) -> int | None:
    """Id of the process that has a socket with this local port; None if it is gone already."""
    inodes = set()
    for version in ("", "6"):
        try:
            rows = Path(f"/proc/net/{protocol}{version}").read_text().splitlines()[1:]
        except OSError:
            continue
        inodes |= {fields[9] for fields in map(str.split, rows) if int(fields[1].rpartition(":")[2], 16) == port}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            held = {str(handle.readlink()) for handle in (process / "fd").iterdir()}
        except OSError:
            continue
        if held & {f"socket:[{inode}]" for inode in inodes}:
            return int(process.name)
    return None


def _words(process: int) -> str:
    try:
        return (
            Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")[:120].strip()
        )
    except OSError:
        return ""


def fly(pot: Honeypot, kind: str, name: str) -> list[Attempt]:
    bird = subprocess.Popen([sys.executable, "-P", "-m", "assistant.selftest.canary", kind, name],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    pot.listen(time.monotonic() + 10, bird)
    bird.kill()
    bird.wait()
    return pot.take()


def canaries(pot: Honeypot) -> dict[str, bool]:
    """Let them fly; what was caught of them."""
    python, native = fly(pot, "python", canary.PYTHON), fly(pot, "native", canary.NATIVE)
    caught = {
        "python datagram": any((a.address, a.port) == (canary.ADDRESS, canary.PORT) for a in python),
        "python look-up": any(a.name == canary.PYTHON for a in python),
        "python TLS server name": any(a.sni == canary.PYTHON for a in python),
        "native look-up": any(a.name == canary.NATIVE for a in native),
        "native datagram": any((a.address, a.port) == (canary.ADDRESS, canary.PORT) for a in native),
    }
    if Path("/proc/net/if_inet6").exists():
        caught["python datagram on IPv6"] = any(a.address == canary.ADDRESS6 for a in python)
    return caught


def main(arguments: list[str]) -> int:
    split = arguments.index("--")
    seconds = next((float(a.partition("=")[2]) for a in arguments[:split] if a.startswith("--for=")), None)
    command = arguments[split + 1 :]
    try:
        namespace.enter()
        pot = Honeypot()
    except OSError as error:
        print(f"no network namespace of our own can be made here ({error.strerror or error})", file=sys.stderr)
        return EXIT_UNAVAILABLE
    caught = canaries(pot)
    pot.started_s = time.monotonic()
    environment = {k: v for k, v in os.environ.items() if k != "CI"}
    with os.fdopen(os.memfd_create("output"), "w+b") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
                                   start_new_session=True)  # fmt: skip
        pot.listen(pot.started_s + (seconds or 1e6), process)
        exit_code = process.poll()
        if exit_code is None:
            os.killpg(process.pid, signal.SIGTERM)
        pot.listen(time.monotonic() + 10, process)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        took_s, attempts = time.monotonic() - pot.started_s, pot.take()
        output.seek(0)
        said = output.read().decode("utf-8", "replace")
    caught["one more at the end"] = any(a.name == canary.AFTER for a in fly(pot, "python", canary.AFTER))
    hidden = [folder for folder in namespace.RESOLVERS if Path(folder).is_dir()]
    catch = Catch(canaries=caught, attempts=attempts, seconds=took_s, exit_code=exit_code, ci=environment.get("CI"),
                  hidden=hidden, output=said[-4000:])  # fmt: skip
    print(msgspec.json.encode(catch).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
