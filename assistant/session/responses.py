"""Stored responses (OpenAI's Responses API): each a reply in a hidden chat, so that the next goes on from its state."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from assistant import wire
from assistant.errors import RequestError
from assistant.history import History
from assistant.models.tool_calls import offer, split_calls
from assistant.session.chats import TITLE_CHARS, Chats
from assistant.session.constrained import Bound
from assistant.session.messages import conversation
from assistant.session.reply import Reply

PREFIX = "resp_"


class Asked(msgspec.Struct, kw_only=True):
    """What is kept of a request beside its messages, to be told again and to go on from."""

    instructions: str | None = None
    developer: str = ""  # system and developer messages of this input and of the ones before it
    previous_response_id: str | None = None
    metadata: dict[str, str] = {}
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    format: dict = {}
    store: bool = True
    tools: list = []  # as they were sent
    tool_choice: str | dict = "none"
    parallel_tool_calls: bool = False
    functions: list = []  # told to the model
    reads_calls: bool = False  # the reply may hold calls
    tool_notes: list[str] = []
    items: list[dict] = []  # the input, if there was more to it than messages

    @property
    def system(self) -> str:
        return offer("\n".join(part for part in (self.instructions, self.developer) if part), self.functions)


@dataclass(frozen=True, slots=True)
class Stored:
    """A response as the history has it."""

    message: wire.Message
    asked: Asked
    inputs: list[wire.Message]  # the messages that came with its request

    @property
    def calls(self) -> dict[str, str]:
        """The calls that it made: id -> function."""
        calls = split_calls(self.message.content)[1] if self.asked.reads_calls else []
        return {call_id(self.message.id, n): call.name for n, call in enumerate(calls)}


def call_id(stem: str, n: int) -> str:
    """The id of a response's n-th call, the same whenever it is told. `stem`: the response's id without PREFIX."""
    return f"call_{stem}_{n}"


class Responses:
    """All stored responses of one daemon. Call it on the event loop."""

    def __init__(self, chats: Chats, history: History):
        self._chats, self._history = chats, history

    def get(self, response_id: str) -> Stored:
        """Raises RequestError 404."""
        message_id = _message_id(response_id)
        first_id, request = self._history.response(message_id)
        message = self._history.message(message_id)
        path = self._history.path(message.chat_id, message.parent_id)
        start = next((i for i, m in enumerate(path) if m.id == first_id), 0)
        return Stored(message, msgspec.json.decode(request, type=Asked), path[start:])

    def delete(self, response_id: str) -> None:
        """Forget it; with the last response of a conversation its text goes too. Raises RequestError 404."""
        if (chat_id := self._history.delete_response(_message_id(response_id))) is not None:
            self._chats.delete(chat_id)

    def context(self, asked: Asked, messages: list[wire.ChatMessage]) -> list[wire.ChatMessage]:
        """The whole conversation, for a response that is not stored. Raises RequestError."""
        past, calls = [], {}
        if asked.previous_response_id:
            previous = self._previous(asked)
            past = [wire.ChatMessage(role=m.role, content=m.content)
                    for m in self._history.path(previous.message.chat_id, previous.message.id)]  # fmt: skip
            calls = previous.calls
        system, now = _split(messages, calls)
        asked.developer = "\n".join(part for part in (asked.developer, system) if part)
        head = [wire.ChatMessage(role="system", content=asked.system)] if asked.system else []
        return [*head, *past, *now]

    def create(
        self,
        asked: Asked,
        messages: list[wire.ChatMessage],
        sampling: wire.SendMessage,
        client: str,
        constraint: Bound | None,
    ) -> tuple[wire.Message, Reply]:
        """Store the input, start the reply. Its message is on disk when this returns. Raises RequestError.

        `sampling.content` and its place in the tree are set here.
        """
        previous = self._previous(asked) if asked.previous_response_id else None
        system, turns = conversation(messages, previous.calls if previous else None)
        asked.developer = "\n".join(part for part in (asked.developer, system) if part)
        if not turns[-1].content.strip():
            raise RequestError("the input is empty", code="empty_message")
        self._chats.check(sampling, client)
        title = " ".join(turns[-1].content.split())[:TITLE_CHARS]
        if previous:
            chat_id, parent_id = self._chats.branch(previous.message, asked.system, title)
        else:
            chat_id, parent_id = self._history.create_chat(title, asked.system, hidden=True).id, None
        before = parent_id
        parent_id = self._history.add_past(chat_id, parent_id, [(t.role, t.content) for t in turns[:-1]])
        sampling.content, sampling.parent_id, sampling.root = turns[-1].content, parent_id, parent_id is None
        sampling.skills = sampling.mood = False  # who speaks OpenAI's language asks the model
        started, reply = self._chats.send(chat_id, sampling, client, constraint)
        path = self._history.path(chat_id, started.user_message.id)
        first = next(m for m in path if m.parent_id == before)
        self._history.add_response(started.message_id, first.id, msgspec.json.encode(asked).decode())
        return self._history.message(started.message_id), reply

    def _previous(self, asked: Asked) -> Stored:
        previous = self.get(asked.previous_response_id)
        if previous.message.status == "streaming":
            raise RequestError("the previous response is still being written", status=409, code="busy",
                               hint="wait for it to be completed")  # fmt: skip
        asked.developer = previous.asked.developer
        return previous


def _split(messages: list[wire.ChatMessage], calls: dict[str, str]) -> tuple[str, list[wire.ChatMessage]]:
    """(system text, the conversation as alternating messages)."""
    system, turns = conversation(messages, calls)
    return system, [wire.ChatMessage(role=t.role, content=t.content) for t in turns]


def _message_id(response_id: str) -> str:
    if not response_id.startswith(PREFIX):
        raise RequestError(f"'{response_id[:60]}' is not a response's id", status=404, code="not_found",
                           why=f"they begin with '{PREFIX}'")  # fmt: skip
    return response_id.removeprefix(PREFIX)
