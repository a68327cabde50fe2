"""Rung 4: the service that runs right now attests itself."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from assistant import launch, paths, wire
from assistant.client import call
from assistant.errors import AssistantError
from assistant.selftest.report import FAIL, SKIPPED, Check, Rung

NAME, UNIT = "live", "rwkv-assistant.service"


def climb() -> Rung:
    """SKIPPED if no service listens: nothing is started for it."""
    started, socket = time.monotonic(), paths.client_socket()
    if not launch.accepts(socket):
        return Rung(name=NAME, verdict=SKIPPED, why="no service is running")
    try:
        found = call(lambda client: client.attest(), socket)
    except AssistantError as error:
        return Rung(name=NAME, verdict=FAIL, why=f"the running service does not attest: {error}")
    rung = Rung.of(NAME, checks(found), seconds=time.monotonic() - started)
    rung.egress_bytes = egress_bytes(socket) if found.under_systemd else None
    if rung.egress_bytes:
        rung.verdict, rung.why = FAIL, f"systemd counted {rung.egress_bytes} bytes that left the service"
    return rung


def checks(found: wire.Attestation) -> list[Check]:
    network = found.network
    ours = str(Path("/proc/self/ns/net").readlink())
    listed = [
        Check(name="sockets of the network", ok=network.denied, detail="refused" if network.denied else
              f"NOT refused: {network.reason}"),
        Check(name="seccomp", ok=network.seccomp == 2, detail=f"Seccomp {network.seccomp}"),
        Check(name="no new privileges", ok=network.no_new_privs == 1, detail=f"NoNewPrivs {network.no_new_privs}"),
        Check(name="network namespace", ok=network.namespace != ours, required=False,
              detail=f"{network.namespace}, {'its own' if network.namespace != ours else 'shared with this shell'}"),
    ]  # fmt: skip
    for probe in found.probes:
        listed.append(Check(name=probe.name, ok=probe.refused, detail=probe.outcome, required=probe.required))
    return listed


def egress_bytes(socket: Path) -> int | None:
    """What systemd counted; None where it does not count."""
    if shutil.which("systemctl") is None:
        return None
    scope = "--system" if socket == paths.SYSTEM_SOCKET else "--user"
    done = subprocess.run(["systemctl", scope, "show", UNIT, "-p", "IPEgressBytes", "--value"],
                          capture_output=True, text=True, check=False)  # fmt: skip
    value = done.stdout.strip()
    return int(value) if value.isdigit() and int(value) < 1 << 63 else None
