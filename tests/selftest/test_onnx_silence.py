"""ONNX Runtime at work for a while, in a network where nothing is missed: it sends no packet and leaves no file.

`ONNX_SILENCE_S=60 make test` listens for a minute, as CI does. Control, by hand: onnxruntime 1.31 without our switch
leaves four files under HOME at once and looks up a host of its maker after some 10 s.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HONEYPOT = Path(__file__).parent / "honeypot.py"
ROOT = Path(__file__).parent.parent.parent
SECONDS = float(os.environ.get("ONNX_SILENCE_S", "8"))
AT_WORK = """
import time
import numpy as np
from backends.base import State
from backends.onnx import OnnxBackend
from tests.synthetic import TINY, synthetic_weights

backend, state = OnnxBackend(), State(TINY)
backend.load(synthetic_weights(TINY))
while True:
    backend.prefill(np.arange(8), state)
    backend.decode(np.array([1]), [state])
    time.sleep(0.2)
"""


def namespaces() -> str | None:
    """Why the honeypot cannot be set up here, if it cannot."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        return "SILENCE NOT CHECKED: unshare (util-linux) or ip (iproute2) is missing"
    done = subprocess.run(["unshare", "-rn", "ip", "link", "set", "lo", "up"], capture_output=True, text=True)
    return None if done.returncode == 0 else f"SILENCE NOT CHECKED: no network namespace ({done.stderr.strip()})"


@pytest.mark.slow
def test_no_packet_and_no_file(tmp_path):
    if why := namespaces():
        pytest.skip(why)
    # What would silence it for other reasons is taken away: the variable that we set ourselves, and CI.
    kept = {k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "CI") and "XDG" not in k}
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, HONEYPOT, str(SECONDS), sys.executable, "-c", AT_WORK],
        env=kept | {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT),
                    "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, timeout=SECONDS + 120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["alive"], report["errors"]
    assert report["ci"] is None
    assert any("canary" in packet for packet in report["canary"]), "the honeypot is deaf"
    assert any("canary" in packet for packet in report["native_canary"]), "the honeypot is deaf to native code"
    print(f"listened for {report['seconds']:.0f} s: {len(report['caught'])} packets")
    assert report["caught"] == []
    assert [str(file) for file in tmp_path.rglob("*")] == []
