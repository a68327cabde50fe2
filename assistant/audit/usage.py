"""Tokens that other tools have used, from the logs that they keep here: numbers, model, day, and nothing else.

The decoders name the fields that they read; whatever else a line holds is skipped without being kept.
"""

from __future__ import annotations

import contextlib
import datetime
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from assistant.audit.setup import is_harmless

DAYS = 30
MOST_FILES = 5000
LONGEST_LINE_B = 20_000_000


@dataclass
class Tokens:
    """What was used by one model in the last DAYS days."""

    model: str
    input: int = 0  # read anew
    cached: int = 0  # read from a cache
    output: int = 0
    requests: int = 0

    def add(self, input: int, output: int, cached: int = 0) -> None:
        self.input += max(0, input)
        self.output += max(0, output)
        self.cached += max(0, cached)
        self.requests += 1


class Tally(dict[str, Tokens]):
    """By model; names of models that look odd are not kept."""

    def add(self, model: str, input: int, output: int, cached: int = 0) -> None:
        name = model if is_harmless(model) else "?"
        self.setdefault(name, Tokens(name)).add(input, output, cached)


def read(reader: str, today: datetime.date | None = None) -> list[Tokens]:
    """Of the last DAYS days; nothing where there is no log, or none that can be read."""
    if reader not in READERS:
        return []
    since = (today or datetime.datetime.now(datetime.UTC).date()) - datetime.timedelta(days=DAYS)
    tally = Tally()
    with contextlib.suppress(OSError, sqlite3.Error):
        READERS[reader](tally, since)
    return sorted(tally.values(), key=lambda t: -(t.input + t.output))


# --- llm: SQLite, docs "Logging to SQLite" ---


def _llm(tally: Tally, since: datetime.date) -> None:
    file = Path.home() / ".config/io.datasette.llm/logs.db"
    if not file.exists():
        return
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=2) as db:
        rows = db.execute(
            "SELECT model, input_tokens, output_tokens FROM responses WHERE datetime_utc >= ?", [f"{since}"]
        )
        for model, read_, written in rows:
            tally.add(str(model), read_ or 0, written or 0)


# --- Claude Code: one JSON object a line, `message.usage` of the Messages API ---


class _ClaudeUsage(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0


class _ClaudeMessage(msgspec.Struct):
    id: str = ""
    model: str = ""
    usage: _ClaudeUsage | None = None


class _ClaudeLine(msgspec.Struct):
    timestamp: str = ""
    message: _ClaudeMessage | None = None


def _claude(tally: Tally, since: datetime.date) -> None:
    latest: dict[str, _ClaudeMessage] = {}  # a reply is logged once for each of its parts, with the same id
    for line in _lines(Path.home() / ".claude/projects", "*.jsonl", since, _ClaudeLine):
        message = line.message
        if message and message.usage and message.model and line.timestamp[:10] >= str(since):
            latest[message.id or str(len(latest))] = message
    for message in latest.values():
        u = message.usage
        tally.add(
            message.model, u.input_tokens + u.cache_creation_input_tokens, u.output_tokens, u.cache_read_input_tokens
        )


# --- Codex: rollout files; sums so far in events of the type token_count ---


class _CodexUsage(msgspec.Struct):
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0


class _CodexInfo(msgspec.Struct):
    last_token_usage: _CodexUsage | None = None


class _CodexPayload(msgspec.Struct):
    type: str = ""
    model: str = ""
    info: _CodexInfo | None = None


class _CodexLine(msgspec.Struct):
    timestamp: str = ""
    payload: _CodexPayload | None = None


def _codex(tally: Tally, since: datetime.date) -> None:
    model = "?"
    for line in _lines(Path.home() / ".codex/sessions", "*.jsonl", since, _CodexLine):
        if (payload := line.payload) is None:
            continue
        model = payload.model or model
        used = payload.info.last_token_usage if payload.type == "token_count" and payload.info else None
        if used and line.timestamp[:10] >= str(since):
            tally.add(model, used.input_tokens - used.cached_input_tokens, used.output_tokens, used.cached_input_tokens)


# --- opencode: one JSON file a message ---


class _OpencodeCache(msgspec.Struct):
    read: float = 0
    write: float = 0


class _OpencodeTokens(msgspec.Struct):
    input: float = 0
    output: float = 0
    reasoning: float = 0
    cache: _OpencodeCache = msgspec.field(default_factory=_OpencodeCache)


class _OpencodeMessage(msgspec.Struct):
    modelID: str = ""
    tokens: _OpencodeTokens | None = None


def _opencode(tally: Tally, since: datetime.date) -> None:
    for file in _files(Path.home() / ".local/share/opencode/storage/message", "*.json", since):
        message = _decoded(file.read_bytes(), _OpencodeMessage)
        if message and (t := message.tokens):
            tally.add(message.modelID, int(t.input + t.cache.write), int(t.output + t.reasoning), int(t.cache.read))


# --- Gemini CLI: one JSON file a session ---


class _GeminiTokens(msgspec.Struct):
    input: int = 0
    output: int = 0
    cached: int = 0
    thoughts: int = 0


class _GeminiMessage(msgspec.Struct):
    timestamp: str = ""
    model: str = ""
    tokens: _GeminiTokens | None = None


class _GeminiSession(msgspec.Struct):
    messages: list[_GeminiMessage] = []


def _gemini(tally: Tally, since: datetime.date) -> None:
    for file in _files(Path.home() / ".gemini/tmp", "session-*.json", since):
        session = _decoded(file.read_bytes(), _GeminiSession)
        for message in session.messages if session else []:
            if message.tokens and message.timestamp[:10] >= str(since):
                t = message.tokens
                tally.add(message.model, t.input - t.cached, t.output + t.thoughts, t.cached)


READERS: dict[str, Callable[[Tally, datetime.date], None]] = {
    "llm": _llm, "claude": _claude, "codex": _codex, "opencode": _opencode, "gemini": _gemini,
}  # fmt: skip


def _files(folder: Path, pattern: str, since: datetime.date) -> Iterator[Path]:
    """Those that were changed since then."""
    start = datetime.datetime.combine(since, datetime.time(), datetime.UTC).timestamp()
    for number, file in enumerate(sorted(folder.rglob(pattern))):
        if number >= MOST_FILES:
            return
        try:
            if file.stat().st_mtime >= start:
                yield file
        except OSError:
            continue


def _lines(folder: Path, pattern: str, since: datetime.date, kind: type) -> Iterator:
    for file in _files(folder, pattern, since):
        try:
            with file.open("rb") as lines:
                for line in lines:
                    if len(line) < LONGEST_LINE_B and (found := _decoded(line, kind)):
                        yield found
        except OSError:
            continue


def _decoded(raw: bytes, kind: type):
    """None for what is damaged or of another shape; the error would quote it."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
