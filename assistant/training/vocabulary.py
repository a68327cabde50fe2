"""A trimmed world vocabulary: choosing the tokens, the file format, and a greedy longest-match tokenizer.

File format (that of RWKV's world vocabulary): a line per token, `id repr(text or bytes) length_in_bytes`. Token 0 (end
of text) has no line, 1..256 are the single bytes, then the most used world tokens under new numbers.
"""

import ast
import importlib.util
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

END_OF_TEXT = 0


def world_vocabulary_file() -> Path:
    """The full vocabulary inside the `rwkv` package, found without importing its torch model."""
    package = importlib.util.find_spec("rwkv")
    if package is None:
        raise FileNotFoundError("the `rwkv` package is needed for its vocabulary: pip install rwkv")
    return Path(package.submodule_search_locations[0]) / "rwkv_vocab_v20230424.txt"


def read_vocabulary(path: Path) -> dict[int, bytes]:
    """Token id -> bytes of a vocabulary file."""
    tokens = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        token_id, _, rest = line.partition(" ")
        literal, _, length = rest.rpartition(" ")
        value = ast.literal_eval(literal)
        data = value if isinstance(value, bytes) else value.encode()
        if len(data) != int(length):
            raise ValueError(f"{path.name}: token {token_id} is {len(data)} bytes long, not {length}")
        tokens[int(token_id)] = data
    return tokens


def write_vocabulary(path: Path, tokens: dict[int, bytes]) -> None:
    """Write a vocabulary file that any RWKV tool reads."""
    lines = []
    for token_id, data in sorted(tokens.items()):
        try:
            literal = repr(data.decode())
        except UnicodeDecodeError:
            literal = repr(data)
        lines.append(f"{token_id} {literal} {len(data)}\n")
    path.write_text("".join(lines), encoding="utf-8")


def keeps_segments_apart(data: bytes) -> bool:
    """Whether a token can never straddle a turn's end or a speaker's colon.

    Then a prompt ends in the same tokens whether the reply is already there or not, and a reply ends in "\\n\\n".
    """
    if b"\n" in data:
        return data in (b"\n", b"\n\n")
    return b":" not in data[:-1]


def trim(world: dict[int, bytes], texts: Iterable[str], size: int) -> dict[int, bytes]:
    """The `size`-token vocabulary of the tokens these texts use most."""
    usable = {token_id: data for token_id, data in world.items() if len(data) > 1 and keeps_segments_apart(data)}
    single_bytes = {byte + 1: bytes([byte]) for byte in range(256)}
    tokenizer = Tokenizer({**usable, **single_bytes})
    counts = Counter(token for text in texts for token in tokenizer.encode(text))
    ranked = [usable[token] for token, _ in counts.most_common() if token in usable]
    kept = sorted(ranked[: size - 257], key=lambda data: (len(data), data))
    return single_bytes | {257 + index: data for index, data in enumerate(kept)}


class Tokenizer:
    """Greedy longest match over bytes, as RWKV's world tokenizer does it."""

    def __init__(self, tokens: dict[int, bytes]):
        self.tokens = tokens
        self._ids = {data: token_id for token_id, data in tokens.items()}
        self._lengths: dict[bytes, list[int]] = {}  # first two bytes -> lengths of tokens that start so, longest first
        for data in self._ids:
            lengths = self._lengths.setdefault(data[:2], [])
            if len(data) not in lengths:
                lengths.append(len(data))
        for lengths in self._lengths.values():
            lengths.sort(reverse=True)
        self._cache: dict[str, list[int]] = {}

    @classmethod
    def from_file(cls, path: Path) -> "Tokenizer":
        return cls(read_vocabulary(path))

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""
        cached = self._cache.get(text)
        if cached is not None:
            return cached
        ids = self.encode_bytes(text.encode())
        if len(self._cache) < 500_000:
            self._cache[text] = ids
        return ids

    def encode_bytes(self, data: bytes) -> list[int]:
        """Token ids of any bytes."""
        position, ids = 0, []
        while position < len(data):
            for length in self._lengths.get(data[position : position + 2], ()):
                token_id = self._ids.get(data[position : position + length])
                if token_id is not None:
                    break
            else:
                length, token_id = 1, self._ids[data[position : position + 1]]
            ids.append(token_id)
            position += length
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of token ids; token 0 is nothing, broken UTF-8 becomes the replacement sign."""
        return b"".join(self.tokens.get(token_id, b"") for token_id in ids).decode("utf-8", "replace")
