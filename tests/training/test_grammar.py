"""What every grammar file keeps: enough phrasings, nothing foul, kindness to fear and sadness; no torch needed."""

import random
import re

import pytest

from assistant.training.dialogues import SHARES, DialogueWriter
from assistant.training.grammar import Grammar, GrammarError, count_expansions, is_held_out, load_grammar, parse

LEAST_PHRASINGS = 5  # of a block, its alternatives expanded; a single fact may have fewer
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


def test_breadth(grammar):
    intents = [block for file, block in blocks_of(grammar) if file != FACTS]
    assert len(intents) >= 120
    for block in intents:
        texts = [text for key in ("user", "say", "bare", "cause") for text in block.all(key)]
        phrasings = sum(map(count_expansions, texts))
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
    block = next(block for block in grammar.blocks["memory"] if block.name == "memory.my_odd_name")
    writer = DialogueWriter(grammar, random.Random(0))
    for _ in range(50):
        turns, later = writer.exchange(block)
        greeting = re.sub(r"^(Nice to meet you, |Hello, |Hi )", "", turns[0][1])
        name = re.match(r"[A-Z][a-z]+", greeting)[0]
        assert all(name in reply for _, reply in later)


def test_held_out_phrasings_are_stable_and_few(grammar):
    texts = [text for _, block in blocks_of(grammar) for text in block.all("user")]
    share = sum(map(is_held_out, texts)) / len(texts)
    assert 0.05 < share < 0.15


def test_a_broken_file_is_refused_with_its_line():
    with pytest.raises(GrammarError, match=r"broken\.txt line 2"):
        parse("@block\nuser: Hi (there|\n", "broken", Grammar())
