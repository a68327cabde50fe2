"""What metering costs per token: accounting, histograms, a RAPL sensor, the report and its JSON.

`make bench ARGS=tests/bench/test_meter.py` prints it beside the time of a token of the embedded model, in one run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from assistant.evaluation.command import make_backend
from assistant.meter import Meter
from assistant.meter.energy import EnergyMeter
from assistant.meter.metrics import Metrics
from assistant.meter.power import Rapl
from assistant.models.store import Store
from backends.base import Cost, State

pytestmark = pytest.mark.bench
TOKENS, ROUNDS = 2000, 7
INT4_TOKEN_S = 1.8e-3  # of a 0.1B model, docs/performance.md


def test_what_metering_costs_per_token(tmp_path):
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    for name, value in (("name", "package-0"), ("energy_uj", 5), ("max_energy_range_uj", 1 << 40)):
        (zone / name).write_text(f"{value}\n")
    cost, metrics = Cost(1e-3, 1e-3, 10**8, 10**8), Metrics()

    def whole(meter: Meter, i: int) -> None:
        meter.add(at_s=i * 1e-3, completion_tokens=1, decode_s=9e-4, sample_s=5e-5, text_s=1e-5, cost=cost)
        msgspec.json.encode(meter.report())

    def account(meter: Meter, i: int) -> None:
        meter.add(at_s=i * 1e-3, completion_tokens=1, decode_s=9e-4, sample_s=5e-5, text_s=1e-5, cost=cost)

    cases = {
        "accounting only": (account, lambda: Meter("cpu", "int4", False)),
        "with histograms": (account, lambda: Meter("cpu", "int4", False, observer=metrics)),
        "with RAPL": (account, lambda: Meter("cpu", "int4", False, observer=metrics, claim=claim(tmp_path))),
        "with report and JSON": (whole, lambda: Meter("cpu", "int4", False, observer=metrics, claim=claim(tmp_path))),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, (work, make) in cases.items():
            times[name].append(per_token(work, make()))
    token_s = decode_s()
    print(f"\na token of the embedded model takes {token_s * 1e3:.2f} ms")
    for name, seconds in times.items():
        took = statistics.median(seconds)
        print(f"{name:22} {took * 1e6:6.2f} us per token: {took / INT4_TOKEN_S:.2%} of a token of 0.1B in int4")
    assert statistics.median(times["with report and JSON"]) > 0


def claim(root: Path):
    from assistant.meter.power import Found

    return EnergyMeter(lambda: Found(Rapl(root), ())).claim()


def per_token(work: Callable[[Meter, int], None], meter: Meter) -> float:
    started = time.perf_counter()
    for i in range(1, TOKENS + 1):
        work(meter, i)
    return (time.perf_counter() - started) / TOKENS


def decode_s() -> float:
    backend = make_backend("auto")
    weights = Store().open().weights
    backend.load(weights)
    state, tokens, times = State(weights.config), np.zeros(1, np.int32), []
    for _ in range(200):
        started = time.perf_counter()
        backend.decode(tokens, [state])
        times.append(time.perf_counter() - started)
    backend.close()
    return statistics.median(times)
