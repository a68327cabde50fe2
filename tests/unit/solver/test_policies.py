"""Policy files: ours are sound, a person's own win, and mistakes are named with a way out."""

from __future__ import annotations

import pytest

from assistant.errors import ConfigError
from assistant.solver import policies
from backends import profiles


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    folder = policies.own_folder()
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("file", sorted((profiles.root() / "policies").glob("*.toml")), ids=lambda f: f.stem)
def test_ours_are_sound_and_keep_text_on_the_device(file):
    found = policies.read(file)
    limits = {limit.key: limit.bound for limit in found.limits.as_limits()}
    assert found.title
    assert limits["privacy"] == "on-device"
    assert limits["allow_simulated"] == (file.stem == "cim-lab")


def test_the_policies_of_the_issue_are_there():
    assert {"private", "battery", "fast", "quality", "quiet", "cim-lab"} <= set(policies.names())


def test_an_own_policy_wins_over_ours_of_the_same_name(own):
    (own / "fast.toml").write_text('title = "mine"\n')
    assert policies.policy("fast").title == "mine"


@pytest.mark.parametrize(("text", "words"), [
    ("[limits]\nmax_wats = 3\n", ["max_wats", "Did you mean 'max_watts'?"]),
    ("max_watts = 3\n", ["Did you mean [limits] max_watts?"]),
    ("[limits]\nmax_watts = -1\n", ["max_watts", "-1"]),
    ('[limits]\nprivacy = "cloud"\n', ["privacy", "cloud"]),
    ("limits = 3\n", ["[limits]"]),
    ('[objective]\norder = [["speed", 0]]\n', ["speed", "Known are"]),
    ('[objective]\norder = [["watts", 0]]\nweights = { watts = 1 }\n', ["one of the two"]),
    ("[limits\n", ["not valid TOML"]),
    ("titel = 'x'\n", ["titel", "Did you mean 'title'?"]),
])  # fmt: skip
def test_mistakes_are_named(own, text, words):
    (own / "mine.toml").write_text(text)
    with pytest.raises(ConfigError) as error:
        policies.policy("mine")
    for word in (*words, "mine.toml"):
        assert word in str(error.value)


def test_limits_of_a_question_are_checked_like_those_of_a_file():
    base = policies.policy("private")
    assert policies.changed(base, {"max_threads": 2.0}).limits.max_threads == 2
    with pytest.raises(ConfigError, match="Did you mean 'max_watts'"):
        policies.changed(base, {"max_wats": 2})
