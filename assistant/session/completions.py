"""Stateless requests (OpenAI's): the whole conversation comes with each and goes on from a cached state if it can."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from assistant import wire
from assistant.config import Sampling
from assistant.engine import Engine, Generation
from assistant.errors import RequestError
from assistant.history import Checkpoint
from assistant.models.tool_calls import offer
from assistant.session.calling import Calling, calling
from assistant.session.chats import Speaker, usage
from assistant.session.constrained import Bound, Grammars
from assistant.session.messages import conversation
from assistant.session.reply import Outcome, Record, Reply
from assistant.session.sampling import sampling_params, stop_strings, token_limit
from assistant.session.text import reply_text_of
from assistant.session.tools import Toolbox
from assistant.session.transcript import pieces, reply_prefix

CACHED_PREFIXES = 16


class PrefixCache:
    """States by the exact text that they have consumed; the least recently used go first.

    A hit needs equality of every byte, so a request can only ever meet a state that its own text would make.
    """

    def __init__(self, size: int = CACHED_PREFIXES):
        self._size = size
        self._entries: OrderedDict[tuple[int, bytes], Checkpoint] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, text: bytes, checkpoint: Checkpoint) -> None:
        key = _key(text)
        with self._lock:
            self._entries[key] = checkpoint
            self._entries.move_to_end(key)
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def longest(self, text: bytes) -> tuple[int, Checkpoint] | None:
        """(bytes of `text` that the checkpoint stands for, checkpoint) of the longest cached beginning of `text`."""
        with self._lock:
            for length in sorted({n for n, _ in self._entries if n <= len(text)}, reverse=True):
                key = _key(text[:length])
                if key in self._entries:
                    self._entries.move_to_end(key)
                    return length, self._entries[key]
        return None


class Completions:
    """Chat and text completions without a history."""

    def __init__(
        self, engine: Engine, speaker: Speaker, sampling: Sampling, grammars: Grammars, record: Record | None = None
    ):
        """`record` is awaited for each answer, however it ended."""
        self._engine, self._speaker, self._sampling = engine, speaker, sampling
        self._grammars, self._record = grammars, record
        self._cache = PrefixCache()

    async def constraint(self, request: wire.SamplingFields, schema: object | None) -> Bound | None:
        """What bounds a reply to a schema; None for plain text. Compiled aside, because a large schema takes a while.

        Raises RequestError 400 for a schema that cannot be enforced.
        """
        if schema is None:
            return None
        _refuse(stop_strings(request), "stop", "the schema says where the answer ends")
        limit = token_limit(request, self._sampling, self._speaker.max_reply_tokens)
        return await asyncio.to_thread(lambda: self._grammars.compile(schema).constraint(limit))

    async def calling(
        self,
        request: wire.SamplingFields,
        toolbox: Toolbox | None,
        schema: object | None = None,
        think: bool | None = None,
    ) -> Calling:
        """How a reply may call these tools, or what bounds it to a schema. Raises RequestError 400."""
        limit = token_limit(request, self._sampling, self._speaker.max_reply_tokens)
        template = self._speaker.template
        made = await asyncio.to_thread(calling, toolbox, self._grammars, template, limit, think, schema)
        if made.constraint is None:
            return replace(made, constraint=await self.constraint(request, schema))
        if made.constraint.marker is None:
            _refuse(stop_strings(request), "stop", "the grammar says where the answer ends")
            _refuse(think and template.thinks, "think", "an answer that is bounded from its first word has no thought")
        return made

    def chat(
        self,
        request: wire.ChatCompletionRequest,
        client: str = "",
        constraint: Bound | None = None,
        functions: Sequence[dict[str, Any]] = (),
    ) -> Reply:
        """`functions`: told to the model. Raises RequestError for what we do not do, rather than ignoring it."""
        _refuse(request.functions, "functions", 'they are "tools" now, each {"type": "function", "function": ...}')
        system, turns = conversation(request.messages)
        template = self._speaker.template
        bound = constraint is not None and constraint.marker is None
        _refuse(bound and request.think and template.thinks, "think", "an answer with a schema has no thought")
        prefix = constraint.prefix if constraint else reply_prefix(template, request.think)
        asked = "".join(pieces(template, offer(system, functions), turns))
        # as the next request will spell this reply, so that it finds the state
        answered = lambda reply: f"{asked} {reply}".encode()  # noqa: E731
        return self._run(request, (asked + prefix).encode(), template.stops, answered, prefix=prefix, clean=str.lstrip,
                         client=client, constraint=constraint)  # fmt: skip

    def forget(self) -> None:
        """Drop all cached states: they belong to a device that does not run any more."""
        self._cache.clear()

    def text(self, request: wire.CompletionRequest, client: str = "", constraint: Bound | None = None) -> Reply:
        _refuse(request.suffix, "suffix", "filling in the middle is not supported")
        _refuse((request.best_of or 1) > 1, "best_of", "only one choice is made")
        if not isinstance(request.prompt, str) or not request.prompt:
            raise RequestError("the prompt must be one non-empty string", code="unsupported")
        prefix = request.prompt if request.echo else ""
        return self._run(request, request.prompt.encode(), (), None, prefix=prefix, client=client,
                         constraint=constraint)  # fmt: skip

    def _run(
        self,
        request: wire.CompletionBase,
        text: bytes,
        stops: tuple[str, ...],
        answered: Callable[[str], bytes] | None,
        *,
        prefix: str,
        clean: Callable[[str], str] = str,
        client: str,
        constraint: Bound | None,
    ) -> Reply:
        _refuse((request.n or 1) > 1, "n", "one answer at a time: send the request again for another")
        _refuse(request.logprobs, "logprobs", "log probabilities are not supported")
        speaker, hit = self._speaker, self._cache.longest(text)
        if hit and (hit[0] < len(text) or hit[1].logits is not None):
            length, base = hit
            tokens, before = speaker.encode(base.pending + text[length:]) if length < len(text) else [], base.tokens
            state, logits = base.state.copy(), base.logits
        else:
            tokens, before, state, logits = [*speaker.bos, *speaker.encode(text)], 0, speaker.fresh_state(), None
        speaker.check_length(len(tokens))

        async def finish(outcome: Outcome) -> wire.StreamEvent:
            if self._record:
                await self._record(outcome.cost, outcome.finish_reason)
            if outcome.error:
                return wire.Failed(error=wire.ErrorBody(message=outcome.error, type="backend_error"))
            if answered and outcome.text and outcome.cost.prompt_tokens == len(tokens):
                done = Checkpoint(outcome.state, before + outcome.fed_tokens, outcome.pending)
                self._cache.put(answered(outcome.text), done)
            message = wire.Message(
                id="",
                chat_id="",
                parent_id=None,
                role="assistant",
                content=outcome.text,
                status="complete",
                created_at=0.0,
                finish_reason=outcome.finish_reason,
            )
            return wire.Finished(message=message, usage=usage(outcome.cost), cost=outcome.cost)

        generation = Generation(
            prompt=tokens,
            state=state,
            logits=logits,
            sink=lambda _: None,
            max_tokens=token_limit(request, self._sampling, speaker.max_reply_tokens),
            sampling=sampling_params(request, self._sampling),
            on_prefilled=lambda s, x: self._cache.put(
                text, Checkpoint(s.copy(), before + len(tokens), logits=x.copy())
            ),
            constraint=constraint,
            client=client,
        )
        reply_text = reply_text_of(speaker.decode_bytes, constraint, (*stops, *stop_strings(request)))
        return Reply(
            self._engine, generation, reply_text, speaker.meter(before), finish=finish, prefix=prefix, clean=clean
        )


def _key(text: bytes) -> tuple[int, bytes]:
    return len(text), hashlib.sha256(text).digest()


def _refuse(given: object, field: str, why: str) -> None:
    if given:
        raise RequestError(f"'{field}' cannot be used", code="unsupported", why=why)
