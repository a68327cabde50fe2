"""The examples of the documentation, run as they stand, on the embedded model that a person meets first."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from assistant.cli import assistant
from assistant.config import load
from tests.daemon.conftest import Daemon

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples(kind: str) -> list:
    return [
        pytest.param(body, id=f"{page.name}-{i}")
        for page in PAGES
        for i, (found, body) in enumerate(FENCE.findall(page.read_text(encoding="utf-8")))
        if found == kind
    ]


@pytest.fixture(scope="module")
def embedded() -> Iterator[Daemon]:
    """A daemon as a new user has it: no configuration, no model added."""
    home = Path(tempfile.mkdtemp(prefix="a-", dir="/tmp"))
    shutil.copytree(ROOT / "assistant" / "evaluation" / "household", home / "papers")  # something of one's own to ask
    daemon = Daemon(home).start()
    yield daemon
    daemon.kill()
    shutil.rmtree(home)


@pytest.mark.parametrize("body", examples("console"))
def test_console_examples(body, embedded):
    for line in re.findall(r"^\$ assistant (.+)$", body, re.MULTILINE):
        done = embedded.run(*shlex.split(line), cwd=embedded.home)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        assert done.stdout.strip(), line


@pytest.mark.parametrize("body", examples("sh"))
def test_shell_examples_name_commands_and_options_that_are_there(body):
    """They need a microphone, systemd or a file of the reader's, so they are only parsed."""
    for line in re.findall(r"^assistant ([^#\n]+)", body, re.MULTILINE):
        command, words = assistant, shlex.split(line)
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            _, command, words = command.resolve_command(click.Context(command), words)
        context = click.Context(command, **command.context_settings)
        command.make_parser(context).parse_args(words)  # raises NoSuchOption


@pytest.mark.parametrize("body", examples("python"))
def test_python_examples(body, embedded):
    done = subprocess.run([sys.executable, "-c", body], env=embedded.env(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("body", examples("toml"))
def test_toml_examples_are_valid_configuration(body, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(body)
    load(file)


def test_the_embedded_model_greets_and_knows_what_it_is(embedded):
    """Not its quality, which its card states: only that what ships is a trained model and not noise."""
    hello = embedded.run("ask", "--json", "--temperature", "0", "hello")
    assert re.search(r"\b(hello|hi|hey|good|nice)\b", json.loads(hello.stdout)["text"], re.IGNORECASE), hello.stdout
    sad = embedded.run("ask", "--json", "--temperature", "0", "I am so sad, my dog died")
    assert re.search(r"\b(sorry|sad|hurts?|hard|loss|miss)\b", json.loads(sad.stdout)["text"], re.IGNORECASE), (
        sad.stdout
    )
    assert not re.search(r"congrat|wonderful|great!", json.loads(sad.stdout)["text"], re.IGNORECASE), sad.stdout


def test_the_embedded_model_is_whole_and_small():
    folder = ROOT / "assistant" / "models" / "embedded"
    weights = folder / "model.int8.safetensors"
    assert weights.stat().st_size < 15 * 2**20
    assert (folder / "MODEL_CARD.md").read_text().strip()
    assert os.access(folder / "vocab.txt", os.R_OK)
