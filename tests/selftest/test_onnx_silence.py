"""ONNX Runtime and the daemon at work for a while, in a network where nothing is missed: no packet, and no file.

`SILENCE_S=60 make test` listens for a minute, as CI does. Control, by hand: onnxruntime 1.31 without our switch leaves
four files under HOME at once and looks up a host of its maker after some 10 s.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from assistant import silence
from assistant.selftest import honeypot

ROOT = Path(__file__).parent.parent.parent
SECONDS = float(os.environ.get("SILENCE_S", "4"))
ONNX = """
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
DAEMON = """
import os, subprocess, sys, time
from assistant.client import call
from assistant import wire
serve = [sys.executable, "-P", "-m", "assistant", "serve", "--unfiltered", "--backend", "onnx"]
daemon = subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
async def talk(client):
    chat = await client.create_chat()
    async for _ in client.stream_message(chat.id, wire.SendMessage(content="hello", max_tokens=8)):
        pass
for _ in range(200):
    try:
        if call(lambda c: c.ready()).ready:
            break
    except Exception:
        time.sleep(0.1)
while True:
    call(talk)
    time.sleep(0.5)
"""


def listen(code: str, home: Path) -> honeypot.Catch:
    """With all taken away that would silence it for other reasons: the variables that we set ourselves, and CI."""
    kept = {k: v for k, v in os.environ.items() if k not in (*silence.SWITCHES, "CI") and "XDG" not in k}
    env = kept | {"HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1",
                  "ASSISTANT_HOME": str(home / "assistant")}  # fmt: skip
    return honeypot.run([sys.executable, "-c", code], seconds=SECONDS, env=env)


@pytest.mark.slow
def test_no_packet_and_no_file():
    """Both at once, in two networks of their own."""
    homes = [Path(tempfile.mkdtemp(prefix="ra-", dir="/tmp")) for _ in range(2)]
    try:
        with ThreadPoolExecutor() as pool:
            onnx, daemon = pool.map(listen, (ONNX, DAEMON), homes)
    except honeypot.HoneypotUnavailable as error:
        pytest.skip(f"SILENCE NOT CHECKED: {error}")
    files = [[file for file in home.rglob("*") if file.is_file() and "assistant" not in file.relative_to(home).parts[0]]
             for home in homes]  # fmt: skip
    spoken = (homes[1] / "assistant" / "state" / "history.sqlite3").exists()
    for home in homes:
        shutil.rmtree(home)
    for catch in (onnx, daemon):
        assert catch.exit_code is None, catch.output
        assert catch.ci is None
        assert catch.is_awake, catch.canaries
        print(f"listened for {catch.seconds:.0f} s: {len(catch.attempts)} attempts")
        assert catch.hosts == []
    assert spoken, "the daemon was not at work"
    assert files == [[], []]


@pytest.mark.parametrize(
    "entry",
    [
        "import assistant.cli as c, sys; sys.argv = ['assistant', 'models', 'list']; c.main()",
        "import runpy, sys; sys.argv = ['assistant', 'models', 'list']; runpy.run_module('assistant.__main__')",
        "import backends.onnx.session",
        "import backends.onnx.loading",
        "import backends.onnx.export",
        "from assistant.selftest import parity",
        "import assistant.training.__main__",
    ],
)
def test_telemetry_is_off_before_the_library_is_loaded(entry):
    """In every entry point: whoever is the first to import it finds the switch set."""
    code = (
        "import os, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'onnxruntime':\n"
        "            print('SWITCH', os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "sys.meta_path.insert(0, Watch())\n"
        f"try:\n    exec({entry!r})\nexcept (SystemExit, ImportError): pass\n"
        "import backends.onnx.session\n"
    )
    env = {k: v for k, v in os.environ.items() if k not in silence.SWITCHES}
    done = subprocess.run([sys.executable, "-P", "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {line for line in done.stdout.splitlines() if line.startswith("SWITCH")} == {"SWITCH 1"}
