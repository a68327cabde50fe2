"""A reply's text as it grows, told apart into text, the beginning of a tool call, and pieces of its arguments.

What comes of the pieces is what `split_calls` finds in the whole, except that the pieces of a call which breaks off
cannot be taken back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from assistant.models.tool_calls import END, HEAD, MARKER, first_call, split_calls

LONGEST_HEAD = 256  # characters; a call that has not told its name by then is read when the reply has ended
_HELD = re.compile(r"\s*(?:" + "|".join(re.escape(MARKER[:n]) for n in range(len(MARKER) - 1, 0, -1)) + r")?\Z")
_BRACE = re.compile(r"\s*}?\s*")
_WORTH_A_LOOK = re.compile(r'["\\{}]')


@dataclass(frozen=True, slots=True)
class Text:
    """Words for the person."""

    text: str


@dataclass(frozen=True, slots=True)
class CallBegun:
    """The model calls this function; its arguments follow."""

    name: str


@dataclass(frozen=True, slots=True)
class Arguments:
    """More of the JSON text of the last call's arguments."""

    text: str


Piece = Text | CallBegun | Arguments


class CallReader:
    """Reads one reply."""

    def __init__(self) -> None:
        self._text, self._at = "", 0  # all text so far; how much of it has been handed out
        self._found = 0  # where the call that is being read began
        self._step = self._words
        self._calls = self._said = 0  # calls begun; characters of text handed out
        self._fresh = True  # no text since the last call
        self._depth, self._in_string, self._escaped = 0, False, False
        self._final = False

    def feed(self, text: str) -> list[Piece]:
        """What has become certain with this text."""
        self._text += text
        out: list[Piece] = []
        while self._step(out):
            pass
        return out

    def close(self) -> list[Piece]:
        """The rest, once the reply has ended."""
        self._final = True
        return self.feed("")

    # Each step hands out what it can and tells whether another may follow at once.

    def _words(self, out: list[Piece]) -> bool:
        found = first_call(self._text, self._at)
        if found < 0:
            keep = len(self._text) if self._final else _HELD.search(self._text, self._at).start()
            text = self._text[self._at : keep]
            self._say(out, text.rstrip() if self._final and self._calls else text)
            self._at = keep
            return False
        text = self._text[self._at : found].rstrip()
        self._say(out, text)
        self._at, self._found, self._step = self._at + len(text), found, self._head
        return True

    def _say(self, out: list[Piece], text: str) -> None:
        if self._fresh and self._calls:
            text = text.lstrip()
            text = f"\n{text}" if text and self._said else text
        if text:
            out.append(Text(text))
            self._fresh, self._said = False, self._said + len(text)

    def _head(self, out: list[Piece]) -> bool:
        head = HEAD.match(self._text, self._found)
        if head and self._text.startswith("{", head.end()):
            out.append(CallBegun(head[1]))
            self._calls, self._fresh = self._calls + 1, True
            self._at, self._step = head.end(), self._arguments
            return True
        if not self._final and len(self._text) - self._found > LONGEST_HEAD:
            self._step = self._rest
        elif self._final:
            self._step = self._rest
            return True
        return False

    def _rest(self, out: list[Piece]) -> bool:
        """A call in another order than ours, or none: told when all of it is known."""
        if self._final and self._at < len(self._text):
            space = self._text[self._at : self._found]
            text, calls = split_calls(self._text[self._found :])
            text, self._at = space + text if text else "", len(self._text)
            self._say(out, text.rstrip() if self._calls else text)
            for call in calls:
                out += [CallBegun(call.name), Arguments(call.arguments)]
        return False

    def _arguments(self, out: list[Piece]) -> bool:
        end = self._at
        while end < len(self._text):
            if self._escaped:
                self._escaped, end = False, end + 1
                continue
            found = _WORTH_A_LOOK.search(self._text, end)
            end = found.end() if found else len(self._text)
            match found and found[0]:
                case '"':
                    self._in_string = not self._in_string
                case "\\":
                    self._escaped = self._in_string
                case "{" | "}" if not self._in_string:
                    self._depth += 1 if found[0] == "{" else -1
                    if not self._depth:
                        self._step = self._closing
                        break
        if end > self._at:
            out.append(Arguments(self._text[self._at : end]))
        self._at = end
        return self._step == self._closing

    def _closing(self, out: list[Piece]) -> bool:
        at = _BRACE.match(self._text, self._at).end()
        rest = self._text[at : at + len(END)]
        if rest != END and END.startswith(rest) and not self._final:
            return False
        self._at = at + len(END) if rest == END else at
        self._step = self._words
        return True
