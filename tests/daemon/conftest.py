"""A real daemon in a process of its own, on a small synthetic model, for tests that talk to it as clients do."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from safetensors.numpy import save_file

from backends.base import ModelConfig
from tests.synthetic import synthetic_tensors, to_blinkdl

BYTES = ModelConfig(layers=2, width=64, heads=1, head_size=64, vocab=257, ffn=128,
                    decay_rank=8, iclr_rank=8, value_rank=8, gate_rank=8)  # fmt: skip
READY_S = 60.0


class Daemon:
    """`assistant serve` in a home of its own; start, stop and kill it as often as a test likes."""

    def __init__(self, home: Path):
        self.home = home
        self.socket = home / "runtime" / "daemon.sock"
        self.process: subprocess.Popen | None = None
        self.adopted: int | None = None
        self.log = home / "log"

    def env(self) -> dict[str, str]:
        return os.environ | {"ASSISTANT_HOME": str(self.home), "PYTHONSAFEPATH": "1"}

    def run(self, *arguments: str, **options) -> subprocess.CompletedProcess:
        """One call of the command line in this home."""
        command = [sys.executable, "-m", "assistant", *arguments]
        return subprocess.run(command, env=self.env(), capture_output=True, text=True, timeout=120, **options)

    def configure(self, text: str) -> None:
        (self.home / "config").mkdir(exist_ok=True)
        (self.home / "config" / "config.toml").write_text(text)

    def start(self, *arguments: str, wait: bool = True, **options) -> Daemon:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "assistant", "serve", *arguments], env=self.env(),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)  # fmt: skip
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.log.read_text()}")
            try:
                with self.http() as client:
                    if client.get("/readyz").status_code == 200:
                        return
            except httpx.HTTPError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"not ready in {READY_S} s:\n{self.log.read_text()}")

    def http(self, **options) -> httpx.Client:
        transport = httpx.HTTPTransport(uds=str(self.socket), verify=False)  # no TLS here, and its set-up is slow
        return httpx.Client(transport=transport, base_url="http://localhost", trust_env=False, timeout=30, **options)

    def tcp(self) -> tuple[int, str]:
        """(port, token) of a daemon that was started with --tcp."""
        port = re.findall(r"listening on 127\.0\.0\.1:(\d+)", self.log.read_text())[-1]
        return int(port), (self.home / "state" / "token").read_text().strip()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def adopt(self, pid: int) -> None:
        """A daemon that a client has started in this home: it ends with the test too."""
        self.adopted = pid

    def end(self) -> None:
        """Whatever still runs here."""
        if self.process and self.process.poll() is None:
            self.kill()
        if self.adopted:
            with suppress(ProcessLookupError):
                os.kill(self.adopted, signal.SIGKILL)
            deadline = time.monotonic() + READY_S
            while Path(f"/proc/{self.adopted}").exists() and time.monotonic() < deadline:
                time.sleep(0.02)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=30)


@pytest.fixture(scope="session")
def synthetic_file(tmp_path_factory) -> Path:
    """A byte-level model as a safetensors file in BlinkDL's layout."""
    path = tmp_path_factory.mktemp("model") / "bytes.safetensors"
    tensors = synthetic_tensors(BYTES, seed=11)
    # It writes printable ASCII only (token = byte + 1), so that it never ends a reply by itself: one channel of the
    # last norm is a constant 10 which the head reads as -20 for every other token.
    tensors["ln_out.weight"][0], tensors["ln_out.bias"][0] = 0, 10
    tensors["head.weight"][:, 0] = -2
    tensors["head.weight"][ord("!") + 1 : ord("~") + 2, 0] = 0
    save_file(to_blinkdl(tensors), path)
    return path


@pytest.fixture(scope="session")
def prepared_home(synthetic_file) -> Iterator[Path]:
    """A home whose store has the model; copied for each daemon."""
    home = Path(tempfile.mkdtemp(prefix="a-", dir="/tmp"))
    daemon = Daemon(home)
    added = daemon.run("models", "add", str(synthetic_file), "--name", "bytes")
    assert added.returncode == 0, added.stderr
    daemon.configure('[model]\nname = "bytes"\n[sampling]\nmax_tokens = 40\n')
    yield home
    shutil.rmtree(home)


def _daemon(prepared_home: Path) -> Iterator[Daemon]:
    home = Path(tempfile.mkdtemp(prefix="a-", dir="/tmp"))  # short: a socket's path must fit 107 bytes
    shutil.copytree(prepared_home, home, dirs_exist_ok=True)
    daemon = Daemon(home)
    yield daemon
    daemon.end()
    shutil.rmtree(home)


@pytest.fixture
def daemon(prepared_home) -> Iterator[Daemon]:
    """A home for one test; nothing runs yet."""
    yield from _daemon(prepared_home)


@pytest.fixture(scope="module")
def running(prepared_home) -> Iterator[Daemon]:
    """One running daemon for all tests of a module that leave it as they found it."""
    for made in _daemon(prepared_home):
        yield made.start()
