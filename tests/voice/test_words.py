"""The pure pieces that work on text: what is spoken, the wake word, the tokenizer, word errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.voice import wake
from assistant.voice.sentences import Sentences, speakable
from assistant.voice.transcriber import BEGIN, END, Transcriber, read_tokens
from assistant.voice.words import errors


def spoken(text: str, size: int = 3) -> list[str]:
    sentences = Sentences()
    pieces = [piece for at in range(0, len(text), size) for piece in sentences.push(text[at : at + size])]
    return pieces + sentences.end()


def test_a_sentence_is_spoken_as_soon_as_it_is_complete():
    sentences = Sentences()
    assert sentences.push("Hello there. How") == ["Hello there."]
    assert sentences.push(" are you") == []
    assert sentences.push("? ") == ["How are you?"]
    assert sentences.end() == []


def test_a_long_first_sentence_begins_at_a_comma():
    assert spoken("When the rain has stopped and the sun is back, we go out, as always, you and me.") == [
        "When the rain has stopped and the sun is back,", "we go out, as always, you and me.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["It costs 3.50 in all.", "Dr. Smith is in.", "See e.g. the manual.", "J. S. Bach wrote it."],
)
def test_a_full_stop_is_not_always_an_end(text):
    assert spoken(text) == [text]


def test_code_and_markup_are_not_read_out():
    text = "# Title\n**Bold** and `code` [here](https://x.example/y). \n```python\nprint(1). \n```\n- one\n- two 😀\n"
    assert spoken(text) == ["Title", "Bold and code here.", "one", "two"]
    assert speakable("see https://a.example/b?c for snake_case") == "see a link for snake_case"
    assert speakable("***") == speakable("…") == ""
    assert "\x1b" not in speakable("\x1b[31mred")


def test_code_without_an_end_is_left_out():
    assert spoken("Like this: ```\nx = 1\ny = 2") == ["Like this:"]


@given(st.text(alphabet=st.sampled_from("ab .,!?\n\"')*`#1é"), max_size=120), st.integers(1, 9))
def test_how_the_text_is_cut_changes_nothing_but_where_pieces_end(text, size):
    letters = lambda pieces: [c for c in "".join(pieces) if c.isalnum()]  # noqa: E731
    if "```" not in text:
        assert letters(spoken(text, size)) == letters([text])


def test_wake_words():
    assert wake.after("computer", "Computer, what time is it?") == "what time is it?"
    assert wake.after("computer", "Hey computer. Stop") == "Stop"
    assert wake.after("computer", "Commuter what time?") == "what time?"  # near enough
    assert wake.after("computer", "Computer!") == ""
    assert wake.after("computer", "My computer is slow") is None
    assert wake.after("hey rita", "Hey Rita, sing") == "sing"
    assert wake.after("rob", "Bob, come here") is None  # short words have to be right
    assert wake.after("computer", "") is None


def test_word_errors():
    assert errors("Set a timer for 10 minutes.", "set a timer for ten minutes") == (0, 6)
    assert errors("who are you", "you") == (2, 3)
    assert errors("a b", "a x b c") == (2, 2)
    assert errors("half-past seven", "half past 7") == (0, 3)


def test_the_tokenizer_file():
    long = b"x" * 200
    data = b"\x02ab" + b"\x00" + bytes([128 + 200 % 128, 200 // 128]) + long
    assert read_tokens(data) == [b"ab", b"", long]


class Scripted:
    """A decoder that writes given tokens, and checks that its cache comes back."""

    inputs = {  # noqa: RUF012
        "past_key_values.0.decoder.key": ("b", 2, "n", 4), "past_key_values.0.encoder.key": ("b", 2, "n", 4),
        "input_ids": (), "use_cache_branch": (),
    }  # fmt: skip

    def __init__(self, *tokens: int):
        self.tokens, self.steps = tokens, 0

    def run(self, inputs):
        step = self.steps
        assert inputs["use_cache_branch"].tolist() == [step > 0]
        assert inputs["input_ids"].tolist() == [[BEGIN if step == 0 else self.tokens[step - 1]]]
        assert inputs["past_key_values.0.decoder.key"].shape == (1, 2, step, 4)
        assert inputs["past_key_values.0.encoder.key"].shape[2] == (7 if step else 0)
        self.steps += 1
        logits = np.zeros((1, 1, 8), np.float32)
        logits[0, 0, self.tokens[step % len(self.tokens)]] = 1
        # As in the real file: with a cache, the encoder's part of the answer is empty.
        return {"logits": logits, "present.0.decoder.key": np.zeros((1, 2, step + 1, 4), np.float32),
                "present.0.encoder.key": np.zeros((1, 2, 0 if step else 7, 4), np.float32)}  # fmt: skip


class Encoder:
    inputs: dict = {}  # noqa: RUF012

    def run(self, inputs):
        assert inputs["input_values"].shape[1] >= 8000
        return {"last_hidden_state": np.zeros((1, 7, 4), np.float32)}


TOKENS = [b"", b"", b"", "▁Hel".encode(), b"lo", "▁you".encode(), b"\xc3", b"\xa9"]


def test_greedy_decoding_with_a_cache():
    assert Transcriber(Encoder(), Scripted(3, 4, 5, END), TOKENS)(np.zeros(16_000, np.float32)) == "Hello you"
    assert Transcriber(Encoder(), Scripted(6, 7, END), TOKENS)(np.zeros(100, np.float32)) == "é"


def test_a_decoder_that_never_ends_is_stopped():
    decoder = Scripted(*[4] * 200)
    Transcriber(Encoder(), decoder, TOKENS)(np.zeros(32_000, np.float32))
    assert decoder.steps == 14  # 6.5 tokens a second, for two seconds
