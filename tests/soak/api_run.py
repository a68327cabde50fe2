"""schemathesis against a running daemon: requests made from the OpenAPI document, answers checked against it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.daemon.conftest import Daemon

CONFIG = """
[model]
name = "bytes"
[sampling]
max_tokens = 8
[daemon]
max_reply_tokens = 32
client_timeout_s = 5
"""
EXCLUDED = "positive_data_acceptance"
"""A request may fit its schema and still be refused: a conversation that ends with the assistant, say."""


def run(daemon: Daemon, cwd: Path, *options: str) -> int:
    """Test a fresh daemon; returns how many requests were made. Raises AssertionError with the report of a failure."""
    daemon.configure(CONFIG)
    daemon.start("--tcp", "0")
    port, token = daemon.tcp()
    command = [
        str(Path(sys.executable).with_name("st")), "run", f"http://127.0.0.1:{port}/openapi.json",
        "--header", f"Authorization: Bearer {token}", "--no-color", "--seed", "1", "--workers", "2",
        "--continue-on-failure", "--exclude-checks", EXCLUDED, *options,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)
    log = daemon.log.read_text()
    assert done.returncode == 0, done.stdout[-6000:] + log[-2000:]
    assert "Traceback" not in log, log[-4000:]
    assert "internal error" not in done.stdout
    with daemon.http() as http:
        assert http.get("/readyz").status_code == 200
    return int(re.search(r"(\d+) generated", done.stdout)[1])
