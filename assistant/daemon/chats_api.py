"""/v1/chats: conversations with history, for our own clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.routing import Route

from assistant import wire
from assistant.daemon.answers import EventStream, answer, body, event
from assistant.daemon.requests import client, ready_services
from assistant.errors import RequestError
from assistant.session.reply import Reply


async def list_chats(request: Request):
    return answer({"data": ready_services(request).history.chats()})


async def create_chat(request: Request):
    new = await body(request, wire.NewChat)
    return answer(ready_services(request).history.create_chat(new.title or "", new.system or ""), status=201)


async def show_chat(request: Request):
    return answer(ready_services(request).chats.view(request.path_params["chat_id"]))


async def change_chat(request: Request):
    patch = await body(request, wire.ChatPatch)
    changes = {name: value for name in ("title", "pinned", "head_id") if (value := getattr(patch, name)) is not None}
    services, chat_id = ready_services(request), request.path_params["chat_id"]
    with _named_in_body():
        services.history.update_chat(chat_id, **changes)
    return answer(services.chats.view(chat_id))


async def delete_chat(request: Request):
    ready_services(request).chats.delete(request.path_params["chat_id"])
    return answer({"deleted": True})


async def fork_chat(request: Request):
    fork = await body(request, wire.Fork)
    with _named_in_body():
        return answer(ready_services(request).chats.fork(request.path_params["chat_id"], fork.message_id), status=201)


async def cancel_chat(request: Request):
    services, chat_id = ready_services(request), request.path_params["chat_id"]
    services.history.chat(chat_id)  # 404 for one that is not there
    return answer({"cancelled": services.chats.cancel(chat_id)})


async def send_message(request: Request):
    message = await body(request, wire.SendMessage)
    with _named_in_body():
        return _stream(*ready_services(request).chats.send(request.path_params["chat_id"], message, client(request)))


async def regenerate(request: Request):
    wanted = await body(request, wire.Regenerate)
    chats, chat_id = ready_services(request).chats, request.path_params["chat_id"]
    with _named_in_body():
        return _stream(*chats.regenerate(chat_id, wanted, client(request)))


@contextmanager
def _named_in_body() -> Iterator[None]:
    """Only what the address names can be missing (404); a body that names a message in vain is a wrong request."""
    try:
        yield
    except RequestError as error:
        if error.code == "unknown_message":
            error.status = 400
        raise


def _stream(started: wire.Started, reply: Reply) -> EventStream:
    async def events() -> AsyncIterator[bytes]:
        yield event(started)
        async for step in reply.events():
            yield event(step)

    return EventStream(events(), on_close=reply.cancel)


ROUTES = [
    Route("/v1/chats", list_chats, methods=["GET"]),
    Route("/v1/chats", create_chat, methods=["POST"]),
    Route("/v1/chats/{chat_id}", show_chat, methods=["GET"]),
    Route("/v1/chats/{chat_id}", change_chat, methods=["PATCH"]),
    Route("/v1/chats/{chat_id}", delete_chat, methods=["DELETE"]),
    Route("/v1/chats/{chat_id}/messages", send_message, methods=["POST"]),
    Route("/v1/chats/{chat_id}/regenerate", regenerate, methods=["POST"]),
    Route("/v1/chats/{chat_id}/fork", fork_chat, methods=["POST"]),
    Route("/v1/chats/{chat_id}/cancel", cancel_chat, methods=["POST"]),
]
