"""Text to token ids and back: RWKV's greedy longest match over bytes, for any vocabulary.

Plain dictionaries instead of a trie: three quarters of the work is then done by slicing and hashing in C.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from assistant.errors import ModelFileError
from assistant.models.vocabulary import GET_VOCABULARY, read_vocabulary

END_OF_TEXT = 0
"""Begins every context and ends a text; stands for no bytes."""
BYTES = [bytes([b]) for b in range(256)]
SHORT = 3  # tokens of up to 3 bytes are tried directly; longer ones are found by their first 4


class Tokenizer:
    """`size` is the number of ids it may give, at most the model's vocabulary."""

    def __init__(self, tokens: list[bytes], where: object = None):
        """Tokens by id; entry 0 is the end of text unless all 256 ids are bytes.

        Raises ModelFileError if a token appears twice or is empty, or one of the 256 bytes is missing.
        """
        self.tokens = tokens
        self.size = len(tokens)
        first = 0 if tokens[0] else 1
        self._ids = dict(zip(tokens[first:], range(first, len(tokens)), strict=True))
        why = None
        if len(self._ids) != len(tokens) - first:
            why = "a token appears twice"
        elif b"" in self._ids:
            why = f"token {self._ids[b'']} is empty"
        elif missing := [b[0] for b in BYTES if b not in self._ids]:
            why = f"{len(missing)} of the 256 single bytes are missing, the first is {missing[0]}"
        if why:
            raise ModelFileError("not a vocabulary", where=where, why=why, hint=GET_VOCABULARY)

    @classmethod
    def from_file(cls, path: Path) -> Tokenizer:
        """A vocabulary in RWKV's text format. Raises ModelFileError."""
        return cls(read_vocabulary(path), path)

    @classmethod
    def byte_level(cls, size: int = 257) -> Tokenizer:
        """One token per byte. 257: byte + 1, and 0 ends a text; 256: the byte itself, so NUL ends a text."""
        if size not in (256, 257):
            raise ValueError(f"a byte-level vocabulary has 256 or 257 entries, not {size}")
        return cls(BYTES if size == 256 else [b"", *BYTES])

    @cached_property
    def _lengths(self) -> dict[bytes, tuple[int, ...]]:
        """First 4 bytes -> lengths of the tokens that begin so, longest first."""
        found: dict[bytes, set[int]] = {}
        for token in self._ids:
            if len(token) > SHORT:
                found.setdefault(token[: SHORT + 1], set()).add(len(token))
        return {head: tuple(sorted(lengths, reverse=True)) for head, lengths in found.items()}

    def encode(self, text: str | bytes) -> list[int]:
        """Token ids of any bytes, or of a text's UTF-8; never the end of text, except NUL for size 256."""
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
        lengths, find = self._lengths.get, self._ids.get
        at, end, ids = 0, len(data), []
        while at < end:
            for length in lengths(data[at : at + 4], ()):
                token = find(data[at : at + length])
                if token is not None:
                    break
            else:
                for length in (3, 2, 1):
                    token = find(data[at : at + length])
                    if token is not None:
                        break
            ids.append(token)
            at += length
        return ids

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of the tokens. Ids without a token (end of text, padding of the model) give none."""
        tokens, size = self.tokens, self.size
        return b"".join([tokens[i] for i in ids if 0 <= i < size])

    def decode(self, ids: Iterable[int]) -> str:
        """As text; bytes that are not UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")


class StreamDecoder:
    """Turns ids into text as they come, holding back a character until its last byte is there."""

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, ids: int | Iterable[int]) -> str:
        """The text that has become certain; often empty in the middle of a character."""
        return self._utf8.decode(self._tokenizer.decode_bytes([ids] if isinstance(ids, int) else ids))

    def flush(self) -> str:
        """The end: what is still held back becomes U+FFFD. The decoder may be used again after it."""
        text = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        return text
