"""Reading and writing vocabularies: RWKV's text format, GGUF metadata, and where the world vocabulary lies.

A line of the text format is `<id> <Python string or bytes literal> <length in bytes>`; ids start at 1,
because 0 is reserved for the end of a text. Source: `rwkv/rwkv_tokenizer.py` and its vocabulary file.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import warnings
from pathlib import Path

from assistant.errors import AssistantError, ModelFileError

WORLD_FILE = "rwkv_vocab_v20230424.txt"
MAX_VOCABULARY_BYTES = 64 << 20
# Findall over the whole text is four times faster than a Python loop over its lines.
LINE = re.compile(r"^(\d{1,9}) (b?)(['\"])(.*)\3 (\d{1,9})$", re.MULTILINE)
GGUF_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
GGUF_LETTERS = {b"t": b"\t", b"n": b"\n", b"r": b"\r"}
GET_VOCABULARY = "Use the vocabulary file that was published with the model"


def read_vocabulary(path: Path) -> list[bytes]:
    """The tokens by id; entry 0 is empty (end of text). Literals are parsed, never evaluated.

    Raises ModelFileError naming the first line that is not in order or has another length than declared.
    """
    try:
        if Path(path).stat().st_size > MAX_VOCABULARY_BYTES:
            raise _bad(path, "it is larger than any vocabulary")
        text = Path(path).read_bytes().replace(b"\r\n", b"\n").decode("utf-8")
    except OSError as error:
        raise ModelFileError("cannot read the vocabulary", where=path, why=error.strerror) from error
    except UnicodeDecodeError as error:
        raise _bad(path, f"it is not UTF-8 ({error.reason} at byte {error.start})") from error
    rows = LINE.findall(text)
    if not rows or len(rows) != text.rstrip("\n").count("\n") + 1:
        raise _bad(path, _first_bad_line(text))
    tokens: list[bytes] = []
    escaped = []
    for number, (_, kind, quote, body, _) in enumerate(rows):
        if kind or "\\" in body or quote in body:
            escaped.append(number)
            tokens.append(b"")
        else:
            tokens.append(body.encode())
    for number, value in zip(escaped, _literals([rows[n] for n in escaped], path), strict=True):
        tokens[number] = value
    for number, (row, token) in enumerate(zip(rows, tokens, strict=True), 1):
        if int(row[0]) != number:
            raise _bad(path, f"line {number} has the id {row[0]}, expected {number}")
        if int(row[4]) != len(token):
            raise _bad(path, f"line {number} declares {row[4]} bytes, its token has {len(token)}")
    return [b"", *tokens]


def write_vocabulary(tokens: list[bytes]) -> bytes:
    """The text format for tokens by id; entry 0 is not written. Readable by RWKV's own tokenizer."""
    lines = []
    for number, token in enumerate(tokens[1:], 1):
        try:
            literal = repr(token.decode("utf-8"))
        except UnicodeDecodeError:
            literal = repr(token)
        lines.append(f"{number} {literal} {len(token)}\n")
    return "".join(lines).encode("utf-8")


def gguf_vocabulary(metadata: dict, path: Path) -> list[bytes]:
    """The tokens of a GGUF file's metadata; llama.cpp escapes bytes as Python's repr does.

    Tokens at the end that are marked unused (paddings) are left out. Raises ModelFileError.
    """
    texts, kinds = metadata.get("tokenizer.ggml.tokens"), metadata.get("tokenizer.ggml.token_type")
    if metadata.get("tokenizer.ggml.model") != b"rwkv" or not isinstance(texts, list):
        raise _bad(path, "the file has no vocabulary of the kind 'rwkv' in its metadata")
    count = len(texts)
    unused = 5  # LLAMA_TOKEN_TYPE_UNUSED
    while count > 1 and kinds is not None and len(kinds) == len(texts) and kinds[count - 1] == unused:
        count -= 1
    return [b"", *(GGUF_ESCAPE.sub(_unescape, text) for text in texts[1:count])]


def world_vocabulary_file() -> Path:
    """The 65,536 vocabulary inside the `rwkv` package, found without importing that package."""
    spec = importlib.util.find_spec("rwkv")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (file := Path(folder) / WORLD_FILE).is_file():
            return file
    raise AssistantError(
        "the world vocabulary is missing",
        why=f"the Python package 'rwkv' with its {WORLD_FILE} is not installed",
        hint="Run: pip install rwkv",
    )


def _unescape(match: re.Match[bytes]) -> bytes:
    if match[1]:
        return bytes([int(match[1], 16)])
    return GGUF_LETTERS.get(match[2], match[2])


def _literals(rows: list[tuple[str, ...]], path: Path) -> list[bytes]:
    """All escaped tokens in one parse: a thousand separate ones would take longer than the rest."""
    source = ",\n".join(f"{kind}{quote}{body}{quote}" for _, kind, quote, body, _ in rows)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an escape that Python does not know
            values = ast.literal_eval(f"[{source}]")
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise _bad(path, f"a token is not a Python literal ({type(error).__name__})") from error
    try:
        tokens = [v if isinstance(v, bytes) else v.encode("utf-8") for v in values]
    except (AttributeError, UnicodeEncodeError) as error:
        raise _bad(path, "a token is neither text nor bytes") from error
    if len(tokens) != len(rows):
        raise _bad(path, "a line holds more than one token")
    return tokens


def _first_bad_line(text: str) -> str:
    for number, line in enumerate(text.split("\n"), 1):
        if not LINE.fullmatch(line):
            return f"line {number} is not '<id> <literal> <length>': {line[:60]!a}"
    return "it is empty"


def _bad(path: Path, why: str) -> ModelFileError:
    return ModelFileError("not a vocabulary file", where=path, why=why, hint=GET_VOCABULARY)
