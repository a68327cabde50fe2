"""/v1/states: a conversation and the model's state after a reply, as a file to keep, to move or to fork."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from assistant import wire
from assistant.daemon.answers import answer, body, raw_body
from assistant.daemon.requests import ready_services
from assistant.history.state_file import size_limit

MEDIA_TYPE = "application/vnd.safetensors"


async def export_state(request: Request):
    message_id = request.path_params["message_id"]
    content = ready_services(request).chats.export_state(message_id)
    named = {"content-disposition": f'attachment; filename="{message_id}.state.safetensors"'}
    return Response(content, headers=named, media_type=MEDIA_TYPE)


async def import_state(request: Request):
    services = ready_services(request)
    raw = await raw_body(request, size_limit(services.model.weights.config))
    return answer(services.chats.import_state(raw), status=201)


async def fork_state(request: Request):
    await body(request, wire.Nothing)
    return answer(ready_services(request).chats.fork_at(request.path_params["message_id"]), status=201)


ROUTES = [
    Route("/v1/states", import_state, methods=["POST"]),
    Route("/v1/states/{message_id}", export_state, methods=["GET"]),
    Route("/v1/states/{message_id}/fork", fork_state, methods=["POST"]),
]
