"""A few hundred bad inputs for every loader; `make soak` gives them a million."""

from __future__ import annotations

import pytest

from tests.soak import fuzz


@pytest.mark.parametrize("target", fuzz.TARGETS, ids=lambda t: t.name)
def test_bad_inputs_are_accepted_or_refused_as_documented(target):
    count = max(20, int(250 * min(1, target.share)))
    _, inputs, accepted = fuzz.run(target.name, 0, count)
    assert inputs == count
    assert target.name == "template" or accepted < count, "the mutations do not reach the checks"


def test_whole_inputs_are_accepted(tmp_path):
    for target in fuzz.TARGETS:
        assert target.read(target.seeds()[0], tmp_path / "input") is not False, target.name


def test_a_loader_that_breaks_is_reported_with_what_replays_it(monkeypatch):
    def breaks(data: bytes, _path) -> None:
        if len(data) > 3:
            raise IndexError("out of range")

    monkeypatch.setitem(fuzz.BY_NAME, "config", fuzz.Target("config", lambda: [b"abcdef"], breaks))
    with pytest.raises(RuntimeError, match=r"target 'config', input \d+: IndexError"):
        fuzz.run("config", 0, 20)
