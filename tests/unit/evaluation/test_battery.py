"""The probe battery: enough of it, a split that never moves, a sealed part, and rules that no stock answer can game."""

import re

import pytest

from assistant.errors import UsageError
from assistant.evaluation.battery import (
    PARTS,
    SEALED,
    STOCK_SHARE,
    Probe,
    ProbeFilter,
    normalised,
    read_battery,
    score,
)

STOCK = [
    "I'm sorry to hear that.",
    "I'm sorry, that sounds hard. Do you want to talk about it?",
    "I don't know that, sorry.",
    "I can't do that. I'm only a small program on your computer.",
    "I can't know that: I'm offline and have no internet.",
    "That's great! Congratulations!",
    "How nice! Tell me more.",
    "I'm small and I make mistakes. Please check important things.",
    "Yes.",
    "No.",
]


def test_enough_probes_in_every_part():
    sizes = {part: len(read_battery(part)) for part in PARTS}
    assert sum(sizes.values()) >= 210
    assert min(sizes.values()) >= 70
    categories = {probe.category for probe in read_battery()}
    assert {
        "memory",
        "corrections",
        "follow-ups",
        "limits",
        "arithmetic",
        "facts",
        "feelings",
        "small talk",
    } <= categories


def test_the_sealed_part_is_given_only_by_name():
    sealed = {probe.turns for probe in read_battery(SEALED)}
    assert sealed
    assert not sealed & {probe.turns for probe in read_battery()}
    with pytest.raises(UsageError):
        read_battery("everything")


def test_the_split_depends_on_the_turns_alone():
    probe = Probe("facts", ("Hello?",), ("x",))
    assert probe.part == Probe("limits", ("Hello?",), ("y",), ("z",)).part


def test_every_pattern_compiles_and_no_probe_stands_twice():
    probes = [probe for part in PARTS for probe in read_battery(part)]
    for probe in probes:
        assert probe.wanted
        for pattern in (*probe.wanted, *probe.unwanted):
            re.compile(pattern)
    assert len({probe.turns for probe in probes}) == len(probes)


@pytest.mark.parametrize("answer", STOCK)
def test_no_stock_answer_passes_more_than_its_share(answer):
    probes = read_battery()
    result = score(probes, [[answer] for _ in probes])
    assert result.share <= STOCK_SHARE
    assert result.stock_share == 1.0


def test_an_answer_that_lists_everything_fails():
    probe = Probe("facts", ("Capital of Norway?",), ("oslo",))
    assert probe.is_answered_by("It is Oslo.")
    assert not probe.is_answered_by("Oslo " * 200)
    assert not probe.is_answered_by("")


def test_wanted_and_unwanted_are_word_beginnings():
    probe = Probe("limits", ("Wake me",), ("can't|n't", "alarm|clock"), ("great",))
    assert probe.is_answered_by("Sorry, I don't have an alarm clock.")
    assert not probe.is_answered_by("I like alarms.")
    assert not probe.is_answered_by("Great, but I can't: no alarm.")


def test_training_is_told_what_it_may_not_hold():
    probes = ProbeFilter()
    for probe in read_battery():
        long_turns = [turn for turn in probe.turns if len(normalised(turn).split()) >= 4]
        assert all(probes.resembles(turn.upper() + "!!") for turn in long_turns)
    assert not probes.resembles("My name is Otto")
    assert not probes.resembles("What is the capital of Norway?")


def test_a_probe_in_other_clothes_is_recognised(tmp_path):
    path = tmp_path / "battery.txt"
    path.write_text(
        "[advice]\nMy laptop has frozen up again => restart\n[facts]\nWhich town is the capital of Peru? => lima\n"
    )
    probes = ProbeFilter(path)
    assert probes.resembles("so my laptop has frozen again")
    assert not probes.resembles("my laptop is new")
    assert probes.resembles("which town is the capital of peru")
    assert not probes.resembles("the capital town of Peru is which?")
