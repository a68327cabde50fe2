"""Model second: a model that was trained to call tools may call skills, and then the reply is what the skill says.

Grammars were asked first and knew no answer. Only tools that change nothing are offered: a small model's guess must not
set an alarm or write a note.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from assistant import wire
from assistant.errors import SkillError
from assistant.models.tool_calls import first_call, loads, split_calls
from assistant.session.call_reader import CallReader, Text
from assistant.session.calling import Calling, calling
from assistant.session.constrained import Grammars
from assistant.session.reply import Outcome, Reply
from assistant.session.tools import read_tools
from assistant.session.transcript import ChatTemplate
from assistant.skills.registry import Registry, sentence


class SkillCalls:
    """What of the skills a model may call."""

    def __init__(self, skills: Registry, grammars: Grammars, template: ChatTemplate):
        self._skills, self._grammars, self._template = skills, grammars, template

    def calling(self, max_tokens: int, think: bool | None) -> Calling | None:
        """How a reply may call them; None where it may not, because the model knows no calls or all are off."""
        tools = [tool.schema() for tool in self._skills.tools() if not tool.acts]
        if not tools or not self._template.calls_tools:
            return None
        return calling(read_tools(tools, parallel=False), self._grammars, self._template, max_tokens, think)

    async def carried_out(
        self, outcome: Outcome, chat_id: str, status: Callable[[], wire.Ready] | None = None
    ) -> Outcome:
        """The same outcome, or if it called a skill, one whose text ends with what the skill says, word for word."""
        words, calls = split_calls(outcome.text)
        if not calls or outcome.finish_reason not in ("stop", "length"):
            return outcome
        name, arguments = calls[0].name, loads(calls[0].arguments)
        try:
            answer = await asyncio.to_thread(self._skills.call, name, arguments, chat_id=chat_id, status=status)
        except SkillError as error:
            answer = wire.SkillAnswer(skill=name, text=sentence(error))
        text = f"{words}\n{answer.text}" if words else answer.text
        return replace(outcome, text=text, finish_reason="stop", skill=answer)


def words_of(text: str) -> str:
    """An unfinished reply without the call that it may have begun."""
    found = first_call(text)
    return text if found < 0 else text[:found].rstrip()


class CalledReply:
    """A Reply whose calls are shown as what the skill says instead."""

    def __init__(self, reply: Reply):
        self._reply = reply
        self.cancel, self.done = reply.cancel, reply.done

    async def events(self) -> AsyncIterator[wire.StreamEvent]:
        """Deltas of the model's words, then SkillUsed and what it says if a skill was called, then the last event."""
        reader, shown = CallReader(), ""
        async for event in self._reply.events():
            match event:
                case wire.Delta():
                    text = "".join(piece.text for piece in reader.feed(event.text) if isinstance(piece, Text))
                    shown += text
                    yield wire.Delta(text=text, tokens=event.tokens, cost=event.cost)
                case wire.Finished():
                    if event.message.skill:
                        yield wire.SkillUsed(answer=event.message.skill)
                    if rest := event.message.content.removeprefix(shown):
                        yield wire.Delta(text=rest, tokens=0, cost=event.cost)
                    yield event
                case _:
                    yield event
