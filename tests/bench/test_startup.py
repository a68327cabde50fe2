"""How long a person waits: the daemon's cold readiness and the first answer of `ask`, with the embedded model."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time

import httpx
import pytest

from assistant import paths

RUNS = 10

pytestmark = pytest.mark.bench


def ready(socket) -> bool:
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), trust_env=False) as http:
            return http.get("http://localhost/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def report(what: str, seconds: list[float]) -> None:
    low, high = min(seconds), max(seconds)
    print(f"\n{what}: median {statistics.median(seconds):.3f} s, {low:.3f}-{high:.3f} s, n = {len(seconds)}")


def test_cold_readiness(home):
    took = []
    for _ in range(RUNS):
        started = time.perf_counter()
        daemon = subprocess.Popen([sys.executable, "-m", "assistant", "serve"], stderr=subprocess.DEVNULL)
        while not ready(paths.socket_path()):
            assert daemon.poll() is None
            time.sleep(0.005)
        took.append(time.perf_counter() - started)
        daemon.terminate()
        daemon.wait()
    report("daemon start to /readyz 200 (goal < 1.5 s)", took)


def test_first_answer_from_nothing(home):
    took = []
    for _ in range(RUNS):
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "assistant", "ask", "hello", "--json"], capture_output=True, text=True, check=True
        )
        took.append(time.perf_counter() - started)
        assert json.loads(done.stdout)["text"]
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(paths.socket_path())), trust_env=False) as http:
            pid = http.get("http://localhost/readyz").json()["pid"]
        os.kill(pid, signal.SIGTERM)
        while paths.socket_path().exists():
            time.sleep(0.01)
    report("`assistant ask hello`, daemon down, until it has answered", took)
