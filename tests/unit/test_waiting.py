"""The line before the engine: bounded, fair, and in order within a client."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from assistant.waiting import WaitingLine


def drained(line: WaitingLine, live: dict[str, int] | None = None) -> list:
    out = []
    while line:
        out.append(line.take(live or {}))
    return out


def filled(size: int, *items: tuple[str, int]) -> WaitingLine:
    line = WaitingLine(size)
    for client, item in items:
        line.add(client, (client, item))
    return line


def test_one_who_comes_once_waits_for_one_turn_of_one_who_floods():
    line = filled(99, *(("flood", i) for i in range(20)), ("small", 0))
    order = drained(line)
    assert order.index(("small", 0)) <= 1
    assert [i for c, i in order if c == "flood"] == list(range(20)), "order within a client is kept"


def test_places_in_the_batch_count():
    line = filled(9, ("a", 0), ("b", 0))
    assert line.take({"a": 3, "b": 1}) == ("b", 0)


def test_a_flood_leaves_room_for_those_who_have_nothing_in_line():
    line = WaitingLine(8)
    for i in range(8):
        if line.has_room("flood"):
            line.add("flood", i)
    assert len(line) == 6
    assert not line.has_room("flood")
    assert line.has_room("other")
    line.add("other", 0)
    assert not line.has_room("other")
    line.add("third", 0)
    assert not line.has_room("fourth"), "the bound holds for everybody"


def test_who_is_not_wanted_any_more_goes():
    line = filled(9, ("a", 0), ("a", 1), ("b", 2))
    assert line.remove(lambda item: item[1] < 2) == [("a", 0), ("a", 1)]
    assert drained(line) == [("b", 2)]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=60))
def test_nothing_is_lost_and_between_two_turns_of_one_client_each_that_waited_has_its_own(steps):
    line, waiting, turns = WaitingLine(1000), Counter(), []
    for i, (client, take) in enumerate(steps):
        if take and line:
            got = line.take({})[0]
            turns.append((got, {c for c in waiting if waiting[c]}))
            waiting[got] -= 1
        else:
            line.add(client, (client, i))
            waiting[client] += 1
    assert sum(waiting.values()) == len(line) == len(drained(line))
    for end, (client, _) in enumerate(turns):
        starts = [i for i in range(end) if turns[i][0] == client]
        if starts:
            between = turns[starts[-1] + 1 : end]
            waited = set.intersection(*(who for _, who in turns[starts[-1] : end + 1])) - {client}
            assert waited <= {c for c, _ in between}
