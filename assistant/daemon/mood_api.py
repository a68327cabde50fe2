"""/v1/mood: how a text sounds, to the model that runs or to the lexicon. Nothing of it is kept."""

from __future__ import annotations

import asyncio

import numpy as np
from starlette.requests import Request
from starlette.routing import Route

from assistant import wire
from assistant.daemon.answers import answer, body
from assistant.daemon.requests import client, ready_services
from assistant.engine import Generation, Progress
from assistant.errors import BackendError, RequestError
from assistant.mood.sensor import Read
from backends.base import State


async def read_mood(request: Request):
    text = (await body(request, wire.MoodRequest)).text
    if not text.strip():
        raise RequestError("the text is empty", code="empty_message")
    services = ready_services(request)
    sensor = services.sensor
    read = await _after_reading(services, text, client(request)) if sensor.wants_state else sensor.reader(None)
    found = await asyncio.to_thread(read, text)
    return answer(wire.MoodAnswer(mood=found.mood, shares=found.shares))


async def _after_reading(services, text: str, who: str) -> Read:
    """Let the model read the text from a fresh state, in turn with everybody else; it writes nothing."""
    speaker, loop = services.chats.speaker, asyncio.get_running_loop()
    tokens = [*speaker.bos, *speaker.encode(speaker.template.user_turn(text).encode())]
    speaker.check_length(len(tokens))
    found: asyncio.Future[Read] = loop.create_future()

    def prefilled(state: State, _logits: np.ndarray) -> None:
        read = services.sensor.reader(state)
        loop.call_soon_threadsafe(lambda: found.done() or found.set_result(read))

    def ended(progress: Progress) -> None:
        if progress.finish_reason not in (None, "length"):
            error = BackendError("the text was not read", why=progress.error or progress.finish_reason)
            loop.call_soon_threadsafe(lambda: found.done() or found.set_exception(error))

    cancel = services.engine.submit(
        Generation(
            prompt=tokens, state=speaker.fresh_state(), sink=ended, max_tokens=0, on_prefilled=prefilled, client=who
        )
    )
    try:
        return await found
    finally:
        cancel()


ROUTES = [Route("/v1/mood", read_mood, methods=["POST"])]
