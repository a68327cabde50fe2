"""The program that runs one tool of others in the honeypot: listens, copies what it writes aside, leaves no process.

It gets its order as JSON on stdin and answers on stdout; the tool's own terminal is a handle that it inherits. A
program of its own, because only a process of one thread may move into namespaces.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import msgspec

from assistant.audit import processes, writes
from assistant.audit.redact import Redactor
from assistant.selftest import canary, honeypot, namespace
from assistant.selftest.packets import Packet

PR_SET_PDEATHSIG = 1
PORTS = tuple(port for port in honeypot.TCP_SINKS if port < 1024)
"""Where somebody answers. Above, a tool may want to serve itself, and a call is told by its first packet."""
SERVICES = ("/run/docker.sock", "/run/podman", "/run/containerd", "/run/snapd.socket", "/run/cups")
"""Besides the resolvers: who asks there lets another program call."""
DOCUMENTATION = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
GRACE_S = 5.0


class Order(msgspec.Struct, kw_only=True):
    command: list[str]
    handle: int  # the tool's stdin if it is a terminal, its stdout and stderr
    terminal: bool
    seconds: float | None  # to let it run
    linger_s: float  # to listen to what it left behind
    guarded: list[str]  # folders in which nothing may change
    aside: str  # an empty folder for what is written there
    secrets: list[str]  # masked wherever they occur


class Call(msgspec.Struct, kw_only=True):
    """One conversation that the tool tried to begin. All texts are masked."""

    at_s: float
    process: str  # its program and id, without arguments; "" if it was gone before it could be asked
    protocol: str
    address: str
    port: int
    name: str = ""  # looked up, or greeted in TLS or HTTP
    sni: str = ""
    packets: int = 0
    bytes: int = 0
    reach: str = "out"  # out | lan | self: a server of its own | local: a server on this machine that is not there

    @property
    def host(self) -> str:
        return self.sni or self.name or (f"[{self.address}]" if ":" in self.address else self.address) + f":{self.port}"


class Outcome(msgspec.Struct, kw_only=True):
    """What the cage has to tell."""

    canaries: dict[str, bool]
    calls: list[Call]
    started_at: float  # monotonic
    seconds: float
    exit_code: int | None  # None: it ran until we ended it
    left_behind: list[str]  # processes that outlived it, and were ended
    files: list[str]
    start_error: str = ""


class Cage(honeypot.Honeypot):
    """Tells whether an address is this machine's own, and never keeps a process' arguments."""

    def begin(self, packet: Packet) -> honeypot.Attempt:
        owner = honeypot.owner_of(packet.protocol, packet.source_port)
        process = f"{processes.program(owner)} ({owner})" if owner else ""
        attempt = honeypot.Attempt(
            at_s=round(time.monotonic() - self.started_s, 3), process=process,
            protocol=packet.protocol, address=packet.address, port=packet.port, name=self.name_of(packet.address),
        )  # fmt: skip
        if packet.protocol == "udp" and is_loopback(packet.address) and processes.is_bound_udp(packet.port):
            self.own_ports.add(packet.port)
        return attempt

    def answered(self, packet: Packet) -> None:
        if packet.source_port not in PORTS and (packet.accepts or packet.protocol == "udp"):
            self.own_ports.add(packet.source_port)

    def __init__(self) -> None:
        self.own_ports: set[int] = set()  # that somebody in here serves
        super().__init__(PORTS)

    def calls(self, redactor: Redactor) -> list[Call]:
        found = []
        for a in self.take():
            texts = {name: redactor.clean(getattr(a, name)) for name in ("process", "name", "sni")}
            found.append(Call(at_s=a.at_s, protocol=a.protocol, address=a.address, port=a.port, packets=a.packets,
                              bytes=a.bytes, reach=self._reach(a), **texts))  # fmt: skip
        return found

    def _reach(self, attempt: honeypot.Attempt) -> str:
        if attempt.port == 53 or not is_loopback(attempt.address):
            return "lan" if attempt.port != 53 and is_private(attempt.address) else "out"
        return "self" if attempt.port in self.own_ports else "local"


def is_loopback(address: str) -> bool:
    return address.startswith("127.") or address in ("::1", "::ffff:127.0.0.1")


def is_private(address: str) -> bool:
    """An address of a network at home or at work, as far as it is none that the honeypot hands out itself."""
    import ipaddress

    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    ours = ipaddress.ip_network(f"{honeypot.NAMES_NET}/15")
    documentation = [ipaddress.ip_network(net) for net in DOCUMENTATION]
    inside = found.is_private or found.is_multicast
    return inside and not any(found in net for net in (ours, *documentation) if net.version == found.version)


def start(order: Order) -> subprocess.Popen:
    """In a session of its own, so that the terminal's signals are the tool's."""

    def before() -> None:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if order.terminal:
            fcntl.ioctl(order.handle, termios.TIOCSCTTY, 0)

    environment = {k: v for k, v in os.environ.items() if k not in ("CI", "DBUS_SESSION_BUS_ADDRESS")}
    stdin = order.handle if order.terminal else subprocess.DEVNULL
    return subprocess.Popen(order.command, stdin=stdin, stdout=order.handle, stderr=order.handle, env=environment,
                            start_new_session=True, preexec_fn=before)  # fmt: skip


def main() -> int:
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    redactor, ended = Redactor(order.secrets), []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.append(True))
    try:
        namespace.enter([*namespace.RESOLVERS, *hidden()])
        pot = Cage()
    except OSError as error:
        print(f"no network namespace of our own can be made here ({error.strerror or error})", file=sys.stderr)
        return honeypot.EXIT_UNAVAILABLE
    if open_to_it := [folder for folder in order.guarded if not writes.guard(folder, order.aside)]:
        print(f"its writes below {open_to_it[0]} cannot be kept aside on this kernel (overlayfs in a user namespace); "
              "--allow-files lets it write", file=sys.stderr)  # fmt: skip
        return honeypot.EXIT_UNAVAILABLE
    # Only now: a change of the user namespace takes it back.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    processes.adopt()
    os.chdir(Path.cwd())  # into what now lies over the folder
    caught = honeypot.canaries(pot)
    pot.started_s = started_s = time.monotonic()
    exit_code, left, problem = None, [], ""
    try:
        tool = start(order)
    except (OSError, subprocess.SubprocessError) as error:
        problem = str(getattr(error, "strerror", None) or type(error).__name__)
    else:
        exit_code, left = watch(pot, tool, order, ended)
    os.close(order.handle)
    took_s = time.monotonic() - started_s
    calls = pot.calls(redactor)
    caught["one more at the end"] = any(a.name == canary.AFTER for a in honeypot.fly(pot, "python", canary.AFTER))
    files = [redactor.clean(file) for file in writes.found(order.aside, order.guarded)]
    outcome = Outcome(canaries=caught, calls=calls, started_at=started_s, seconds=took_s, exit_code=exit_code,
                      left_behind=[redactor.clean(name) for name in left], files=files,
                      start_error=problem)  # fmt: skip
    sys.stdout.write(msgspec.json.encode(outcome).decode())
    return 0


def watch(pot: Cage, tool: subprocess.Popen, order: Order, ended: list) -> tuple[int | None, list[str]]:
    """Listen to the tool's end, or ours; then to what it left behind; end everything."""
    until_s = pot.started_s + (order.seconds or 1e9)
    while tool.poll() is None and time.monotonic() < until_s and not ended:
        pot.listen(min(until_s, time.monotonic() + 0.5), tool)
    exit_code = tool.poll()
    if exit_code is None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            try:
                os.killpg(tool.pid, number)
            except OSError:
                break
        pot.listen(time.monotonic() + GRACE_S, tool)
        tool.poll()
    left = survivors(tool)
    if left and exit_code is not None:
        quiet_s = min(until_s, time.monotonic() + order.linger_s)
        while processes.descendants() and time.monotonic() < quiet_s and not ended:
            pot.listen(min(quiet_s, time.monotonic() + 0.5))
            processes.reap()
        left = survivors(tool) or left
    processes.kill_descendants()
    pot.listen(time.monotonic() + honeypot.QUIET_S)  # what was under way
    return exit_code, left


def survivors(tool: subprocess.Popen) -> list[str]:
    return [name for process in processes.descendants() if process != tool.pid and (name := processes.program(process))]


def hidden() -> list[str]:
    """Places where another program of this machine could be asked to call."""
    return [place for place in (*SERVICES, f"/run/user/{os.getuid()}") if Path(place).exists()]


if __name__ == "__main__":
    sys.exit(main())
