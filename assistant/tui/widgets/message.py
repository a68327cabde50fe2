"""One message of the conversation: the person's as plain text, the model's as Markdown."""

from __future__ import annotations

import asyncio
from time import monotonic, thread_time
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from assistant import wire
from assistant.tui.figures import digits, energy
from assistant.tui.text import printable
from assistant.tui.thoughts import ThoughtSplitter, split
from assistant.tui.widgets.mood_tag import MoodTag
from assistant.tui.widgets.thought import Thought

REDRAW_S = 1 / 15
REST, LONGEST_S = 19.0, 0.05
"""A redraw costs the same for one token as for twenty, and the more the longer the conversation is.
After each, this many times its processor time is left to the daemon, which wants the same cores: redraws take a
twentieth of one at most. Longer than LONGEST_S does not count, so that words never stand still for a second."""
SLICE = 400
"""Characters that one redraw takes at most, and a third of what waits: what is drawn at once stops the keys."""
KEYS_FIRST_S, KEYS_FIRST = 0.04, 5
"""A key that was pressed so recently is shown before the next redraw begins; as often in a row at most."""

STATUS_WORDS: dict[str, str] = {
    "complete": "",
    "streaming": "being written",
    "cancelled": "stopped by you",
    "interrupted": "interrupted: the daemon went away · Ctrl+R answers again",
    "error": "failed",
}


class Note(Static):
    """A line below a message; takes no room while it has nothing to say."""

    def say(self, text: str, bad: bool = False) -> None:
        self.update(text)
        self.display = bool(text)
        self.set_class(bad, "-bad")


class Noted(Vertical):
    """A message with a line below it, which is made when there is something to say: a widget costs a page up 2 ms."""

    def __init__(self) -> None:
        super().__init__()
        self._note: Note | None = None
        self._composed = False

    def below(self) -> ComposeResult:
        """What is known to stand below by now; the rest is mounted."""
        self._composed = True
        if self._note:
            yield self._note

    def note(self, text: str, bad: bool = False) -> None:
        if self._note is None:
            if not text:
                return
            self._note = Note(markup=False)
            if self._composed:
                self.mount(self._note)
        self._note.say(text, bad)


class UserMessage(Noted):
    """What the person wrote, and plainly whether it has arrived."""

    HELP: ClassVar[str | None] = (
        "Your message. Below it, where emotion sensing is on, what it sounds like, as a word; the bar is how strongly, "
        "from calm to full. A reading of words, and never a diagnosis: 'perhaps' stands before what is as likely to be "
        "wrong as right."
    )

    def __init__(self, text: str, message_id: str | None = None, mood: wire.Mood | None = None):
        super().__init__()
        self.text = text
        self.message_id = message_id
        self.mood = mood
        self._text = Static(printable(text), markup=False, classes="text")

    def compose(self) -> ComposeResult:
        yield self._text
        if self.mood:
            yield MoodTag(self.mood)
        yield from self.below()

    def feel(self, mood: wire.Mood | None) -> None:
        self.mood = mood
        if tags := self.query_children(MoodTag):
            tags.first().show(mood)
        elif mood and self._composed:
            self.mount(MoodTag(mood), after=self._text)

    def shows(self, message: wire.Message) -> bool:
        return (self.message_id, self.text, self.mood) == (message.id, message.content, message.mood)

    def copy(self) -> UserMessage:
        """The same once more: a widget that was removed cannot come back."""
        twin = UserMessage(self.text, self.message_id, self.mood)
        if self._note:
            twin.note(str(self._note.content), self._note.has_class("-bad"))
        return twin


class AssistantMessage(Noted):
    """A reply, complete or being written; `write` never redraws all of it."""

    HELP: ClassVar[str | None] = "A reply of the model."

    def __init__(self, message: wire.Message | None = None, message_id: str | None = None):
        super().__init__()
        self.message_id = message.id if message else message_id
        self._message = message
        self._splitter = ThoughtSplitter()
        self._unwritten = self._written = ""
        self._writing = asyncio.Lock()
        self._waits = False  # a redraw is coming
        self._yielded = 0  # times in a row that it was put off for a key
        self._redraw_s = 0.0  # processor time of the last redraw, layout included
        thought, answer = split(printable(message.content)) if message else ("", "")
        self._thought = Thought(thought, thinking=False) if thought else None
        # Loaded beside the first paint (assistant.tui.warm).
        from assistant.tui.widgets.prose import Prose

        self.prose = Prose(answer)
        self._skill: wire.SkillAnswer | None = None
        if message:
            self.settle(message)

    def compose(self) -> ComposeResult:
        if self._thought:
            yield self._thought
        yield self.prose
        yield from self.below()

    async def on_mount(self) -> None:
        if self._message:
            await self.mark(self._message.skill)

    async def mark(self, answer: wire.SkillAnswer | None) -> None:
        """Say that a skill gave this reply, and show what it quotes."""
        if answer is None or self._skill is not None or not self.is_attached:
            return
        from assistant.tui.widgets.quote_line import QuoteLine
        from assistant.tui.widgets.skill_mark import SkillMark

        self._skill = answer
        await self.mount(SkillMark(answer), before=0)
        if answer.quotes:
            await self.mount_all(map(QuoteLine, answer.quotes), before=self._note)

    @property
    def text(self) -> str:
        """All of it, thoughts included, as it was written."""
        return self._message.content if self._message else self._written

    def shows(self, message: wire.Message) -> bool:
        """Whether nothing of this message would look different."""
        mine = self._message
        return mine is not None and (mine == message or _looks(mine) == _looks(message))

    async def write(self, piece: str) -> None:
        """Show a piece with the next redraw."""
        self._written += piece
        self._unwritten += piece
        self._plan(max(REDRAW_S, REST * self._redraw_s))

    async def finish(self) -> None:
        """Nothing more will be written."""
        while self._unwritten:
            await self._draw()
            await asyncio.sleep(0)  # keys come between
        await self._put(*self._splitter.flush())
        if self._thought:
            self._thought.thinking = False

    def settle(self, message: wire.Message) -> None:
        """Say how the reply ended and what it cost."""
        self.message_id, self._message = message.id, message
        words = [STATUS_WORDS[message.status]]
        if message.finish_reason == "length":
            words.append("cut at the token limit")
        if message.siblings > 1:
            words.append(f"answer {message.sibling_index + 1} of {message.siblings}")
        if message.cost and message.cost.completion_tokens:
            words.append(cost_note(message.cost))
        bad = message.status not in ("complete", "streaming")
        self.note(" · ".join(word for word in words if word), bad)

    def _plan(self, seconds: float) -> None:
        if not self._waits:
            self._waits = True
            self.set_timer(seconds, self._flush)

    async def _flush(self) -> None:
        self._waits = False
        if self._yielded < KEYS_FIRST and monotonic() - getattr(self.app, "key_at_s", 0.0) < KEYS_FIRST_S:
            self._yielded += 1
            self._plan(KEYS_FIRST_S)
            return
        self._yielded = 0
        await self._draw()
        if self._unwritten:
            self._plan(max(REDRAW_S, REST * self._redraw_s))

    async def _draw(self) -> None:
        async with self._writing:
            size = max(SLICE, len(self._unwritten) // 3)
            text, self._unwritten = self._unwritten[:size], self._unwritten[size:]
            began_s = thread_time()
            await self._put(*self._splitter.feed(text))
            self.call_after_refresh(self._redrawn, began_s)

    def _redrawn(self, began_s: float) -> None:
        self._redraw_s = min(thread_time() - began_s, LONGEST_S)

    async def _put(self, thought: str, answer: str) -> None:
        if not self.is_attached:
            return  # the person has moved to another chat
        if thought:
            if self._thought is None:
                self._thought = Thought()
                await self.mount(self._thought, before=self.prose)
            self._thought.add(thought)
        if answer:
            if self._thought:
                self._thought.thinking = False
            self.prose.append(printable(answer))


def _looks(message: wire.Message) -> tuple[object, ...]:
    return message.id, message.content, message.status, message.siblings, message.sibling_index, message.skill


def cost_note(cost: wire.Cost) -> str:
    tokens = cost.completion_tokens
    words = [f"{tokens} token" + ("" if tokens == 1 else "s")]
    if cost.tok_s is not None:
        words.append(f"{digits(cost.tok_s)} tok/s")
    return " · ".join([*words, energy(cost)])
