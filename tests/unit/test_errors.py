"""Errors read as one sentence and a hint, and carry the exit codes of the documentation."""

from __future__ import annotations

import inspect

import pytest

from assistant import errors
from assistant.errors import AssistantError, ConfigError, RequestError

TREE = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, AssistantError)]


def test_all_parts_are_joined() -> None:
    error = AssistantError("cannot read the model", where="a.pth", why="it ends early.", hint="fetch it again")
    assert str(error) == "cannot read the model (a.pth): it ends early. Fetch it again"


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({}, "it failed"),
        ({"where": "a"}, "it failed (a)"),
        ({"why": "b"}, "it failed: b"),
        ({"hint": "c"}, "it failed. C"),
        ({"why": ""}, "it failed"),
        ({"why": "two\nlines"}, "it failed: two lines"),
        ({"why": OSError(2, "No such file")}, "it failed: [Errno 2] No such file"),
    ],
)
def test_each_part_may_be_missing(parts: dict, text: str) -> None:
    assert str(AssistantError("it failed", **parts)) == text


def test_exit_codes() -> None:
    codes = {kind.__name__: kind("x").exit_code for kind in TREE}
    assert codes == {
        "AssistantError": 1,
        "UsageError": 2,
        "ConfigError": 78,
        "ModelFileError": 1,
        "ModelNotFound": 69,
        "BackendError": 69,
        "DaemonUnavailable": 69,
        "VoiceUnavailable": 69,
        "RequestError": 1,
        "SkillError": 1,
        "DocumentsError": 1,
        "HistoryError": 1,
        "StorageFull": 1,
    }


@pytest.mark.parametrize(("status", "code"), [(400, 1), (404, 1), (429, 75), (500, 1), (503, 75)])
def test_a_busy_daemon_asks_to_retry(status: int, code: int) -> None:
    assert RequestError("no", status=status, code="busy").exit_code == code


def test_the_docstring_draws_the_whole_tree() -> None:
    for kind in TREE:
        assert kind.__name__ in errors.__doc__
        assert kind.__doc__
    assert issubclass(ConfigError, AssistantError)
