"""Every sentence of tests/data/skills.txt goes to its skill or to none; nothing is answered by luck."""

from __future__ import annotations

import random
import string
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assistant.errors import SkillError
from assistant.skills.base import Context
from assistant.skills.registry import OURS, TEXT_LIMIT_CHARS
from tests.unit.skills.conftest import NOW

CORPUS = Path(__file__).parents[2] / "data" / "skills.txt"
SENTENCES = [tuple(line.split(" | ", 1)) for line in CORPUS.read_text().splitlines() if line and line[0] != "#"]
FOR_NOBODY = [text for skill, text in SENTENCES if skill == "none"]


@pytest.fixture(autouse=True)
def no_programs(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")  # a dictionary that is installed here must not decide


def test_the_corpus_is_large_hard_and_complete():
    assert len(SENTENCES) >= 300
    assert len(set(SENTENCES)) == len(SENTENCES)
    assert len(FOR_NOBODY) >= len(SENTENCES) / 2
    assert {skill for skill, _ in SENTENCES} == {name for name, _ in OURS} | {"none"}


def test_no_false_answer_and_none_missed(registry):
    wrong, missed = [], []
    for skill, text in SENTENCES:
        answer = registry.answer(text, now=NOW)
        if answer and answer.skill != skill:
            wrong.append((text, answer.skill, answer.text))
        if not answer and skill != "none":
            missed.append((skill, text))
    assert wrong == []
    assert missed == []  # as many as are allowed: none today


def test_case_politeness_and_marks_do_not_matter(registry):
    for skill, text in SENTENCES:
        if skill in ("clock", "units", "system", "abilities") and not text.lower().startswith(("hey", "could", "can")):
            shouted = text if skill == "units" else text.upper()  # MB is not Mb
            for put in (
                shouted,
                f"Hey, {text}",
                f"Please {text}",
                f"{text.rstrip('?')} ??",
                f"{text.rstrip('?')}, thanks",
            ):
                answer = registry.answer(put, now=NOW)
                assert answer, put
                assert answer.skill == skill, put


def test_hard_negatives_stay_so_in_other_words(registry):
    for text in FOR_NOBODY:
        for put in (f"well, {text}", f"{text} I wonder", f"my friend said: {text}", f"{text} and then she left"):
            answer = registry.answer(put, now=NOW)
            assert answer is None, (put, answer.skill, answer.text)


def test_every_example_is_answered_by_its_skill(registry):
    for entry in registry.entries:
        for example in entry.skill.examples:
            answer = registry.answer(example, now=NOW)
            assert answer, example
            assert answer.skill == entry.name, example


WORDS = """what is the time date in of 5 1/0 ** 9 ( ) % ! remind me to at every set a timer for note: delete convert
miles km tomorrow - + * 99999999999 day years week ago until 29 february 13 pm ."""


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=120) | st.lists(st.sampled_from(WORDS.split()), max_size=14).map(" ".join))
def test_no_text_makes_a_skill_fail(registry, tmp_path, text):
    """Asked one by one, so that an exception is not turned into silence."""
    for entry in registry.entries:
        with suppress(SkillError):
            entry.skill.answer(text, Context(NOW, tmp_path / entry.name))


def test_long_and_repetitive_texts_take_no_time(registry):
    """What a pattern could be slow on: asserted as steps, not seconds, by their being tried at all without end."""
    rng = random.Random(0)
    for unit in ("a ", "1 ", "1,000 ", "and ", "(", "-", "9 hours ", "the ", "every monday and ", "in 5 minutes "):
        for head in (
            "what is ",
            "remind me to ",
            "remind me every ",
            "set a timer for ",
            "convert ",
            "how many ",
            "note ",
            "",
        ):
            text = (head + unit * 400)[: TEXT_LIMIT_CHARS - 1] + rng.choice(string.punctuation)
            registry.answer(text, now=NOW)
    assert registry.answer("1" * (TEXT_LIMIT_CHARS + 1), now=NOW) is None
