"""Encoding equals RWKV's own tokenizer; vocabularies are checked; streamed text never breaks a character."""

import importlib.util
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.errors import ModelFileError
from assistant.models.gguf_file import read_gguf
from assistant.models.tokenizer import StreamDecoder, Tokenizer
from assistant.models.vocabulary import (
    gguf_vocabulary,
    read_vocabulary,
    world_vocabulary_file,
    write_vocabulary,
)
from tests.unit.models.files import small_tensors, write_gguf

BYTES = [bytes([b]) for b in range(256)]
EXTRA = [
    b"th",
    b"the",
    b" the",
    b" there",
    "ß".encode(),
    "你好".encode(),
    b"\xe4\xbd",
    b"'",
    b'"',
    b"\\n\n",
    b"aaaaaaaa",
]
TOKENS = [b"", *dict.fromkeys([*BYTES, *EXTRA])]


@pytest.fixture(scope="session")
def world() -> Tokenizer:
    return Tokenizer.from_file(world_vocabulary_file())


def rwkv_tokenizer(vocabulary):
    """RWKV's own, loaded by path: importing the package is not needed."""
    path = world_vocabulary_file().with_name("rwkv_tokenizer.py")
    spec = importlib.util.spec_from_file_location("rwkv_tokenizer_by_path", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TRIE_TOKENIZER(str(vocabulary))


WORDS = """
the of and in to a is that was for on with as it by at from his an be this which or are not but had
have they one Größe façade naïve
你好世界 人工智能 日本語テキスト 한국어 Привет мир עברית
العربية हिन्दी ไทย 😀 👩‍👩‍👧‍👦 🇫🇷
def return self import == != += -> {} [] () \\n \\t // /* */ 3.14159 2026-11-23 0x7fff
https://example.org/a?b=c
User: Assistant:
"""
SCRIPTS = [(0x20, 0x2FF), (0x4E00, 0x9FFF), (0x1F300, 0x1FAFF)]


def mixed_text() -> bytes:
    """About 400 kB of words, code, numbers, many scripts, emoji and bytes that are no text."""
    rng = random.Random(1)
    words = WORDS.split()
    parts: list[bytes] = []
    for _ in range(60_000):
        kind = rng.random()
        if kind < 0.9:
            word = rng.choice(words)
            word = word.capitalize() if rng.random() < 0.1 else word
            parts.append((word + rng.choice([" ", " ", " ", ", ", ".\n", "\n\n", "  ", ""])).encode())
        elif kind < 0.95:
            parts.append(rng.randbytes(rng.randint(1, 12)))
        else:
            parts.append("".join(chr(rng.randint(*rng.choice(SCRIPTS))) for _ in range(8)).encode())
    return b"".join(parts)


def test_same_ids_as_rwkv(world):
    theirs, data = rwkv_tokenizer(world_vocabulary_file()), mixed_text()
    ids = world.encode(data)
    assert ids == theirs.encodeBytes(data)
    assert world.decode_bytes(ids) == data
    assert len(data) / len(ids) > 2
    tail = data[:200]
    for cut in range(1, len(tail)):
        assert world.encode(tail[:cut]) == theirs.encodeBytes(tail[:cut])


def test_a_trimmed_vocabulary_encodes_as_rwkv_does(tmp_path):
    (tmp_path / "v").write_bytes(write_vocabulary(TOKENS))
    ours, theirs = Tokenizer.from_file(tmp_path / "v"), rwkv_tokenizer(tmp_path / "v")
    data = b" there the therethe ' \" \\n\n aaaaaaaaaaaaaaaaaaaa " + "Straße 你好你".encode() + mixed_text()[:20_000]
    assert ours.encode(data) == theirs.encodeBytes(data)


def test_world_size_and_samples(world):
    assert world.size == 65530
    assert world.encode("Hello world") == [33155, 40213]
    assert world.decode([33155, 0, 40213, 65535, -1, 10**9]) == "Hello world"


@given(data=st.binary(max_size=60))
def test_any_bytes_come_back(data):
    tokenizer = Tokenizer(TOKENS)
    assert tokenizer.decode_bytes(tokenizer.encode(data)) == data


def test_text_with_lone_surrogates_is_encoded_somehow():
    tokenizer = Tokenizer(TOKENS)
    assert tokenizer.decode(tokenizer.encode("a\ud800b"))[0] == "a"


@pytest.mark.parametrize("size", [256, 257])
def test_byte_level(size):
    tokenizer = Tokenizer.byte_level(size)
    assert tokenizer.size == size
    assert tokenizer.encode("aé") == [b + size - 256 for b in "aé".encode()]
    assert tokenizer.decode(tokenizer.encode("aé")) == "aé"


def test_byte_level_of_another_size():
    with pytest.raises(ValueError, match="256 or 257"):
        Tokenizer.byte_level(300)


@given(text=st.text(max_size=30), extra=st.binary(max_size=8), seed=st.integers(0, 99))
@settings(max_examples=200)
def test_streamed_pieces_make_the_whole_text(text, extra, seed):
    data = text.encode() + extra
    tokenizer, rng = Tokenizer.byte_level(), random.Random(seed)
    ids, pieces, at = tokenizer.encode(data), [], 0
    stream = StreamDecoder(tokenizer)
    while at < len(ids):
        count = rng.randint(1, 3)
        pieces.append(stream.feed(ids[at : at + count]))
        at += count
    assert "".join(pieces) + stream.flush() == data.decode("utf-8", "replace")


def test_half_a_character_is_held_back():
    tokenizer = Tokenizer.byte_level()
    first, second, third, fourth = tokenizer.encode("😀")
    stream = StreamDecoder(tokenizer)
    assert [stream.feed(i) for i in (first, second, third)] == ["", "", ""]
    assert stream.feed(fourth) == "😀"
    assert stream.feed([first, second]) == ""
    assert stream.flush() == "\ufffd"
    assert stream.feed(tokenizer.encode("a")) == "a"


@pytest.mark.parametrize("quote_style", ["as written", "windows line ends", "no last line end"])
def test_vocabulary_round_trip(tmp_path, quote_style):
    text = write_vocabulary(TOKENS)
    if quote_style == "windows line ends":
        text = text.replace(b"\n", b"\r\n")
    elif quote_style == "no last line end":
        text = text.removesuffix(b"\n")
    (tmp_path / "v").write_bytes(text)
    assert read_vocabulary(tmp_path / "v") == TOKENS


def test_gguf_vocabulary(tmp_path):
    file = read_gguf(write_gguf(tmp_path / "m", small_tensors(), tokens=TOKENS))
    assert gguf_vocabulary(file.metadata, tmp_path) == TOKENS
    with pytest.raises(ModelFileError, match="no vocabulary"):
        gguf_vocabulary({}, tmp_path)


BODY = write_vocabulary(TOKENS).decode()
NEXT = len(TOKENS)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", "empty|line 1"),
        (BODY.replace("\n5 ", "\n6 ", 1), "line 5 has the id 6"),
        (BODY.replace("\n258 'the' 3", "\n258 'the' 4"), "line 258 declares 4 bytes"),
        (BODY + f"{NEXT} 'the' 3\n", "appears twice"),
        (BODY + f"{NEXT} '' 0\n", "is empty"),
        (BODY + "0 'x' 1\n", "has the id 0"),
        (BODY + f"{NEXT} open('x') 3\n", f"line {NEXT} is not"),
        (BODY + f"{NEXT} 'a'+'b' 2\n", "not a Python literal"),
        (BODY + f"{NEXT} 'a' if 1 else 'b' 2\n", "not a Python literal"),
        (BODY + f"{NEXT} 'a\\x', 'b' 2\n", "not a Python literal"),
        (BODY + f"{NEXT} 'ab\\n','c' 4\n", "more than one token"),
        (BODY + f"{NEXT} '\\q' 2\n", "not a Python literal"),
        (BODY + f"{NEXT} '\\ud800' 3\n", "neither text nor bytes"),
        (BODY + "junk\n", f"line {NEXT} is not"),
        ("1 'a' 1\n", "255 of the 256 single bytes are missing, the first is 0"),
    ],
    ids=["empty", "order", "length", "twice", "nothing", "zero", "call", "sum", "condition",
         "open escape", "two", "escape", "surrogate", "junk", "bytes missing"],
)  # fmt: skip
def test_bad_vocabularies(tmp_path, content, match):
    (tmp_path / "v").write_text(content, "utf-8", newline="")
    with pytest.raises(ModelFileError, match=match):
        Tokenizer.from_file(tmp_path / "v")


def test_no_vocabulary_is_ever_evaluated(tmp_path):
    canary = tmp_path / "canary"
    call = f"__import__('pathlib').Path('{canary}').touch()"
    for line in (call, f"'\\n' + {call} + ''", f"'{{'\\n'}}{call}'"):
        (tmp_path / "v").write_text(f"{BODY}{NEXT} {line} 3\n", "utf-8")
        with pytest.raises(ModelFileError):
            Tokenizer.from_file(tmp_path / "v")
    assert not canary.exists()


def test_not_utf8_and_missing(tmp_path):
    (tmp_path / "v").write_bytes(b"1 '\xff' 1\n")
    with pytest.raises(ModelFileError, match="not UTF-8"):
        read_vocabulary(tmp_path / "v")
    with pytest.raises(ModelFileError, match="No such file"):
        read_vocabulary(tmp_path / "none")
