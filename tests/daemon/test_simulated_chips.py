"""Chat on a chip that is not here: real tokens over a real daemon, its bill beside the host's time and never mixed."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest


def ask(daemon, *arguments: str) -> dict:
    done = daemon.run("ask", "--json", "--seed", "1", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("backend", ["mythic-m1076", "axelera-metis"])
def test_the_embedded_model_answers_on_it(daemon, backend):
    daemon.configure("")  # the embedded model
    answer = ask(daemon, "--backend", backend, "--max-tokens", "12", "Hello! Who are you?")
    cost, tokens = answer["cost"], answer["usage"]["completion_tokens"]
    assert answer["text"].strip()
    assert (cost["backend"], cost["simulated"]) == (backend, True)
    assert (cost["basis"], cost["energy_basis"]) == ("simulated", "simulated")
    assert cost["device_s"] > 0
    assert cost["energy_j"] > 0
    # The host's speed is what this machine took to simulate; the chip's latency has a field of its own.
    assert cost["tok_s"] == pytest.approx(1000 / cost["ms_per_token"])
    assert cost["decode_s"] > 0
    assert cost["ms_per_token"] * (tokens - 1) >= cost["decode_s"] * 1e3 * 0.5

    with daemon.http() as http:
        ready = http.get("/readyz").json()
    assert ready["backend"]["simulated"] is True
    try:
        other = daemon.run("ask", "--backend", "reference", "hello")
        assert other.returncode == 69
        assert f"computes on '{backend}', not on 'reference'" in other.stderr
        assert f"kill {ready['pid']}" in other.stderr
        assert daemon.run("ask", "--max-tokens", "1", "hello").returncode == 0, "without the option any daemon will do"
    finally:
        os.kill(ready["pid"], signal.SIGTERM)
        deadline = time.monotonic() + 30
        while Path(f"/proc/{ready['pid']}").exists() and time.monotonic() < deadline:  # it still writes to its home
            time.sleep(0.05)


def test_nothing_but_a_request_by_name_chooses_a_simulated_chip(running):
    with running.http() as http:
        assert http.get("/readyz").json()["backend"]["simulated"] is False


def test_an_unknown_backend_lists_what_there_is(daemon):
    done = daemon.run("ask", "--backend", "mythic", "hello")
    assert done.returncode == 69
    assert "there is no backend 'mythic'" in done.stderr
    assert {"axelera-metis,", "mythic-m1076,"} <= set(done.stderr.split())


def test_a_state_computed_on_a_chip_is_not_taken_over_by_another_device(daemon):
    """The chip's noise is in the state: the checkpoints of one device are not those of another."""
    daemon.configure("")
    stops = []
    for backend in ("mythic-m1076", "reference"):
        daemon.start("--backend", backend)
        more = ["--continue"] if stops else []
        answer = ask(daemon, *more, "--max-tokens", "4", "hello")
        stops.append(answer["cost"])
        daemon.stop()
    first, second = stops
    assert second["backend"] == "reference"
    assert second["cached_tokens"] == 0, "the whole chat was read again"
    assert second["prompt_tokens"] > first["prompt_tokens"]
