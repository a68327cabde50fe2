"""Remarks and words of known valence: the label must be that of the words, `not` and `but` understood."""

import random
import re

import pytest

from assistant.training.documents import LABEL_WEIGHTS, VALENCE, VALENCE_WEIGHT, feeling_document
from assistant.training.grammar import load_grammar
from assistant.training.reviews import LEXICON_FILE, lexicon, remark, valence_documents


@pytest.fixture(scope="module")
def grammar():
    return load_grammar()


def test_the_second_half_counts_and_not_turns_the_word(grammar):
    rng = random.Random(1)
    words = {row[0]: sign for sign, table in (("positive", "good_word"), ("negative", "bad_word"))
             for row in grammar.tables[table]}  # fmt: skip
    ending = "|".join(sorted(map(re.escape, words), key=len, reverse=True))
    seen = {"but": 0, "not": 0, "plain": 0}
    for _ in range(600):
        text, sign = remark(grammar, rng)
        match = re.search(rf"\b({ending})\.$", text)
        if not match or " and " in text or sign == "neutral":
            continue
        turned = re.search(r"(is not|was never|isn't exactly|anything but) (?=\S)", text) and ", but" not in text
        kind = "but" if ", but " in text else "not" if turned else "plain"
        seen[kind] += 1
        assert (words[match[1]] == sign) != bool(turned), text
    assert min(seen.values()) > 20


def test_words_of_the_lexicon_carry_their_sign_and_unclear_ones_are_left_out(tmp_path, grammar):
    (tmp_path / LEXICON_FILE).parent.mkdir()
    (tmp_path / LEXICON_FILE).write_text("superb\t3.1\t0.7\t[]\nawful\t-2.0\t0.9\t[]\nhardly\t0.1\t1.0\t[]\n")
    assert len(lexicon(tmp_path)) == 3
    assert lexicon(tmp_path / "elsewhere") == []
    found = list(valence_documents(grammar, tmp_path, random.Random(0), 0, 2))
    assert len(found) == 4
    for document in found:
        expected = " positive" if "superb" in document.text else " negative"
        assert document.segments[0][0].endswith(VALENCE)
        assert document.segments[1] == (expected, VALENCE_WEIGHT)


def test_a_rare_label_weighs_more_and_a_finer_one_as_a_word():
    segments = feeling_document("x", "Yuck", "disgusted, disgust").segments
    assert segments[1:] == ((" disgusted", LABEL_WEIGHTS["disgusted"]), (", disgust\n\n", 10))
    assert LABEL_WEIGHTS["disgusted"] > LABEL_WEIGHTS["neutral"]
    assert "".join(text for text, _ in feeling_document("x", "Hi", "sad").segments) == "User: Hi\n\nFeeling: sad\n\n"
