"""What every grammar file keeps: enough phrasings, nothing foul, kindness to fear and sadness; no torch needed."""

import random
import re

import pytest

from assistant.training.dialogues import SHARES, TALKS_FILE, DialogueWriter
from assistant.training.grammar import Grammar, GrammarError, count_expansions, is_held_out, load_grammar, parse

LEAST_PHRASINGS = 5  # of a block, its alternatives expanded; a single fact or a talk may have fewer
FACTS = "facts"
CHEERFUL = re.compile(
    r"\b(great|wonderful|congrat\w*|yay|awesome|exciting|good to hear|lovely|amazing)\b", re.IGNORECASE
)
SWEARING = re.compile(r"fuck|shit|bitch|cunt|\basshole|nigg", re.IGNORECASE)
UNHAPPY = ("sad", "lonely", "disappointed", "guilty", "scared", "nervous")


@pytest.fixture(scope="module")
def grammar():
    return load_grammar()


def blocks_of(grammar):
    return [(file, block) for file, blocks in grammar.blocks.items() for block in blocks]


def rows_behind(grammar, text):
    """How many rows the text's listed tables have, at least one."""
    tables = [grammar.tables[name] for name in re.findall(r"\{([a-z_]+)", text)]
    return max([1, *(len(table) for table in tables if not callable(table))])


def test_breadth(grammar):
    intents = [block for file, block in blocks_of(grammar) if file not in (FACTS, TALKS_FILE)]
    assert len(intents) >= 200
    assert len(grammar.blocks[FACTS]) >= 250
    written = sum(count_expansions(text) * rows_behind(grammar, text)
                  for _, block in blocks_of(grammar) for text in block.all("user"))  # fmt: skip
    assert written > 50_000
    for block in intents:
        texts = [text for key in ("user", "say", "bare", "cause") for text in block.all(key)]
        phrasings = sum(count_expansions(text) * rows_behind(grammar, text) for text in texts)
        assert phrasings >= LEAST_PHRASINGS, f"{block.name} has only {phrasings} phrasings"


def test_every_block_can_be_answered(grammar):
    assert set(SHARES) <= set(grammar.blocks)
    for _, block in blocks_of(grammar):
        assert block.all("reply") or block.all("ack"), block.name


def test_nothing_foul_is_taught(grammar):
    for _, block in blocks_of(grammar):
        for key, texts in block.lines:
            for text in texts:
                assert not SWEARING.search(text), f"{block.name} {key}: {text}"


def test_fear_and_sadness_get_no_cheer(grammar):
    by_name = {block.name.split(".")[1]: block for block in grammar.blocks["feelings"]}
    for name in UNHAPPY:
        for key in ("ack", "comfort", "ask", "care"):
            for text in by_name[name].all(key):
                assert not CHEERFUL.search(text), f"{name} {key}: {text}"


def test_dialogues_are_whole_and_seeded(grammar):
    writer = DialogueWriter(grammar, random.Random(5))
    again = DialogueWriter(grammar, random.Random(5))
    assert writer.dialogue() == again.dialogue()
    for _ in range(2_000):
        for user, reply in writer.dialogue():
            assert user
            assert reply
            assert not re.search(r"[{}<>|]|\n", reply), reply
            assert not re.search(r"[{}|]|\n|<\w+>", user), user


def test_told_facts_are_recalled(grammar):
    block = next(block for block in grammar.blocks["memory"] if block.name == "memory.my_name")
    writer = DialogueWriter(grammar, random.Random(0))
    corrected = 0
    for _ in range(300):
        turns, later = writer.exchange(block)
        told = {word.strip(".,!?") for word in turns[0][0].split()}
        fixed = len(turns) > 1 and any(word in turns[1][1] for word in ("Sorry", "Thank", "mistake", "Got it", "Okay"))
        if fixed:
            corrected += 1
            told = {word.strip(".,!?") for word in turns[1][0].split()}
        for _, reply in later:
            name = next(
                word for word in re.findall(r"[A-Z][\w'-]+", reply) if word not in ("Your", "You", "It's", "You're")
            )
            assert name.lower().split("'")[0] in {word.lower().split("'")[0] for word in told} | {"i"}, (turns, later)
    assert 20 < corrected < 200


def test_two_slots_of_a_table_differ(grammar):
    rng = random.Random(0)
    for _ in range(200):
        first, _, second = grammar.expand("{capital} - {capital2}", rng, {}).partition(" - ")
        assert first != second


def test_a_thing_is_never_told_twice_nor_asked_as_unknown_when_told(grammar):
    writer = DialogueWriter(grammar, random.Random(3))
    unknown = next(b for b in grammar.blocks["memory"] if b.all("about") == ("nothing",)).all("reply")
    named = re.compile(r"nice to meet you, (\w+)", re.IGNORECASE)
    for _ in range(3_000):
        turns = writer.dialogue()
        told = [match[1] for _, reply in turns if (match := named.match(reply))]
        assert len(told) <= 1
        if told:
            asked = [reply for user, reply in turns if re.fullmatch(r"what('s| is) my name\??", user, re.IGNORECASE)]
            assert not set(asked) & set(unknown)


def test_a_talk_is_told_from_its_first_turn_to_its_last():
    grammar = Grammar()
    parse("@walk\nuser: Hi\nreply: Hello\nturn: One\nback: Two\nturn: Three\nback: Four\n", "talks", grammar)
    writer = DialogueWriter(grammar, random.Random(0))
    for _ in range(20):
        turns, later = writer.exchange(grammar.blocks["talks"][0])
        assert [answer for _, answer in turns] == ["Hello", "Two", "Four"]
        assert not later


def test_every_turn_of_a_talk_is_answered(grammar):
    for block in grammar.blocks[TALKS_FILE]:
        keys = [key for key, _ in block.lines if key != "about"]
        assert keys == ["user", "reply", *["turn", "back"] * (len(keys) // 2 - 1)], block.name


def test_a_feeling_is_also_said_without_its_cause(grammar):
    writer = DialogueWriter(grammar, random.Random(0))
    (block,) = [block for block in grammar.blocks["feelings"] if block.name == "feelings.nervous"]
    said = [writer.feeling(block)[0][0][0].lower() for _ in range(2_000)]
    assert any("butterflies" in text for text in said)


def test_a_file_in_two_parts_is_one():
    grammar = Grammar()
    parse("%pet: dog | cat\n@hello\nuser: Hi\nreply: Hello!\n", "talk", grammar)
    parse("%pet: owl\n@hello\nuser: Hey\n", "talk-more", grammar)
    (block,) = grammar.blocks["talk"]
    assert block.all("user") == ("Hi", "Hey")
    assert len(grammar.tables["pet"]) == 3


def test_held_out_phrasings_are_stable_and_few(grammar):
    texts = [text for _, block in blocks_of(grammar) for text in block.all("user")]
    share = sum(map(is_held_out, texts)) / len(texts)
    assert 0.05 < share < 0.15


def test_a_broken_file_is_refused_with_its_line():
    with pytest.raises(GrammarError, match=r"broken\.txt line 2"):
        parse("@block\nuser: Hi (there|\n", "broken", Grammar())
