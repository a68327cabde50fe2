"""Runs a command in a network of its own where every address is this machine, and tells every packet that it sends.

python honeypot.py SECONDS COMMAND...: needs unprivileged user namespaces and `ip`; prints one JSON object.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time

EVERYTHING = 3  # ETH_P_ALL
CANARY = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.sendto(b'canary', ('192.0.2.7', 9))"
NATIVE_CANARY = ["getent", "ahosts", "canary.invalid"]  # the C library's own resolver


def packets(listener: socket.socket, seconds: float) -> list[str]:
    """Printable parts of the packets that arrive within the time."""
    found, until = [], time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        listener.settimeout(left)
        try:
            content, address = listener.recvfrom(65535)
        except TimeoutError:
            break
        if address[2] == socket.PACKET_OUTGOING:  # the loopback shows each packet twice
            found.append(b" ".join(re.findall(rb"[\w.-]{4,}", content)).decode())
    return found


def main(seconds: float, command: list[str]) -> dict[str, object]:
    for words in ("link set lo up", "route add local 0.0.0.0/0 dev lo", "-6 route add local ::/0 dev lo"):
        subprocess.run(["ip", *words.split()], check=not words.startswith("-6"), capture_output=True)
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING))
    subprocess.run([sys.executable, "-c", CANARY], check=True)
    canary = packets(listener, 0.5)
    resolver = subprocess.Popen(NATIVE_CANARY, stdout=subprocess.DEVNULL)
    native = packets(listener, 1)
    resolver.kill()
    packets(listener, 0.5)
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    caught = packets(listener, seconds)
    alive = process.poll() is None
    process.terminate()
    _, errors = process.communicate()
    caught += packets(listener, 0.5)
    return {"canary": canary, "native_canary": native, "caught": caught, "alive": alive, "errors": errors[-2000:],
            "seconds": time.monotonic() - started, "ci": os.environ.get("CI")}  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(float(sys.argv[1]), sys.argv[2:])))
