"""ReplyText: stop strings over token borders, held UTF-8, and what is pending after every way to end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from assistant.engine import Verdict
from assistant.session.text import ReplyText


def decode(ids) -> bytes:
    """Token i of these tests is a byte, or one of a few longer tokens."""
    return b"".join(LONG.get(i, bytes([i]) if i < 256 else b"") for i in ids)


LONG = {300: b"\n\n", 301: b"User", 302: b".\n\n", 303: b" wor"}


def feed(text: ReplyText, ids) -> tuple[str, list[Verdict]]:
    shown, verdicts = "", []
    for i in ids:
        verdicts.append(text.push(i))
        shown += text.take()
        if verdicts[-1] is Verdict.STOP:
            break
    return shown, verdicts


def test_a_stop_string_over_three_tokens_is_never_shown():
    text = ReplyText(decode, ["\n\nUser:"])
    shown, verdicts = feed(text, [*b"Hi", 300, 301, ord(":")])
    assert shown + text.take(final=True) == "Hi"
    assert verdicts == [Verdict.CONTINUE] * 2 + [Verdict.HOLD] * 2 + [Verdict.STOP]
    assert text.pending(()) == b""  # the engine rolls back to before token 300


def test_what_looked_like_a_stop_is_shown_when_it_is_none():
    text = ReplyText(decode, ["\n\nUser:"])
    shown, verdicts = feed(text, [*b"Hi", 300, *b"Yo"])
    assert shown == "Hi\n\nYo"
    assert verdicts[-2] is Verdict.CONTINUE


def test_a_stop_inside_one_token_leaves_its_beginning_pending():
    text = ReplyText(decode, ["\n\n"])
    shown, verdicts = feed(text, [*b"Hi", 302])
    assert verdicts[-1] is Verdict.STOP
    assert shown + text.take(final=True) == "Hi."
    assert text.pending(()) == b"."  # kept, but the token that brought it was never fed


def test_held_text_is_released_when_the_reply_ends_otherwise():
    text = ReplyText(decode, ["\n\nUser:"])
    shown, _ = feed(text, [*b"Hi", 300])
    assert shown == "Hi"
    assert text.take(final=True) == "\n\n"
    assert text.pending((300,)) == b"\n\n"


def test_utf8_is_held_back_until_complete():
    text = ReplyText(decode, [])
    pieces = []
    for byte in "é€😀".encode():
        text.push(byte)
        pieces.append(text.take())
    assert pieces == ["", "é", "", "", "€", "", "", "", "😀"]
    text.push(0xF0)
    assert text.take(final=True) == "�"


@given(data=st.data())
def test_shown_plus_nothing_else_is_the_text_before_the_stop(data):
    """For any bytes and stops: what is shown is the text up to the first stop, and fed + pending is the same bytes."""
    stops = data.draw(st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3))
    ids = data.draw(st.lists(st.sampled_from([97, 98, 99, 10, 300, 302, 0xC3, 0xA9]), max_size=30))
    text, shown, fed, held_fed = ReplyText(decode, stops), "", b"", None
    for i in ids:
        verdict = text.push(i)
        shown += text.take()
        if verdict is Verdict.STOP:
            break
        if verdict is Verdict.CONTINUE:
            held_fed = None
        elif held_fed is None:
            held_fed = fed
        fed += decode([i])
    else:
        verdict = None
    shown += text.take(final=True)
    whole = decode(ids)
    found = [at for s in stops if (at := whole.find(s.encode())) >= 0]
    ends = []
    for n in range(len(ids) + 1):  # the stop is seen after the first token that completes one
        prefix = decode(ids[:n])
        at = [prefix.find(s.encode()) for s in stops if s.encode() in prefix]
        if at:
            ends.append(min(at))
            break
    kept = whole[: ends[0]] if found else whole
    assert shown == kept.decode("utf-8", "replace")
    if verdict is Verdict.STOP:
        rolled_back = fed if held_fed is None else held_fed
        assert rolled_back + text.pending(()) == kept
