"""What takes minutes: a million bad inputs, 64 clients, 200 kills, every operation of the API. `make soak` runs it.

The numbers are printed; SOAK_SHARE=0.1 makes all of it ten times shorter.
"""

from __future__ import annotations

import os
import time

import pytest

from tests.soak import api_run, crowd, fuzz, kills

pytestmark = pytest.mark.soak
SHARE = float(os.environ.get("SOAK_SHARE", "1"))
INPUTS = int(1_250_000 * SHARE)
BAD_INPUTS = int(1_000_000 * SHARE)
CROWD_S = 300 * SHARE
KILLS = int(200 * SHARE)
GROWTH_MB = 48
"""What the daemon may still grow by after a quarter of the time: its caches are full by then."""


def test_fuzz():
    started = time.perf_counter()
    done = fuzz.campaign(INPUTS, os.cpu_count() or 1)
    print("\n" + fuzz.table(done, time.perf_counter() - started))
    assert fuzz.bad(done) >= BAD_INPUTS


def test_crowd(daemon):
    report = crowd.run(daemon, clients=64, seconds=CROWD_S)
    print(f"\n64 clients for {CROWD_S:.0f} s: {report}")
    assert report.wrong == []
    assert report.lost == []
    assert report.done["completions"] > 100 * SHARE
    assert report.rss_mb[-1] < report.rss_mb[0] + GROWTH_MB


def test_kills(daemon):
    told = kills.Told()
    for cycle in range(KILLS):
        kills.cycle(daemon, told, seed=cycle)
    daemon.start()
    missing = kills.missing(daemon, told)
    print(f"\n{KILLS} kill -9 cycles: {len(told.chats):,} chats, {len(told.users):,} messages and {len(told.replies):,}"
          f" replies acknowledged, {told.cut:,} streams cut; {len(missing)} lost")  # fmt: skip
    assert missing == []
    assert told.cut >= KILLS // 2, "the kills hit nothing"


def test_api(daemon, tmp_path):
    examples = str(max(2, int(30 * SHARE)))
    made = api_run.run(daemon, tmp_path, "--max-examples", examples)
    print(f"\nschemathesis: {made:,} requests over all operations, no failure")
    assert made > 1000 * SHARE
