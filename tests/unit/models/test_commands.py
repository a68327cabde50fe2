"""`assistant models` from the outside: text, JSON, confirmation, and the errors a person sees."""

import json

import pytest
from click.testing import CliRunner

from assistant.errors import ModelFileError, ModelNotFound, UsageError
from assistant.models.commands import models
from tests.unit.models.files import blinkdl, small_tensors, write_pth


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("assistant.models.store.Store.__init__.__defaults__", (None, tmp_path / "no-embedded"))

    def run(*arguments, **keywords):
        return CliRunner().invoke(models, [str(a) for a in arguments], **keywords)

    return run


@pytest.fixture
def file(tmp_path):
    return write_pth(tmp_path / "tiny-g1.pth", blinkdl(small_tensors()))


def test_the_whole_life_of_a_model(run, file, tmp_path):
    assert "No models yet" in run("list").output
    added = run("add", file)
    assert added.exit_code == 0, added.output
    assert added.stdout.startswith("Added tiny-g1: ")
    assert "fp32" in added.stdout
    assert "template g1" in added.stdout
    assert run("list").stdout.startswith("tiny-g1 ")
    (listed,) = json.loads(run("list", "--json").stdout)
    shown = json.loads(run("show", "tiny-g1", "--json").stdout)
    assert listed == shown
    assert shown["config"]["heads"] == 4
    assert "2 layers x 64 wide, 4 heads of 16" in run("show", "tiny-g1").stdout
    assert run("verify").stdout == "tiny-g1: good\n"
    assert json.loads(run("verify", "--json").stdout) == {"tiny-g1": []}
    assert run("rm", "tiny-g1", "--yes").stdout == "Deleted tiny-g1\n"
    assert json.loads(run("list", "--json").stdout) == []


def test_options_of_add(run, file, tmp_path):
    (tmp_path / "L").write_text("My licence\nmore")
    options = ["--precision", "int8", "--template", "world", "--licence", tmp_path / "L", "--json"]
    done = run("add", file, "--name", "x", *options)
    shown = json.loads(done.stdout)
    assert (shown["name"], list(shown["weights"]), shown["template"]) == ("x", ["int8"], "world")
    assert "My licence\n" in run("show", "x").stdout
    assert isinstance(run("add", file, "--name", "x").exception, UsageError)
    assert run("add", file, "--name", "x", "--force").exit_code == 0
    assert isinstance(run("add", file, "--name", "y", "--licence", tmp_path / "none").exception, UsageError)


def test_rm_asks(run, file, monkeypatch):
    run("add", file)
    refused = run("rm", "tiny-g1")
    assert isinstance(refused.exception, UsageError)
    assert "--yes" in str(refused.exception)
    assert run("show", "tiny-g1").exit_code == 0


def test_errors_carry_their_exit_codes(run, file, tmp_path):
    missing = run("show", "nothing").exception
    assert isinstance(missing, ModelNotFound)
    assert missing.exit_code == 69
    (tmp_path / "bad.pth").write_bytes(file.read_bytes()[:1000])
    broken = run("add", tmp_path / "bad.pth").exception
    assert isinstance(broken, ModelFileError)
    assert broken.exit_code == 1
    assert isinstance(run("add", tmp_path / "none.pth").exception, ModelFileError)


def test_verify_reports_every_damaged_model(run, file, tmp_path):
    for name in ("a", "b", "c"):
        run("add", file, "--name", name)
    folder = tmp_path / "home/data/models"
    (folder / "a/weights.fp32.safetensors").write_bytes(b"x")
    (folder / "b/manifest.json").write_bytes(b"x")
    done = run("verify")
    assert done.stdout == "c: good\n"
    assert isinstance(done.exception, ModelFileError)
    assert "a/weights.fp32.safetensors" in str(done.exception)
    assert "b/manifest.json" in str(done.exception)
    listed = run("list")
    assert "warning: damaged manifest" in listed.stderr
    assert "a " in listed.stdout
    assert run("rm", "b", "--yes").exit_code == 0
