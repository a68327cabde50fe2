"""A daemon without a model: the chat API over a unix socket, with scripted replies and deaths.

Every id, time and cost is fixed, so that a screen drawn from it is the same on every machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from assistant import wire
from tests import fake_plan

NOW = 1_800_000_000.0
VERSION = "0.0.0-test"


@dataclass
class Reply:
    """One scripted answer. `hold` stops before the chunk of that index until `release` is set."""

    chunks: list[str] = field(default_factory=lambda: ["Hello ", "from ", "the ", "fake."])
    hold: int | None = None
    die_at: int | None = None  # the process dies before this chunk
    error: wire.ErrorBody | None = None  # a `failed` event after the chunks
    ends_early: bool = False  # the stream ends in good order, but before its last events
    status: int = 200  # an HTTP error instead of a stream (with `error`)
    basis: wire.Basis = "modelled"
    pace_s: float = 0.0  # before each chunk
    mood: wire.Mood | None = None  # of the user's message; told after the first chunk
    skill: wire.SkillAnswer | None = None  # told before the chunks
    release: asyncio.Event = field(default_factory=asyncio.Event)
    held: asyncio.Event = field(default_factory=asyncio.Event)


class FakeDaemon:
    """Holds chats in memory and outlives its own "process": `start`, `kill`, `start` again."""

    def __init__(self, socket: Path):
        self.socket = socket
        self.chats: dict[str, wire.Chat] = {}
        self.messages: dict[str, wire.Message] = {}
        self.replies: deque[Reply] = deque()
        self.requests: list[tuple[str, str, dict[str, Any]]] = []
        self.ready = True
        self.ready_after = 0  # so many questions about readiness are answered with "not yet"
        self.reason = "the model is being loaded"
        self.simulated = False
        self.told: list[wire.Reminder] = []  # reminders that have come due
        self.queued = 0  # requests that wait for a slot
        self.selftest: wire.SelfTestSummary | None = None
        self.policy, self.limits = "private", {}
        self.changes = 0
        self._counter = 0
        self._changing = asyncio.Lock()
        self._cancels: dict[str, asyncio.Event] = {}
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None

    # --- life ---

    async def start(self) -> None:
        async with self._changing:
            await self._start()

    async def kill(self) -> None:
        """Like `kill -9`: no goodbye on any connection; what was being written is interrupted."""
        async with self._changing:
            await self._kill()

    async def _start(self) -> None:
        self.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        config = uvicorn.Config(self.app(), uds=str(self.socket), log_level="error", lifespan="off", ws="none")
        self._server = uvicorn.Server(config)
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
        self._serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.005)

    async def _kill(self) -> None:
        if self._server is None or self._serving is None:
            return
        for message in self.messages.values():
            if message.status == "streaming":
                message.status = "interrupted"
        for listener in self._server.servers:
            listener.close()
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        self._server.force_exit = self._server.should_exit = True
        await asyncio.wait([self._serving])
        self._server = self._serving = None
        self.socket.unlink(missing_ok=True)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/healthz", self.healthz),
                Route("/readyz", self.readyz),
                Route("/v1/plan", self.plan, methods=["GET"]),
                Route("/v1/plan", self.follow, methods=["POST"]),
                Route("/v1/plan/what-if", self.what_if, methods=["POST"]),
                Route("/v1/cost", self.costs),
                Route("/v1/prices", self.prices),
                Route("/v1/search", self.search),
                Route("/v1/revision", self.revision),
                Route("/v1/reminders/told", self.reminders_told),
                Route("/v1/chats/{id}/tree", self.tree),
                Route("/v1/chats/{id}/export", self.export),
                Route("/v1/chats/{id}/fork", self.fork, methods=["POST"]),
                Route("/v1/chats", self.list_chats, methods=["GET"]),
                Route("/v1/chats", self.new_chat, methods=["POST"]),
                Route("/v1/chats/{id}", self.view_chat, methods=["GET"]),
                Route("/v1/chats/{id}", self.patch_chat, methods=["PATCH"]),
                Route("/v1/chats/{id}", self.delete_chat, methods=["DELETE"]),
                Route("/v1/chats/{id}/messages", self.send, methods=["POST"]),
                Route("/v1/chats/{id}/regenerate", self.regenerate, methods=["POST"]),
                Route("/v1/chats/{id}/cancel", self.cancel, methods=["POST"]),
            ]
        )

    # --- content that a test plants ---

    def add_chat(self, title: str, *turns: str) -> str:
        """A chat whose messages alternate between the user and the assistant."""
        chat = wire.Chat(id=self._id("chat"), title=title, created_at=NOW, updated_at=NOW)
        self.chats[chat.id] = chat
        for index, text in enumerate(turns):
            message = self._message(chat, chat.head_id, "assistant" if index % 2 else "user", text)
            message.status = "complete"
            if index % 2:
                message.cost = self.cost(len(text.split()))
        return chat.id

    def texts(self, chat_id: str) -> list[str]:
        return [message.content for message in self._branch(self.chats[chat_id])]

    def cost(self, tokens: int, basis: wire.Basis = "modelled") -> wire.Cost:
        return wire.Cost(
            prompt_tokens=12,
            completion_tokens=tokens,
            elapsed_s=0.08 + 0.04 * tokens,
            ttft_s=0.120,
            tok_s=25.0,
            ms_per_token=40.0,
            ms_per_token_p50=39.0,
            ms_per_token_p95=52.0,
            bytes_per_token=12.4e6,
            gb_s=None if basis == "simulated" else 6.2,
            wall_gb_s=None if basis == "simulated" else 10.0,
            wall_share=None if basis == "simulated" else 0.62,
            j_per_token=0.25,
            energy_j=0.25 * tokens,
            device_s=0.002 * tokens,
            basis=basis,
            energy_basis=basis,
            backend="fake",
            simulated=basis == "simulated",
            precision="fp32",
        )

    # --- routes ---

    async def reminders_told(self, request: Request) -> Response:
        since = float(request.query_params["since"])
        for _ in range(20):
            if found := [r for r in self.told if r.fired_at and r.fired_at > since]:
                break
            await asyncio.sleep(0.02)
        return _json(wire.ReminderList(data=found))

    async def healthz(self, _request: Request) -> Response:
        return _json({"status": "ok"})

    async def readyz(self, _request: Request) -> Response:
        self.ready_after -= 1
        is_ready = self.ready and self.ready_after < 0
        ready = wire.Ready(ready=is_ready, version=VERSION, pid=1, started_at=NOW)
        if is_ready:
            ready.model = wire.ModelStatus(
                name="test-3m",
                parameters=3_100_000,
                layers=6,
                width=192,
                vocab=4096,
                bytes=12_400_000,
                template="user-assistant",
                sha256="0" * 64,
            )
            ready.backend = wire.BackendStatus(
                name="fake",
                description="a device of the tests",
                simulated=self.simulated,
                precision="fp32",
            )
            ready.engine = wire.EngineStatus(live=0, queued=self.queued, max_batch=8)
            ready.selftest = self.selftest
        else:
            ready.reason = self.reason
        return _json(ready, 200 if is_ready else 503)

    async def plan(self, _request: Request) -> Response:
        return _json(fake_plan.status(self.policy, self.limits))

    async def follow(self, request: Request) -> Response:
        body = await self._body(request, wire.PlanRequest)
        self.policy, self.limits = body.policy or self.policy, body.limits
        return _json(fake_plan.status(self.policy, self.limits))

    async def what_if(self, request: Request) -> Response:
        body = await self._body(request, wire.PlanRequest)
        return _json(fake_plan.plan(body.policy or self.policy, body.limits))

    async def costs(self, request: Request) -> Response:
        return _json(fake_plan.costs(request.query_params.get("by", "day"), request.query_params.get("since")))

    async def prices(self, _request: Request) -> Response:
        return _json(fake_plan.PRICES)

    async def search(self, request: Request) -> Response:
        query, chat_id = request.query_params["q"], request.query_params.get("chat")
        hits = []
        for message in self.messages.values():
            place = message.content.lower().find(query.lower())
            if query and place >= 0 and chat_id in (None, message.chat_id):
                end = place + len(query)
                snippet = f"{message.content[:place]}\x02{message.content[place:end]}\x03{message.content[end:]}"
                chat = self.chats[message.chat_id]
                shown = message.id in {m.id for m in self._branch(chat)}
                head_id = chat.head_id if shown else self._end(message.id)
                hits.append(wire.SearchHit(chat_id=chat.id, chat_title=chat.title, message_id=message.id,
                                           head_id=head_id or "", role=message.role, created_at=NOW,
                                           snippet=snippet))  # fmt: skip
        return _json(wire.SearchResults(query=query, hits=hits))

    async def revision(self, request: Request) -> Response:
        chat = self.chats.get(request.query_params.get("chat", ""))
        return _json(wire.Revision(revision=self.changes, chat=chat))

    async def tree(self, request: Request) -> Response:
        chat = self.chats[request.path_params["id"]]
        nodes = [
            wire.Node(id=m.id, parent_id=m.parent_id, role=m.role, status=m.status, preview=m.content[:120],
                      created_at=NOW, head_id=self._end(m.id))
            for m in self.messages.values()
            if m.chat_id == chat.id
        ]  # fmt: skip
        return _json(wire.ChatTree(chat=chat, nodes=nodes))

    def _end(self, message_id: str) -> str:
        below = [m.id for m in self.messages.values() if m.parent_id == message_id]
        return self._end(below[-1]) if below else message_id

    async def export(self, request: Request) -> Response:
        chat = self.chats[request.path_params["id"]]
        return Response(f"# {chat.title}\n\n" + "\n".join(m.content for m in self._branch(chat)))

    async def fork(self, request: Request) -> Response:
        body = await self._body(request, wire.Fork)
        source = self.chats[request.path_params["id"]]
        branch = self._branch(source)
        ids = [m.id for m in branch]
        branch = branch[: ids.index(body.message_id) + 1] if body.message_id else branch
        chat = wire.Chat(id=self._id("chat"), title=f"{source.title} (fork)", created_at=NOW, updated_at=NOW)
        self.chats[chat.id] = chat
        for m in branch:
            copy = self._message(chat, chat.head_id, m.role, m.content)
            copy.status, copy.cost = m.status, m.cost
        return self._view(chat)

    async def list_chats(self, _request: Request) -> Response:
        newest_first = list(self.chats.values())[::-1]
        newest_first.sort(key=lambda chat: not chat.pinned)
        return _json({"data": newest_first})

    async def new_chat(self, request: Request) -> Response:
        body = await self._body(request, wire.NewChat)
        chat = wire.Chat(
            id=self._id("chat"),
            title=body.title or "New chat",
            created_at=NOW,
            updated_at=NOW,
            system=body.system or "",
        )
        self.chats[chat.id] = chat
        return _json(chat)

    async def view_chat(self, request: Request) -> Response:
        chat = self.chats.get(request.path_params["id"])
        if chat is None:
            return _error(404, wire.ErrorBody(message="there is no such chat", code="not_found"))
        return self._view(chat)

    async def patch_chat(self, request: Request) -> Response:
        body = await self._body(request, wire.ChatPatch)
        chat = self.chats[request.path_params["id"]]
        chat.head_id = body.head_id or chat.head_id
        chat.title = body.title or chat.title
        chat.pinned = chat.pinned if body.pinned is None else body.pinned
        return self._view(chat)

    async def delete_chat(self, request: Request) -> Response:
        await self._body(request, None)
        self.chats.pop(request.path_params["id"])
        return _json({"deleted": True})

    async def send(self, request: Request) -> Response:
        body = await self._body(request, wire.SendMessage)
        chat = self.chats[request.path_params["id"]]
        script = self.replies.popleft() if self.replies else Reply()
        if script.status >= 400 and script.error:
            return _error(script.status, script.error)
        parent_id = None if body.root else body.parent_id or chat.head_id
        message = self._message(chat, parent_id, "user", body.content)
        message.status = "complete"
        return self._stream(chat, message, script)

    async def regenerate(self, request: Request) -> Response:
        body = await self._body(request, wire.Regenerate)
        chat = self.chats[request.path_params["id"]]
        users = [message for message in self._branch(chat) if message.role == "user"]
        message = self.messages[body.message_id] if body.message_id else users[-1]
        return self._stream(chat, message, self.replies.popleft() if self.replies else Reply())

    async def cancel(self, request: Request) -> Response:
        await self._body(request, None)
        event = self._cancels.get(request.path_params["id"])
        if event:
            event.set()
        return _json({"cancelled": int(event is not None)})

    # --- parts ---

    def _stream(self, chat: wire.Chat, user: wire.Message, script: Reply) -> StreamingResponse:
        reply = self._message(chat, user.id, "assistant", "")
        return StreamingResponse(self._events(chat, user, reply, script), media_type="text/event-stream")

    async def _events(
        self, chat: wire.Chat, user: wire.Message, reply: wire.Message, script: Reply
    ) -> AsyncIterator[bytes]:
        cancel = self._cancels[chat.id] = asyncio.Event()
        tokens = 0
        try:
            yield _event(wire.Started(user_message=user, message_id=reply.id))
            yield b": ping\n\n"
            if script.skill:
                reply.skill = script.skill
                yield _event(wire.SkillUsed(answer=script.skill))
            for index, chunk in enumerate(script.chunks):
                if index == script.hold:
                    script.held.set()
                    await _first(script.release.wait(), cancel.wait())
                if cancel.is_set():
                    break
                if index == script.die_at:
                    _keep(asyncio.create_task(self.kill()))
                    await asyncio.Event().wait()
                tokens += 1
                reply.content += chunk
                cost = self.cost(tokens, script.basis)
                yield _event(wire.Delta(text=chunk, cost=cost))
                if script.mood and tokens == 1:
                    user.mood = script.mood
                    yield _event(wire.Sensed(message_id=user.id, mood=script.mood))
                await asyncio.sleep(script.pace_s)
            if script.ends_early:
                return
            if script.error:
                reply.status, reply.finish_reason = "error", "error"
                yield _event(wire.Failed(error=script.error))
            else:
                reply.status = "cancelled" if cancel.is_set() else "complete"
                reply.finish_reason = "cancelled" if cancel.is_set() else "stop"
                reply.cost = self.cost(tokens, script.basis)
                usage = wire.Usage(prompt_tokens=12, completion_tokens=tokens, total_tokens=12 + tokens)
                yield _event(wire.Finished(message=reply, usage=usage, cost=reply.cost))
            yield b"data: [DONE]\n\n"
        except asyncio.CancelledError:
            if reply.status == "streaming":
                reply.status = "cancelled"
            raise
        finally:
            self._cancels.pop(chat.id, None)

    def _message(self, chat: wire.Chat, parent_id: str | None, role: wire.Role, content: str) -> wire.Message:
        message = wire.Message(
            id=self._id("msg"),
            chat_id=chat.id,
            parent_id=parent_id,
            role=role,
            content=content,
            status="streaming",
            created_at=NOW,
        )
        self.messages[message.id] = message
        chat.head_id = message.id
        return message

    def _branch(self, chat: wire.Chat) -> list[wire.Message]:
        branch: list[wire.Message] = []
        message_id = chat.head_id
        while message_id:
            message = self.messages[message_id]
            alike = [
                other
                for other in self.messages.values()
                if (other.chat_id, other.parent_id) == (chat.id, message.parent_id)
            ]
            message.siblings = len(alike)
            message.sibling_index = alike.index(message)
            branch.insert(0, message)
            message_id = message.parent_id
        return branch

    def _view(self, chat: wire.Chat) -> Response:
        return _json(wire.ChatView(chat=chat, messages=self._branch(chat)))

    async def _body(self, request: Request, kind: Any) -> Any:
        content = await request.body() or b"{}"
        self.changes += 1
        self.requests.append((request.method, request.url.path, msgspec.json.decode(content)))
        return msgspec.json.decode(content, type=kind) if kind else None

    def _id(self, kind: str) -> str:
        self._counter += 1
        return f"{kind}-{self._counter}"


class DaemonThread:
    """A fake daemon beside a test that is not asynchronous, or that starts processes."""

    def __init__(self, socket: Path):
        self.fake = FakeDaemon(socket)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> FakeDaemon:
        self._thread.start()
        self.run(self.fake.start())
        return self.fake

    def __exit__(self, *_exc: object) -> None:
        self.run(self.fake.kill())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)


def _event(event: wire.StreamEvent) -> bytes:
    return b"data: " + msgspec.json.encode(event) + b"\n\n"


def _json(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def _error(status: int, body: wire.ErrorBody) -> Response:
    return _json({"error": body}, status)


async def _first(*waits: Any) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


_kept: set[asyncio.Task[None]] = set()


def _keep(task: asyncio.Task[None]) -> None:
    """The loop holds tasks weakly: one that nobody refers to may vanish before it has run."""
    _kept.add(task)
    task.add_done_callback(_kept.discard)
