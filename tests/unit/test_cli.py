"""The command line: help, unknown commands, errors as one line and an exit code, and nothing loaded for nothing."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

from assistant.cli import COMMANDS


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "assistant", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_help_names_every_command():
    done = run("--help")
    assert done.returncode == 0
    for name in COMMANDS:
        assert name in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists_and_has_help(name):
    module, _, attribute = COMMANDS[name][0].partition(":")
    assert getattr(importlib.import_module(module), attribute).name == name
    assert run(name, "--help").returncode == 0


def test_an_unknown_command_is_guessed():
    done = run("chta")
    assert done.returncode == 2
    assert "Did you mean 'chat'?" in done.stderr


def test_our_errors_are_one_line_and_a_code():
    done = run("models", "show", "nope")
    assert done.returncode == 69
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_help_loads_no_heavy_module():
    code = (
        "import sys, json\ntry:\n import assistant.cli; assistant.cli.assistant(['--help'])\n"
        "except SystemExit: pass\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & {"numpy", "textual", "httpx", "starlette", "uvicorn", "msgspec", "sqlite3", "onnxruntime"}
