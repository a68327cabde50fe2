"""What it costs every message that it might be for a skill."""

from __future__ import annotations

import statistics
import time

import pytest

from assistant.skills import language
from assistant.skills.registry import Registry

pytestmark = pytest.mark.bench

MESSAGES = [
    "I have been thinking about the way my grandmother used to tell stories in the kitchen while it rained, and I "
    "wonder whether anybody still has the patience to listen to a story like that from its beginning to",
    "what do you think is the best way to tell somebody that you are sorry after a long time in which neither of you "
    "has said a word, and what should I say if they do not want to hear anything about it?",
    "could you please help me with the letter to my landlord about the heating, which has been broken for three weeks "
    "now and which he says he will repair as soon as he can find somebody who does it?",
]
GOAL_US = 300.0


def test_no_skill_matches(tmp_path, capsys):
    registry = Registry(root=tmp_path, plugins=[])
    figures = []
    for message in MESSAGES:
        text = (message + " " * 200)[:200].replace("  ", " x")
        assert len(text) == 200
        times = []
        for _ in range(400):
            language.said.cache_clear()
            started = time.perf_counter()
            answer = registry.answer(text)
            times.append((time.perf_counter() - started) * 1e6)
            assert answer is None
        figures.append(statistics.median(times))
    with capsys.disabled():
        shown = ", ".join(f"{f:.0f}" for f in figures)
        print(f"\nno skill for 200 characters: median {shown} µs (measured; goal {GOAL_US:.0f} µs)")
