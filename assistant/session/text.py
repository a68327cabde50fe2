"""The text of a reply as its tokens arrive: stop strings, held-back UTF-8, and what the state has consumed."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence

from assistant.engine import Verdict
from assistant.session.constrained import Bound


class ReplyText:
    """Turns sampled tokens into text; the engine's Stopper for one sequence.

    The engine calls `push` for each token and, because of HOLD, can roll the state back to before the first
    token that may have begun a stop string. So at the end `pending` is exactly the kept text which the state
    has not consumed, whichever way the reply ended.
    """

    def __init__(
        self, decode_bytes: Callable[[Sequence[int]], bytes], stops: Sequence[str], marker: bytes | None = None
    ):
        """`marker`: what stands behind it is bounded by a grammar, and no stop string ends it."""
        self._marker = marker
        self._decode_bytes = decode_bytes
        self._stops = [s.encode() for s in stops if s]
        self._longest = max(map(len, self._stops), default=0)
        self._raw = b""  # everything sampled
        self._shown = 0  # bytes of _raw handed out by take()
        self._showable = 0  # bytes that are surely part of the reply
        self._held_from: int | None = None  # bytes consumed by the state at the engine's snapshot
        self._stopped_at: int | None = None  # where the stop string begins
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> Verdict:
        piece, before = self._decode_bytes([token]), len(self._raw)
        self._raw += piece
        if self._marker and self._marker in self._raw[-len(piece) - len(self._marker) :]:
            self._stops, self._longest, self._marker = [], 0, None
        search_from = max(0, before - self._longest)
        found = [at for s in self._stops if (at := self._raw.find(s, search_from)) >= 0]
        if found:
            self._stopped_at = self._showable = min(found)
            if self._held_from is None:
                self._held_from = before
            return Verdict.STOP
        hold = self._possible_stop()
        self._showable = hold if hold is not None else len(self._raw)
        if hold is None:
            self._held_from = None
            return Verdict.CONTINUE
        if self._held_from is None:
            self._held_from = before
        return Verdict.HOLD

    def _possible_stop(self) -> int | None:
        """Where a suffix that may yet become a stop string begins."""
        for at in range(max(0, len(self._raw) - self._longest + 1), len(self._raw)):
            if any(s.startswith(self._raw[at:]) for s in self._stops):
                return at
        return None

    def take(self, final: bool = False) -> str:
        """New text that may be shown. `final` releases what was held, unless it belongs to a stop string."""
        end = len(self._raw) if final and self._stopped_at is None else self._showable
        piece, self._shown = self._raw[self._shown : end], max(self._shown, end)
        return self._utf8.decode(piece, final)

    def pending(self, unfed: Sequence[int]) -> bytes:
        """Kept bytes which the final state has not consumed. `unfed`: the engine's kept tokens that were not fed."""
        if self._stopped_at is not None:
            return self._raw[self._held_from : self._stopped_at]
        return self._decode_bytes(unfed) if unfed else b""


def reply_text_of(
    decode_bytes: Callable[[Sequence[int]], bytes], constraint: Bound | None, stops: Sequence[str]
) -> ReplyText:
    """The text of a reply: what is free ends with a stop string, what a grammar bounds ends with the grammar."""
    if constraint is None:
        return ReplyText(decode_bytes, stops)
    return ReplyText(decode_bytes, stops if constraint.marker else (), constraint.marker)
