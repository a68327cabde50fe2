"""The response object of OpenAI's Responses API through its life, and the events of one that is streamed.

Shapes: https://platform.openai.com/docs/api-reference/responses-streaming (items of the types message, function_call).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import msgspec

from assistant import wire
from assistant.models.tool_calls import split_calls
from assistant.session.call_reader import Arguments, CallBegun, CallReader, Piece, Text
from assistant.session.reply import Reply
from assistant.session.responses import PREFIX, Asked, call_id


class ResponseShape:
    """One response."""

    def __init__(self, model: str, asked: Asked, response_id: str | None = None, created: float | None = None):
        self.id = response_id or PREFIX + secrets.token_hex(8)
        self.created = time.time() if created is None else created
        self.asked, self._model = asked, model

    @property
    def _stem(self) -> str:
        return self.id.removeprefix(PREFIX)

    @property
    def item_id(self) -> str:
        return "msg_" + self._stem

    def response(self, status: str, output: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        asked = self.asked
        notes = {"tool_notes": asked.tool_notes} if asked.tool_notes else {}
        return {
            "id": self.id, "object": "response", "created_at": int(self.created), "status": status,
            "model": self._model, "output": output, "error": None, "incomplete_details": None, "usage": None,
            "instructions": asked.instructions, "previous_response_id": asked.previous_response_id,
            "metadata": asked.metadata, "temperature": asked.temperature, "top_p": asked.top_p,
            "max_output_tokens": asked.max_output_tokens, "store": asked.store, "text": {"format": asked.format},
            "tools": asked.tools, "tool_choice": asked.tool_choice, "parallel_tool_calls": asked.parallel_tool_calls,
            "truncation": "disabled", "background": False,
        } | notes | more  # fmt: skip

    def item(self, text: str | None, status: str) -> dict[str, Any]:
        content = [] if text is None else [self.part(text)]
        return {"id": self.item_id, "type": "message", "role": "assistant", "status": status, "content": content}

    def part(self, text: str) -> dict[str, Any]:
        return {"type": "output_text", "text": text, "annotations": []}

    def call(self, n: int, name: str, arguments: str, status: str) -> dict[str, Any]:
        return {"id": f"fc_{self._stem}_{n}", "type": "function_call", "call_id": call_id(self._stem, n),
                "name": name, "arguments": arguments, "status": status}  # fmt: skip

    def output(self, content: str, status: str) -> list[dict[str, Any]]:
        """The items of a reply: its words, if there are any or nothing else, then its calls."""
        text, calls = split_calls(content) if self.asked.reads_calls else (content, [])
        items = [self.item(text, status)] if text or not calls else []
        return [*items, *(self.call(n, call.name, call.arguments, status) for n, call in enumerate(calls))]

    def done(self, message: wire.Message, cost: wire.Cost | None) -> dict[str, Any]:
        """As the message stands: completed, incomplete, still in progress, or failed."""
        if message.status == "streaming":
            return self.response("in_progress", self.output(message.content, "in_progress"))
        if message.status == "error":
            return self.failed(wire.ErrorBody(message="the reply failed", type="server_error"))
        reason = {"length": "max_output_tokens", "cancelled": "cancelled"}.get(message.finish_reason or "")
        reason = "interrupted" if message.status == "interrupted" else reason
        status = "incomplete" if reason else "completed"
        more: dict[str, Any] = {"incomplete_details": {"reason": reason}} if reason else {}
        if cost:
            prompt = cost.cached_tokens + cost.prompt_tokens
            more["cost"] = cost
            more["usage"] = {
                "input_tokens": prompt, "input_tokens_details": {"cached_tokens": cost.cached_tokens},
                "output_tokens": cost.completion_tokens, "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": prompt + cost.completion_tokens,
            }  # fmt: skip
        return self.response(status, self.output(message.content, status), **more)

    def failed(self, error: wire.ErrorBody) -> dict[str, Any]:
        return self.response("failed", [], error={"code": "server_error", "message": error.message})


async def events(reply: Reply, shape: ResponseShape) -> AsyncIterator[bytes]:
    """Server-sent events of a response being written."""
    stream, reader = _Stream(shape), CallReader()
    begun = shape.response("in_progress", [])
    yield stream.event("response.created", response=begun)
    yield stream.event("response.in_progress", response=begun)
    async for step in reply.events():
        match step:
            case wire.Delta():
                pieces = reader.feed(step.text) if shape.asked.reads_calls else [Text(step.text)]
                for event in stream.take(pieces, step.cost):
                    yield event
            case wire.Failed():
                yield stream.event("response.failed", response=shape.failed(step.error))
            case wire.Finished():
                whole = shape.done(step.message, step.cost)
                for event in stream.take(reader.close(), step.cost):
                    yield event
                for event in stream.end(whole["output"]):
                    yield event
                yield stream.event(f"response.{whole['status']}", response=whole)


class _Stream:
    """The output items as they grow; one is open at a time."""

    def __init__(self, shape: ResponseShape):
        self._shape, self._number = shape, -1
        self._open: dict[str, Any] | None = None  # the item being written
        self._index = -1  # its place in the output
        self._calls, self._said = 0, ""  # calls begun; the open item's text or arguments

    def event(self, kind: str, **fields: Any) -> bytes:
        self._number += 1
        data = {"type": kind, "sequence_number": self._number, **fields}
        return b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"

    def take(self, pieces: Iterable[Piece], cost: wire.Cost | None) -> Iterator[bytes]:
        for piece in pieces:
            match piece:
                case Text(text) if not self._calls:  # the grammar writes no words behind a call
                    if not self._open:
                        yield from self._message()
                    self._said += text
                    yield self.event("response.output_text.delta", **self._at, delta=text, logprobs=[], cost=cost)
                case CallBegun(name):
                    yield from self._close("completed")
                    yield from self._begin(self._shape.call(self._calls, name, "", "in_progress"))
                    self._calls += 1
                case Arguments(text):
                    self._said += text
                    yield self.event("response.function_call_arguments.delta", item_id=self._open["id"],
                                     output_index=self._index, delta=text, cost=cost)  # fmt: skip

    def end(self, output: list[dict[str, Any]]) -> Iterator[bytes]:
        if self._index < 0:
            yield from self._message()
        yield from self._close(output[-1]["status"])

    @property
    def _at(self) -> dict[str, Any]:
        return {"item_id": self._open["id"], "output_index": self._index, "content_index": 0}

    def _message(self) -> Iterator[bytes]:
        yield from self._begin(self._shape.item(None, "in_progress"))
        yield self.event("response.content_part.added", **self._at, part=self._shape.part(""))

    def _begin(self, item: dict[str, Any]) -> Iterator[bytes]:
        self._open, self._said, self._index = item, "", self._index + 1
        yield self.event("response.output_item.added", output_index=self._index, item=item)

    def _close(self, status: str) -> Iterator[bytes]:
        if not self._open:
            return
        item, said = self._open, self._said
        if item["type"] == "message":
            yield self.event("response.output_text.done", **self._at, text=said, logprobs=[])
            yield self.event("response.content_part.done", **self._at, part=self._shape.part(said))
            whole = self._shape.item(said, status)
        else:
            yield self.event("response.function_call_arguments.done", item_id=item["id"], output_index=self._index,
                             name=item["name"], arguments=said)  # fmt: skip
            whole = item | {"arguments": said, "status": status}
        yield self.event("response.output_item.done", output_index=self._index, item=whole)
        self._open = None
