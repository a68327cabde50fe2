"""`assistant config`: what is wrong is named with file, key and remedy; every key is explained."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from assistant.config import SECTIONS
from assistant.settings import command


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    (tmp_path / "config" / "policies").mkdir(parents=True)
    return tmp_path / "config"


def run(*arguments: str):
    return CliRunner().invoke(command, arguments)


def test_what_ships_is_fine():
    done = run("validate")
    assert done.exit_code == 0, done.output
    assert "wrong" not in done.output
    assert "mythic-m1076.toml" in done.output
    assert "cim-lab.toml" in done.output


@pytest.mark.parametrize(("file", "text", "words"), [
    ("config.toml", "[plan]\npolicy = 'batery'\n", ["batery", "Did you mean 'battery'?"]),
    ("config.toml", "[plan]\npolcy = 'fast'\n", ["polcy", "Did you mean 'policy'?"]),
    ("prices.toml", "[electricity]\nper_kw = 3\n", ["per_kw", "Did you mean 'per_kwh'?"]),
    ("policies/mine.toml", "[limits]\nmax_wats = 1\n", ["mine.toml", "Did you mean 'max_watts'?"]),
])  # fmt: skip
def test_mistakes_in_use_are_found(home, file, text, words):
    (home / file).write_text(text)
    done = run("validate")
    assert done.exit_code == 78
    assert all(word in done.output for word in words), done.output
    assert "fine" in done.output, "the others are checked all the same"


@pytest.mark.parametrize(("text", "words"), [
    ('name = "x"\ntitle = "x"\n[chip]\ntiles = { value = 3, unit = "tile", confidence = "H" }', "has no source"),
    ('name = "x"\ntitle = "x"\n[chip]\nt = { value = 3, unit = "t", source = "s", confidence = "Q" }', "confidence"),
    ('name = "x"\ntitle = "x"\n[chip]\ntiles = { value = "3", unit = "t", source = "s", confidence = "H" }', "number"),
    ('name = "x"\ntitle = "x"\n[chip]\ntiles = { valeu = 3 }', "did you mean 'value'?"),
    ('name = "x"\n[chip]\n', "title"),
    ("[limits]\nmax_watts = -3", "max_watts"),
    ("[daemon]\nmax_batch = 0", "max_batch"),
    ("[[[", "TOML"),
])  # fmt: skip
def test_a_file_anywhere_is_known_by_its_content(tmp_path, text, words):
    file = tmp_path / "some.toml"
    file.write_text(text)
    done = run("validate", str(file))
    assert done.exit_code == 78
    assert words in done.output
    assert "some.toml" in done.output


def test_every_key_is_explained(home):
    (home / "config.toml").write_text("[daemon]\nmax_batch = 3\n")
    done = run("explain")
    for kind in SECTIONS.values():
        for key in kind.__struct_fields__:
            line = next(line for line in done.output.splitlines() if line.strip().startswith(f"{key} "))
            assert len(line.split("  ")[-1].split()) >= 2, f"{key} has no explanation: {line!r}"
    assert "3 (default: 8)" in done.output
    assert "max_joules_per_token" in done.output


def test_one_key_alone_or_a_near_one():
    done = run("explain", "plan.policy")
    assert "policy" in done.output
    assert "temperature" not in done.output
    wrong = run("explain", "polcy")
    assert wrong.exit_code != 0
    assert "Did you mean 'plan.policy'" in str(wrong.exception) or "policy" in str(wrong.exception)


@pytest.mark.parametrize("what", ["config", "policy"])
def test_the_schema_refuses_what_the_program_refuses(what):
    found = json.loads(run("schema", what).output)
    assert all(part["additionalProperties"] is False for part in found["$defs"].values())
    names = found["$defs"]
    assert "Limits" in names if what == "policy" else {"Plan", "Daemon"} <= set(names)
