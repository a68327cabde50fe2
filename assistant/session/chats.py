"""Conversations kept in the history: send, regenerate, edit, fork, each going on from the nearest checkpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from assistant import wire
from assistant.config import Sampling
from assistant.engine import Constraint, Engine, Generation
from assistant.errors import AssistantError, HistoryError, RequestError
from assistant.history import Checkpoint, Checkpoints, History
from assistant.history.state_file import Conversation, PastTurn, read_state, write_state
from assistant.meter import Meter
from assistant.models.tool_calls import offer
from assistant.mood.sensor import Sensor
from assistant.session.reply import Outcome, Record, Reply
from assistant.session.sampling import sampling_params, stop_strings, token_limit
from assistant.session.sensing import Sensing
from assistant.session.skill_calls import CalledReply, SkillCalls, words_of
from assistant.session.skilled import SkilledReply
from assistant.session.text import reply_text_of
from assistant.session.transcript import ChatTemplate, Turn, pieces, reply_prefix
from assistant.skills.registry import Registry
from backends.base import ModelConfig, State

TITLE_CHARS = 60
THINK_SUFFIX = {None: "", True: "-think", False: "-quick"}  # a prompt ends differently in each mode


@dataclass(frozen=True, slots=True)
class Speaker:
    """The model as a session sees it: how to write its prompts and read its tokens."""

    config: ModelConfig
    template: ChatTemplate
    bos: tuple[int, ...]
    encode: Callable[[bytes], list[int]]
    decode_bytes: Callable[[Sequence[int]], bytes]
    meter: Callable[[int], Meter]  # cached tokens -> a meter labelled with the device
    initial: State | None = None  # a tuned state that every conversation starts from
    name: str = ""  # of the model, to tell people
    max_prompt_tokens: int = 1 << 17
    max_reply_tokens: int = 1 << 20

    def fresh_state(self) -> State:
        """What a conversation starts from."""
        return self.initial.copy() if self.initial else State(self.config)

    def check_length(self, tokens: int) -> None:
        """Raises RequestError: the model has no window that could overflow, but every token takes its time."""
        if tokens > self.max_prompt_tokens:
            raise RequestError(f"the prompt has {tokens} tokens", code="context_length_exceeded",
                               why=f"at most {self.max_prompt_tokens} are read at once")  # fmt: skip


class Chats:
    """All conversations of one daemon. Call it on the event loop."""

    def __init__(
        self,
        engine: Engine,
        history: History,
        checkpoints: Checkpoints,
        speaker: Speaker,
        sampling: Sampling,
        record: Record | None = None,
        skills: Registry | None = None,
        status: Callable[[], wire.Ready] | None = None,
        skill_calls: SkillCalls | None = None,
        sensor: Callable[[], Sensor] | None = None,
    ):
        """`record` is awaited for each answer, however it ended; `status`: what skills may tell of what runs.

        `skill_calls`: skills that the model may call where no grammar had an answer; `sensor`: what reads moods with
        the model that runs now.
        """
        self._engine, self._history, self._checkpoints = engine, history, checkpoints
        self._speaker, self._sampling, self._record = speaker, sampling, record
        self._skills, self._status, self._skill_calls = skills, status, skill_calls
        self._sensing = Sensing(history, sensor) if sensor else None
        self._live: dict[str, Reply | CalledReply | SkilledReply] = {}  # by chat id
        self._unstored: dict[str, Outcome] = {}  # replies that the disk had no room for, by message id
        self._settling = False

    @property
    def speaker(self) -> Speaker:
        return self._speaker

    # --- reading and arranging ---

    def view(self, chat_id: str) -> wire.ChatView:
        chat = self._history.chat(chat_id)
        return wire.ChatView(chat=chat, messages=self._history.path(chat_id, chat.head_id))

    def delete(self, chat_id: str) -> None:
        self.cancel(chat_id)
        ids = self._history.delete_chat(chat_id)
        self._checkpoints.drop([i + suffix for i in ids for suffix in THINK_SUFFIX.values()])

    def fork(self, chat_id: str, message_id: str | None) -> wire.ChatView:
        """A new chat that shares everything up to `message_id` (default: the head); its checkpoints come along."""
        chat = self._history.chat(chat_id)
        fork, new_ids = self._history.fork(
            chat_id, message_id or chat.head_id, f"{chat.title} (fork)"[: TITLE_CHARS + 7]
        )
        for old_id, copied_id in new_ids.items():
            self._checkpoints.copy(old_id, copied_id)
        return self.view(fork.id)

    def branch(self, message: wire.Message, system: str, title: str) -> tuple[str, str]:
        """Where a hidden conversation goes on after a reply: (chat id, message id).

        The same place if the system prompt is the same and nobody is writing there; else a copy of the branch.
        """
        chat = self._history.chat(message.chat_id)
        if chat.system == system and chat.id not in self._live:
            return chat.id, message.id
        fork, new_ids = self._history.fork(chat.id, message.id, title, system, hidden=True)
        if chat.system == system:
            for old_id, copied_id in new_ids.items():
                self._checkpoints.copy(old_id, copied_id)
        return fork.id, new_ids[message.id]

    def fork_at(self, message_id: str) -> wire.ChatView:
        """A new chat that goes on after a message."""
        return self.fork(self._history.message(message_id).chat_id, message_id)

    def export_state(self, message_id: str) -> bytes:
        """The conversation up to a reply and the state after it, as a file. Raises RequestError 404, 409."""
        message = self._history.message(message_id)
        if message.role != "assistant" or message.status == "streaming":
            raise RequestError("there is no state here to export", status=409, code="no_state",
                               why="a state is kept after a reply that has ended")  # fmt: skip
        checkpoint = self._checkpoints.get(message_id)
        if checkpoint is None:
            raise RequestError("the state after this message is not kept any more", status=404, code="no_state",
                               hint="continue the chat, and the next reply has one")  # fmt: skip
        chat = self._history.chat(message.chat_id)
        turns = [PastTurn(role=m.role, content=m.content) for m in self._history.path(chat.id, message_id)]
        conversation = Conversation(title=chat.title, system=chat.system, turns=turns)
        return write_state(checkpoint, conversation, self._checkpoints.model_key, self._speaker.name)

    def import_state(self, raw: bytes) -> wire.ChatView:
        """A new chat of an exported file. Raises RequestError for one that is damaged or another model's."""
        checkpoint, conversation = read_state(raw, self._speaker.config, self._checkpoints.model_key)
        chat = self._history.create_chat(conversation.title, conversation.system)
        last = self._history.add_past(chat.id, None, [(turn.role, turn.content) for turn in conversation.turns])
        self._checkpoints.put(last, checkpoint)
        return self.view(chat.id)

    def cancel(self, chat_id: str) -> int:
        """Stop the reply being written in a chat; returns how many were."""
        reply = self._live.get(chat_id)
        if reply:
            reply.cancel()
        return int(reply is not None)

    async def settle(self) -> None:
        """Cut every reply off and wait until all are stored (shutdown)."""
        self._settling = True
        for reply in list(self._live.values()):
            reply.cancel()
            await reply.done()
        with suppress(AssistantError):
            self._store_late()

    # --- writing ---

    def send(
        self, chat_id: str, request: wire.SendMessage, client: str = "", constraint: Constraint | None = None
    ) -> tuple[wire.Started, Reply | SkilledReply]:
        """Store a user turn, then start its reply. The turn is on disk when this returns.

        Skills are asked before the model, unless the request or a constraint says otherwise.
        """
        chat = self._history.chat(chat_id)
        self._refuse_if_writing(chat_id)
        if not request.content.strip():
            raise RequestError("the message is empty", code="empty_message")
        parent_id = None if request.root else (request.parent_id or chat.head_id)
        if parent_id is not None:
            parent = self._history.message(parent_id)
            if parent.chat_id != chat_id or parent.role != "assistant":
                raise RequestError(
                    f"message '{parent_id}' cannot be answered by the user",
                    why="the parent of a user turn is a reply of the same chat, or the root",
                )
        generation = self._checked(request, client, constraint)
        if len(request.content) > self._speaker.max_prompt_tokens // 4:  # a character may be four tokens
            self._speaker.check_length(len(self._speaker.encode(request.content.encode())))
        user, reply = self._history.add_turn(chat_id, parent_id, request.content)
        if not chat.messages and not chat.title:
            self._history.update_chat(chat_id, title=" ".join(request.content.split())[:TITLE_CHARS])
        return self._begin(chat, user, reply, request, generation)

    def regenerate(
        self, chat_id: str, request: wire.Regenerate, client: str = "", constraint: Constraint | None = None
    ) -> tuple[wire.Started, Reply | SkilledReply]:
        """Another reply to a user message (default: the last one of the branch), beside its earlier ones."""
        chat = self._history.chat(chat_id)
        self._refuse_if_writing(chat_id)
        path = self._history.path(chat_id, request.message_id or chat.head_id)
        users = [m for m in path if m.role == "user"]
        if not users:
            raise RequestError("there is no message to answer again", code="nothing_to_regenerate")
        generation = self._checked(request, client, constraint)
        return self._begin(chat, users[-1], self._history.add_reply(chat_id, users[-1].id), request, generation)

    def check(self, request: wire.SamplingFields, client: str = "") -> None:
        """Raises what `send` would raise for these settings, before anything is stored."""
        self._checked(request, client, None)

    def _refuse_if_writing(self, chat_id: str) -> None:
        if chat_id in self._live:
            raise RequestError(
                "a reply is being written in this chat", status=409, code="busy", hint="wait for it, or cancel it first"
            )

    def _checked(self, request: wire.SamplingFields, client: str, constraint: Constraint | None) -> Generation:
        """Everything of the request that can be wrong is checked before anything is stored."""
        stop_strings(request)
        self._engine.require_room(client)
        self._store_late()
        return Generation(
            prompt=(),
            state=self._speaker.fresh_state(),
            sink=lambda _: None,
            sampling=sampling_params(request, self._sampling),
            max_tokens=token_limit(request, self._sampling, self._speaker.max_reply_tokens),
            constraint=constraint,
            client=client,
        )

    def _begin(
        self,
        chat: wire.Chat,
        user: wire.Message,
        reply: wire.Message,
        request: wire.SendMessage | wire.Regenerate,
        generation: Generation,
    ) -> tuple[wire.Started, Reply | SkilledReply]:
        skills = self._skills if request.skills is not False and generation.constraint is None else None
        if skills and skills.concerns(user.content):
            before = self._history.skill_answers(user.id)
            sensing = self._sensing
            running = SkilledReply(
                ask=lambda: skills.answer(user.content, chat_id=chat.id, before=before, status=self._status),
                finish=lambda outcome: self._finish_given(chat.id, reply.id, outcome),
                write=lambda: self._start(chat, user, reply, request, generation),
                room=lambda: self._engine.require_room(generation.client),
                failed=lambda: self._live.pop(chat.id, None),
                sense=(lambda: sensing.by_words(user)) if sensing and request.mood is not False else None,
            )
        else:
            running = self._start(chat, user, reply, request, generation)
        self._live[chat.id] = running
        return wire.Started(user_message=user, message_id=reply.id), running

    async def _finish_given(self, chat_id: str, reply_id: str, outcome: Outcome) -> wire.StreamEvent:
        """Store a skill's answer as the reply. There is no checkpoint after it: the next turn goes on from an older one
        and reads the answer into the state with the rest."""
        self._live.pop(chat_id, None)
        if self._record:
            await self._record(outcome.cost, outcome.finish_reason)
        return await asyncio.to_thread(self._stored, reply_id, outcome)

    def _start(
        self,
        chat: wire.Chat,
        user: wire.Message,
        reply: wire.Message,
        request: wire.SendMessage | wire.Regenerate,
        generation: Generation,
    ) -> Reply | CalledReply:
        """The model writes. Raises AssistantError; the reply is marked as failed then."""
        calls, system = self._may_call(request, generation), chat.system
        if how := calls and calls.calling(generation.max_tokens, request.think):
            generation.constraint, system = how.constraint, offer(system, how.functions)
        speaker, bound = self._speaker, generation.constraint
        prefix = bound.prefix if bound else reply_prefix(speaker.template, request.think)
        turns = [Turn(m.role, m.content, m.id) for m in self._history.path(chat.id, user.id)]
        turns[-1] = Turn("user", user.content, user.id + THINK_SUFFIX[request.think])
        texts = pieces(speaker.template, system, turns)
        texts[-1] += prefix
        base, rest = self._nearest(texts, turns)
        before = base.tokens if base else 0
        tokens = speaker.encode(rest) if base else [*speaker.bos, *speaker.encode(rest)]
        generation.prompt = tokens
        if base:
            generation.state, generation.logits = base.state.copy(), base.logits
        kept = not (bound and bound.prefix and bound.marker is None)  # else the next reply to it may begin otherwise
        sensed = self._sensing.begin(user) if self._sensing and request.mood is not False else None

        def prefilled(state: State, logits: np.ndarray) -> None:
            if kept:
                checkpoint = Checkpoint(state.copy(), before + len(tokens), logits=logits.copy())
                self._checkpoints.put(turns[-1].key, checkpoint)
            if sensed:
                sensed.prefilled(None if prefix else state)

        generation.on_prefilled = prefilled

        async def save(text: str, cost: wire.Cost) -> None:
            await asyncio.to_thread(self._history.update_reply, reply.id, words_of(text) if how else text, cost=cost)

        async def finish(outcome: Outcome) -> wire.StreamEvent:
            if how:
                outcome = await calls.carried_out(outcome, chat.id, self._status)
            if sensed:
                await sensed.done()
            self._live.pop(chat.id, None)
            if self._record:
                await self._record(outcome.cost, outcome.finish_reason)
            # a state that stopped inside the prompt, or broke, is not worth keeping; one that called a skill did not
            # read its answer
            if not outcome.skill and outcome.finish_reason != "error" and outcome.cost.prompt_tokens == len(tokens):
                self._checkpoints.put(reply.id, Checkpoint(outcome.state, before + outcome.fed_tokens, outcome.pending))
            return await asyncio.to_thread(self._stored, reply.id, outcome)

        stops = (*speaker.template.stops, *stop_strings(request))
        text = reply_text_of(speaker.decode_bytes, bound, stops)
        try:
            running = Reply(
                self._engine,
                generation,
                text,
                speaker.meter(before),
                finish=finish,
                save=save,
                prefix=prefix,
                clean=str.lstrip,
            )
        except AssistantError:
            self._history.update_reply(reply.id, "", "error", "error")
            raise
        if sensed:
            sensed.tell = running.tell
        return CalledReply(running) if how else running

    def _may_call(self, request: wire.SendMessage | wire.Regenerate, generation: Generation) -> SkillCalls | None:
        """Who carries out what the model calls; None if it shall not."""
        return self._skill_calls if request.skills is not False and generation.constraint is None else None

    def _nearest(self, texts: list[str], turns: Sequence[Turn]) -> tuple[Checkpoint | None, bytes]:
        """The last checkpoint on the branch and the text that it has not consumed."""
        for i in range(len(turns), 0, -1):
            checkpoint = self._checkpoints.get(turns[i - 1].key)
            rest = checkpoint and checkpoint.pending + "".join(texts[i:]).encode()
            if checkpoint and (rest or checkpoint.logits is not None):
                return checkpoint, rest
        return None, "".join(texts).encode()

    def _store_late(self) -> None:
        """Once the disk takes something again, first what it could not take before. Raises HistoryError."""
        for reply_id, outcome in list(self._unstored.items()):
            self._update(reply_id, outcome)
            self._unstored.pop(reply_id, None)

    def _update(self, reply_id: str, outcome: Outcome) -> None:
        # Nobody wanted the end that a shutdown puts to a reply.
        cut = "interrupted" if self._settling else "cancelled"
        status = {"cancelled": cut, "error": "error"}.get(outcome.finish_reason, "complete")
        self._history.annotate(reply_id, skill=outcome.skill)
        self._history.update_reply(reply_id, outcome.text, status, outcome.finish_reason, outcome.cost)

    def _stored(self, reply_id: str, outcome: Outcome) -> wire.StreamEvent:
        try:
            self._update(reply_id, outcome)
        except HistoryError:
            self._unstored[reply_id] = outcome
            raise
        if outcome.error:
            return wire.Failed(
                error=wire.ErrorBody(
                    message=outcome.error, type="backend_error", hint="the message is kept; regenerate it"
                )
            )
        return wire.Finished(message=self._history.message(reply_id), usage=usage(outcome.cost), cost=outcome.cost)


def usage(cost: wire.Cost) -> wire.Usage:
    """OpenAI's counts: the prompt includes what a checkpoint stood for."""
    prompt = cost.cached_tokens + cost.prompt_tokens
    return wire.Usage(
        prompt_tokens=prompt, completion_tokens=cost.completion_tokens, total_tokens=prompt + cost.completion_tokens
    )
