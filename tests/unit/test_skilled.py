"""A message that no skill answers goes to the model, and waits for its place there."""

from __future__ import annotations

from assistant import wire
from assistant.errors import RequestError
from assistant.session.skilled import SkilledReply


class Written:
    async def events(self):
        yield wire.Delta(text="by the model", tokens=3)

    async def done(self):
        return None

    def cancel(self) -> None:
        self.cancelled = True


async def test_an_accepted_message_waits_where_a_new_one_would_be_sent_away() -> None:
    refusals, looks, failures = 3, [], []

    def room() -> None:
        looks.append(1)
        if len(looks) <= refusals:
            raise RequestError("too many requests are waiting", status=429, code="queue_full")

    async def finish(_outcome):
        raise AssertionError("no skill has answered")

    reply = SkilledReply(lambda: None, finish, Written, room, lambda: failures.append(1))
    assert [event.text async for event in reply.events()] == ["by the model"]
    assert len(looks) == refusals + 1
    assert failures == []


async def test_what_the_engine_refuses_then_is_told_as_a_failure() -> None:
    def write():
        raise RequestError("the chat is gone", status=404, code="unknown_chat")

    failures: list[int] = []
    reply = SkilledReply(lambda: None, None, write, lambda: None, lambda: failures.append(1))
    [failed] = [event async for event in reply.events()]
    assert (failed.error.code, failures) == ("unknown_chat", [1])
