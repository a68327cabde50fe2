"""64 clients at once, for a moment; `make soak` keeps them for five minutes."""

from __future__ import annotations

from tests.soak import crowd


def test_64_clients_are_told_what_each_is_told_alone(daemon):
    report = crowd.run(daemon, clients=64, seconds=5)
    assert report.wrong == []
    assert report.lost == []
    assert report.done["completions"] > 10
    assert report.done["chats"] > 10
