"""Words of crisis are answered, jokes and homework are not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from assistant.skills import registry
from assistant.skills.care import AT_ONCE, FOR_ANOTHER, FOR_YOU, crisis

CORPUS = Path(__file__).parents[2] / "data" / "care.txt"
ANSWERS = {"you": FOR_YOU, "now": AT_ONCE, "other": FOR_ANOTHER, "no": None}
SENTENCES = [line.split(" ", 1) for line in CORPUS.read_text(encoding="utf-8").splitlines() if line[0] != "#"]


def test_every_sentence_gets_its_answer():
    wrong = [(kind, text) for kind, text in SENTENCES if crisis(text) != ANSWERS[kind]]
    assert wrong == []
    assert sum(kind == "no" for kind, _ in SENTENCES) > len(SENTENCES) / 2


@pytest.mark.parametrize("put", ["{}", "{}!!", "Hi. {} Please help me.", "It was a long day.\n{}", "*{}*"])
def test_it_is_found_wherever_it_stands(put):
    missed = [text for kind, text in SENTENCES if kind != "no" and crisis(put.format(text)) is None]
    assert missed == []


def test_capitals_and_curly_quotes_do_not_matter():
    for kind, text in SENTENCES:
        assert (crisis(text.upper().replace("'", "’")) is None) == (kind == "no"), text


def test_no_answer_names_a_number_and_each_leads_to_people():
    for answer in (FOR_YOU, AT_ONCE, FOR_ANOTHER):
        assert not re.search(r"\d", answer)
        assert "local emergency services" in answer
        assert re.search(r"someone|other people", answer)


def test_it_is_asked_before_all_others():
    assert registry.OURS[0][0] == "care"
