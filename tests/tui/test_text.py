"""The pure parts: thoughts cut at any place, figures, titles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant import wire
from assistant.tui.figures import cost_parts, count, digits, energy, fit, rate_parts, si
from assistant.tui.text import TITLE_LENGTH, printable, title_of
from assistant.tui.thoughts import ThoughtSplitter, split


@pytest.mark.parametrize(
    ("reply", "thought", "answer"),
    [
        ("<think>a b</think>\n\nanswer", "a b", "answer"),
        ("plain", "", "plain"),
        ("<thin ice", "", "<thin ice"),
        ("<think>never closed </thi", "never closed </thi", ""),
        ("see <think>x</think>", "", "see <think>x</think>"),
        ("\n<think></think>y", "", "y"),
        ("<think>a < b</think>c</think>", "a < b", "c</think>"),
        ("", "", ""),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_thoughts_are_found_wherever_the_pieces_are_cut(reply: str, thought: str, answer: str, size: int) -> None:
    splitter = ThoughtSplitter()
    pieces = [splitter.feed(reply[i : i + size]) for i in range(0, len(reply), size)]
    pieces.append(splitter.flush())
    assert "".join(t for t, _ in pieces).strip() == thought
    assert "".join(a for _, a in pieces) == answer
    assert split(reply) == (thought, answer)


@given(st.lists(st.sampled_from(["<think>", "</think>", "<", "th", "x", "\n", ">"]), max_size=12))
def test_the_cut_never_changes_the_result(pieces: list[str]) -> None:
    splitter = ThoughtSplitter()
    fed = [splitter.feed(piece) for piece in pieces]
    fed.append(splitter.flush())
    assert ("".join(t for t, _ in fed).strip(), "".join(a for _, a in fed)) == split("".join(pieces))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 J"), (1.0, "1.00 J"), (0.25, "250 mJ"), (1.234e-5, "12.3 µJ"), (1234, "1.23 kJ"),
     (0.99999, "1.00 J"), (5e-13, "0.00 nJ")],
)  # fmt: skip
def test_units_are_scaled(value: float, text: str) -> None:
    assert si(value, "J") == text


def test_three_digits() -> None:
    assert [digits(v) for v in (0.5, 9.876, 25.0, 123.4)] == ["0.50", "9.88", "25.0", "123"]
    assert [count(v) for v in (7, 3_100_000, 191_000_000, 2_900_000_000)] == [
        "7", "3.1M", "191M", "2.9B",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("basis", "text"),
    [
        ("measured", "2.00 J measured"),
        ("modelled", "~2.00 J modelled"),
        ("simulated", "◇2.00 J simulated"),
    ],
)
def test_energy_says_how_it_is_known(basis: wire.Basis, text: str) -> None:
    assert energy(wire.Cost(energy_j=2.0, energy_basis=basis)) == text


def test_the_strip_drops_whole_figures_and_keeps_speed_and_energy_longest() -> None:
    cost = wire.Cost(completion_tokens=4, tok_s=25.0, ms_per_token=40.0, ttft_s=0.12, energy_j=1.0)
    parts = [*rate_parts(cost), *cost_parts(cost)]
    whole = [text for _, text in parts]
    for width in range(200):
        shown = [part.strip() for part in fit(parts, width).split("·")]
        assert all(part in whole for part in shown)
        assert len(" · ".join(shown)) <= max(width, len(whole[0]))
    assert fit(parts, 32) == "25.0 tok/s · ~1.00 J modelled"


def test_nothing_is_made_up_before_the_first_token() -> None:
    assert [text for _, text in (*rate_parts(wire.Cost()), *cost_parts(wire.Cost()))] == ["0 tokens", "~0 J modelled"]


def test_the_share_of_the_wall_is_shown_where_it_is_known() -> None:
    near = wire.Cost(completion_tokens=4, wall_gb_s=50.0, wall_share=0.93, energy_j=9.0, j_per_token=0.5)
    texts = [text for _, text in (*rate_parts(near), *cost_parts(near))]
    assert any("93% of" in text for text in texts)
    assert "~500 mJ/token" in texts, "of the decode passes, not of the whole answer"


def test_titles_are_one_short_line() -> None:
    assert title_of("  a\n\tb  ") == "a b"
    assert len(title_of("word " * 100)) <= TITLE_LENGTH
    assert title_of("word " * 100).endswith("…")


@given(st.text())
def test_printable_text_has_no_control_characters(text: str) -> None:
    import unicodedata

    assert not [c for c in printable(text) if unicodedata.category(c) == "Cc" and c not in "\n\t"]
