"""Finding backends: what is broken breaks only itself, and `python -m backends` tells all of it."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from assistant.errors import BackendError
from assistant.planning import devices
from backends import __main__ as selfcheck
from backends import installed
from backends.base import BackendUnavailable
from backends.processor import processor_name
from backends.reference import ReferenceBackend


@pytest.fixture
def plugins(monkeypatch):
    """Adds entry points to those that are installed."""
    real = importlib.metadata.entry_points

    def add(**values: str) -> None:
        more = [EntryPoint(name, value, installed.GROUP) for name, value in values.items()]
        monkeypatch.setattr(installed, "entry_points", lambda group: [*real(group=group), *more])
        installed.found.cache_clear()

    yield add
    installed.found.cache_clear()


def test_a_plug_in_that_cannot_be_imported_is_named_and_left_out(plugins, caplog):
    plugins(shaky="no_such_package.module:Backend")
    assert "shaky" not in installed.kinds()
    assert "reference" in installed.kinds()
    assert "no_such_package" in installed.broken()["shaky"]
    assert "shaky" in caplog.text
    with pytest.raises(BackendError, match=r"cannot be loaded.*no_such_package"):
        devices.kind_named("shaky")


class Wrong(ReferenceBackend):
    def prefill(self, tokens, state):
        step = super().prefill(tokens, state)
        step.logits[:] = step.logits[::-1]
        return step


class Absent(ReferenceBackend):
    def __init__(self):
        raise BackendUnavailable("absent", "no such chip here")


class Broken(ReferenceBackend):
    def load(self, weights):
        raise RuntimeError("it burns")


def test_each_verdict():
    assert selfcheck.check(ReferenceBackend, "fp32")[0] == "PASS"
    assert selfcheck.check(Wrong, "int8")[0] == "FAIL"
    assert selfcheck.check(Absent, "fp32") == ("UNAVAILABLE", "no such chip here")
    assert selfcheck.check(Broken, "fp32") == ("FAIL", "RuntimeError: it burns")


def test_every_backend_of_this_installation_passes():
    run = subprocess.run([sys.executable, "-m", "backends"], capture_output=True, text=True, timeout=120)
    lines = [line.split() for line in run.stdout.splitlines()]
    assert run.returncode == 0, run.stdout + run.stderr
    assert {name for _, name, *_ in lines} == set(installed.kinds())
    assert {verdict for verdict, *_ in lines} <= {"PASS", "UNAVAILABLE"}


def test_the_processor_is_named(tmp_path):
    board = tmp_path / "cpuinfo"
    board.write_text("CPU part\t: 0xd0b\nModel\t\t: Raspberry Pi 5 Model B\n")
    assert processor_name(board) == "Raspberry Pi 5 Model B"
    assert processor_name(tmp_path / "none")
