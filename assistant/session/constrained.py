"""Replies that are JSON, and the JSON that a schema asks for: llguidance's token masks, and an end that always fits.

llguidance (https://github.com/guidance-ai/llguidance) says after each token which may follow; it is loaded with the
first request that needs it. What it leaves open is the end: a limit on tokens may cut JSON in the middle. So each pick
also keeps the shortest way to a complete text in mind, and takes it while the tokens for it are still there.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from assistant.engine import Constraint
from assistant.errors import RequestError

ANY_OBJECT = {"type": "object"}
OPTIONS = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""One way to write each value: a small model with free whitespace writes little else."""
END = 0
KEPT = 8  # compiled grammars
LONGEST_PLAN = 512  # tokens; a schema whose shortest answer is longer is refused
NEAR = 64  # tokens: nearer to the limit than four plans and this, every pick looks for a plan
OPENERS = frozenset(b'{[:,"')  # only such a token, or a pattern, can make the way out longer
CLOSERS = b'}],"'
LAST_RESORT = b" -[{"


class Grammars:
    """Compiles schemas for one model's vocabulary. Thread-safe: compiling a large schema takes its time."""

    def __init__(self, tokens: Sequence[bytes], vocab: int, encode: Callable[[bytes], list[int]]):
        """tokens: by id, entry 0 is the end of text. vocab: rows of the model's logits, at least as many."""
        self.tokens, self.vocab, self._encode = tokens, vocab, encode
        self._lock = threading.Lock()
        self._compiled: OrderedDict[str, Grammar] = OrderedDict()  # a client sends the same again and again

    def compile(self, schema: object, *, lenient: bool = False) -> Grammar:
        """Raises RequestError 400 with llguidance's reason for a schema that is wrong or that it cannot enforce.

        `lenient`: words of a schema that it does not know bound nothing; the grammar's `warnings` name them.
        """
        return self.compile_grammar(f'start: " "? json\njson: {answer_rule(schema, lenient=lenient)}\n')

    def compile_grammar(self, grammar: str) -> Grammar:
        """A grammar in llguidance's dialect of Lark, JSON in it as `json_rule` writes it. Raises RequestError."""
        import llguidance

        with self._lock:
            if known := self._compiled.get(grammar):
                self._compiled.move_to_end(grammar)
                return known
            try:
                matcher = llguidance.LLMatcher(self._tokenizer, grammar, log_level=0)
            except (ValueError, RecursionError) as error:
                raise _refused(error) from error
            if matcher.is_error():
                raise _refused(_reason(matcher.get_error()))
            made = self._compiled[grammar] = Grammar(matcher, self)
            if len(self._compiled) > KEPT:
                self._compiled.popitem(last=False)
            return made

    def encode(self, text: bytes) -> list[int]:
        """Text as tokens of this vocabulary."""
        return self._encode(text)

    @cached_property
    def _tokenizer(self):
        import llguidance

        unused = [b""] * (self.vocab - len(self.tokens))
        vocabulary = _Vocabulary([b"<|end|>", *self.tokens[1:], *unused], self._encode)
        wrapper = llguidance.TokenizerWrapper(vocabulary)
        return llguidance.LLTokenizer(wrapper, n_vocab=self.vocab, slices=llguidance.LLTokenizer.json_slices())

    @cached_property
    def byte_ids(self) -> np.ndarray:
        """i64[256]: the token of each single byte."""
        ids = {token: i for i, token in enumerate(self.tokens) if len(token) == 1 and i != END}
        return np.array([ids.get(bytes([b]), -1) for b in range(256)])

    @cached_property
    def opens(self) -> np.ndarray:
        """bool[V]: tokens that can begin something that has to be ended."""
        flags = np.zeros(self.vocab, bool)
        flags[: len(self.tokens)] = [not OPENERS.isdisjoint(token) for token in self.tokens]
        return flags


def json_rule(schema: dict[str, Any], *, lenient: bool = False) -> str:
    """The right side of a grammar's rule for JSON that fits a schema, in one spelling."""
    return "%json " + json.dumps(schema | {"x-guidance": OPTIONS | {"lenient": lenient}})


def answer_rule(schema: object, *, lenient: bool = False) -> str:
    """The same for a schema that somebody has sent. Raises RequestError."""
    if schema is True:
        schema = {}
    if not isinstance(schema, dict):
        raise _refused("a schema is a JSON object")
    return json_rule(schema, lenient=lenient)


class Grammar:
    """One compiled schema."""

    def __init__(self, matcher, grammars: Grammars):
        self._matcher, self._grammars = matcher, grammars
        self.warnings: list[str] = matcher.get_grammar_warnings()  # words of schemas that bind nothing

    def constraint(self, max_tokens: int, prefix: str = "", suffix: str = "") -> JsonConstraint:
        """For one reply. Raises RequestError 400 if no complete text is found within `max_tokens` and LONGEST_PLAN."""
        made = JsonConstraint(self._matcher.deep_copy(), self._grammars, max_tokens, prefix, suffix)
        if made.plan is None:
            raise RequestError(f"no answer of {min(max_tokens, LONGEST_PLAN)} tokens fits the schema",
                               code="unsupported_schema", hint="raise max_tokens, or ask for less")  # fmt: skip
        return made


class Bound(Constraint, Protocol):
    """A constraint as a session needs it."""

    prefix: str  # what is written for the model at the beginning of its reply
    suffix: str  # and at the end, once `ended`
    marker: bytes | None  # stop strings end the reply until it has written this; None: they never do, the grammar does


class JsonConstraint:
    """The grammar's side of one reply (see assistant.engine.Constraint and Bound)."""

    marker = None

    def __init__(self, matcher, grammars: Grammars, max_tokens: int, prefix: str = "", suffix: str = ""):
        self.prefix, self.suffix = prefix, suffix
        self._matcher, self._grammars = matcher, grammars
        self._place = Place()
        self.plan = self._way_out(matcher, self._place, max_tokens)  # tokens that complete the text, if looked for
        self._plan_tokens = len(self.plan or ())  # length of the last plan
        self.ended = self.cut = False

    def pick(self, logits: np.ndarray, remaining: int, sample: Callable[[np.ndarray], int]) -> int:
        """The next token. Raises ValueError when none is allowed."""
        if self.cut:
            token = self.plan.pop(0) if self.plan else END
        else:
            allowed = _allowed(self._matcher, len(logits))
            if not allowed.any():
                raise ValueError(f"no token is allowed: {self._matcher.get_error() or self._matcher.stop_reason()}")
            token = self._affordable(sample(np.where(allowed, logits, np.float32(-np.inf))), remaining)
        if not self._matcher.consume_token(token):
            raise ValueError(f"the grammar refuses its own token {token}: {self._matcher.get_error()}")
        self._place = self._place.after(self._grammars.tokens[token])
        self.ended = self._matcher.is_stopped() or (self.cut and not self.plan)
        return token

    def _affordable(self, token: int, remaining: int) -> int:
        """The token, or the first one of the plan if after it too few were left to complete the text."""
        risky = self._grammars.opens[token] and remaining <= 8 * self._plan_tokens + LONGEST_PLAN
        risky = risky or remaining <= 4 * self._plan_tokens + NEAR
        if token == END or not risky:
            self.plan = None
            return token
        after = self._matcher.deep_copy()
        after.consume_token(token)
        plan = self._way_out(after, self._place.after(self._grammars.tokens[token]), remaining - 1)
        if plan is None:
            before = self.plan if self.plan is not None else self._way_out(self._matcher, self._place, remaining)
            if before is not None:
                self.cut, self.plan = True, before[1:]
                return before[0] if before else END
        self.plan, self._plan_tokens = plan, len(plan or ())
        return token

    def _way_out(self, matcher, place: Place, limit: int) -> list[int] | None:
        """A short run of tokens that completes the text, or None if none of up to `limit` tokens is found.

        Greedy: what closes comes first, then digits and letters, then whatever else is allowed. Digits go round, so
        that a number with a condition on its last digits is met in the end.
        """
        matcher = matcher.deep_copy()
        limit = min(limit, LONGEST_PLAN)
        path: list[int] = []
        while not (matcher.is_accepting() or matcher.is_stopped()):
            if matcher.is_error() or len(path) >= limit:
                return None
            forced = matcher.compute_ff_tokens() or [self._closing(matcher, place, len(path))]
            if forced[0] < 0 or not matcher.consume_tokens(forced):
                return None
            path += forced
            place = place.after(b"".join(self._grammars.tokens[token] for token in forced))
        return None if matcher.is_error() or len(path) > limit else path

    def _closing(self, matcher, place: Place, step: int) -> int:
        digits = bytes((step + i) % 10 + ord("0") for i in range(10))
        letters = bytes(range(ord("a"), ord("z") + 1)) + bytes(range(ord("A"), ord("Z") + 1))
        first = (b'"' if place.in_string else CLOSERS) + digits + letters
        rest = bytes(b for b in range(256) if b not in first and b not in LAST_RESORT)
        allowed = _allowed(matcher, self._grammars.vocab)
        ids = self._grammars.byte_ids[np.frombuffer(first + rest + LAST_RESORT, np.uint8)]
        usable = (ids >= 0) & allowed[ids]
        if usable.any():
            return int(ids[np.argmax(usable)])
        return int(np.argmax(allowed)) if allowed.any() else -1


class Place(NamedTuple):
    """Where in a JSON text we are: within a string a brace is a letter."""

    in_string: bool = False
    escaped: bool = False

    def after(self, text: bytes) -> Place:
        in_string, escaped = self
        for byte in text:
            if escaped:
                escaped = False
            elif byte == ord('"'):
                in_string = not in_string
            elif byte == ord("\\"):
                escaped = in_string
        return Place(in_string, escaped)


class _Vocabulary:
    """What llguidance asks of a tokenizer."""

    eos_token_id, bos_token_id, special_token_ids = END, None, [END]

    def __init__(self, tokens: list[bytes], encode: Callable[[bytes], list[int]]):
        self.tokens, self._encode = tokens, encode

    def __call__(self, text: bytes) -> list[int]:
        return self._encode(text)


def response_schema(response_format: dict[str, Any] | None) -> object | None:
    """OpenAI's `response_format` as a schema; None for plain text. Raises RequestError."""
    kind = (response_format or {}).get("type", "text")
    if kind == "text":
        return None
    if kind == "json_object":
        return ANY_OBJECT
    if kind == "json_schema":
        outer = response_format.get("json_schema")
        if isinstance(outer, dict) and "schema" in outer:
            return outer["schema"]
        raise RequestError("response_format has no schema", code="invalid_field",
                           hint='write {"type": "json_schema", "json_schema": {"name": ..., "schema": {...}}}')  # fmt: skip  # noqa: E501
    raise RequestError(f"response_format has the type {str(kind)[:40]!a}", code="unsupported",
                       why="types are text, json_object and json_schema")  # fmt: skip


def _allowed(matcher, vocab: int) -> np.ndarray:
    """bool[V]: the tokens that may come next."""
    mask = np.frombuffer(matcher.compute_bitmask(), np.uint8)
    return np.unpackbits(mask, count=vocab, bitorder="little").astype(bool)


def _refused(why: object) -> RequestError:
    return RequestError("the schema cannot be used", code="unsupported_schema", why=why,
                        hint="leave out what it names; see docs/api.md")  # fmt: skip


def _reason(message: str) -> str:
    """llguidance's first line that says something, without its place in a grammar that the client never saw."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    first = lines[0].rpartition("failed to compile JSON schema: ")[2] if lines else "no reason given"
    detail = next((line for line in lines if line.startswith("error:")), "") if first.endswith(":") else ""
    return f"{first} {detail.removeprefix('error:')}".strip()[:300]
