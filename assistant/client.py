"""The daemon's API as typed calls: HTTP over its unix socket in, wire types and event streams out.

httpx takes 0.2 s to import: that happens with the first request, never before the first paint.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from assistant import paths, sse, wire
from assistant.errors import EXIT_RETRY, AssistantError, DaemonUnavailable, RequestError

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

ANSWER_TIMEOUT_S = 30.0
SILENCE_TIMEOUT_S = 120.0
"""A stream carries a ping every few seconds; this much silence means that nobody is there."""

FOLLOW_PAUSE_S = 1.0

HINT_START = "Start it with `assistant serve`; its log may say why it is gone"
HINT_CUT = "The message and the partial reply are kept: send again or regenerate"


class DaemonSlow(DaemonUnavailable):
    """The daemon is there but does not answer in time: busy, not gone."""

    exit_code: ClassVar[int] = EXIT_RETRY


class ReplyCut(DaemonUnavailable):
    """The daemon went away in the middle of a reply."""

    exit_code: ClassVar[int] = EXIT_RETRY


class _Chats(wire.Wire):
    data: list[wire.Chat]


class _Deleted(wire.Wire):
    deleted: bool


class _Cancelled(wire.Wire):
    cancelled: int


class _Error(wire.Wire):
    error: wire.ErrorBody


class Client:
    """One client of one daemon; `async with`, or `aclose()` at the end."""

    def __init__(self, socket: Path | None = None):
        self.socket = Path(socket or paths.client_socket())

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if "_http" in self.__dict__:
            await self.__dict__.pop("_http").aclose()

    @cached_property
    def _http(self) -> httpx.AsyncClient:
        import httpx

        return httpx.AsyncClient(
            # A connection per request: opening one costs microseconds on a unix socket, and none
            # of them can be stale after a restart of the daemon.
            # No certificates: reading those of the system takes 50 ms, and nothing here is TLS.
            transport=httpx.AsyncHTTPTransport(
                uds=str(self.socket), limits=httpx.Limits(max_keepalive_connections=0), verify=False
            ),
            base_url="http://localhost",
            timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=5.0),
            trust_env=False,  # a proxy variable must not send a local chat anywhere
        )

    # --- state of the daemon ---

    async def ready(self) -> wire.Ready:
        """What the daemon runs, or why it cannot answer yet (`ready` false)."""
        status, body = await self._exchange("GET", "/readyz")
        if status not in (200, 503):
            raise _refusal(status, body)
        return _decode(body, wire.Ready)

    async def mood(self, text: str) -> wire.MoodAnswer:
        """How a text sounds; nothing of it is kept."""
        return await self._request("POST", "/v1/mood", wire.MoodRequest(text=text), answer=wire.MoodAnswer)

    # --- the plan ---

    async def plan(self) -> wire.PlanStatus:
        """What the daemon follows, and why."""
        return await self._request("GET", "/v1/plan", answer=wire.PlanStatus)

    async def what_if(self, policy: str | None, limits: dict[str, Any]) -> wire.PlanView:
        """What would be chosen under a policy (None: the one that is followed) with these limits; changes nothing."""
        body = wire.PlanRequest(policy=policy, limits=limits)
        return await self._request("POST", "/v1/plan/what-if", body, answer=wire.PlanView)

    async def follow(self, policy: str, limits: dict[str, Any] | None = None) -> wire.PlanStatus:
        """Follow another policy from now on; the daemon goes over to its choice between two replies."""
        body = wire.PlanRequest(policy=policy, limits=limits or {})
        return await self._request("POST", "/v1/plan", body, answer=wire.PlanStatus)

    async def cost(self, by: wire.CostBy = "day", since: str | None = None) -> wire.CostReport:
        """What answers have cost; `since` as `assistant cost` understands it."""
        query = f"?by={by}" + (f"&since={quote(since, safe='')}" if since else "")
        return await self._request("GET", f"/v1/cost{query}", answer=wire.CostReport)

    # --- self-test ---

    async def selftests(self) -> wire.SelfTests:
        """The last self-test in short."""
        return await self._request("GET", "/v1/selftest", answer=wire.SelfTests)

    async def attest(self) -> wire.Attestation:
        """What the daemon could not do when it tried, just now."""
        return await self._request("POST", "/v1/selftest/attest", answer=wire.Attestation)

    async def cloud_prices(self) -> wire.CloudPrices:
        """What the same tokens would cost elsewhere."""
        return await self._request("GET", "/v1/prices", answer=wire.CloudPrices)

    # --- skills ---

    async def skills(self) -> list[wire.SkillView]:
        """What code answers without the model, in the order in which it is asked."""
        return (await self._request("GET", "/v1/skills", answer=wire.SkillList)).data

    async def reminders(self) -> list[wire.Reminder]:
        """What is to be told, the next first; then what was told lately."""
        return (await self._request("GET", "/v1/reminders", answer=wire.ReminderList)).data

    async def remind(self, text: str) -> wire.Reminder:
        """Set a reminder by a sentence such as a chat understands."""
        return await self._request("POST", "/v1/reminders", wire.NewReminder(text=text), answer=wire.Reminder)

    async def cancel_reminder(self, reminder_id: int) -> None:
        await self._request("DELETE", f"/v1/reminders/{int(reminder_id)}", answer=_Deleted)

    async def reminders_told(self, since: float, wait_s: float = 0.0) -> list[wire.Reminder]:
        """What was told after a moment (Unix seconds), the oldest first; waits so long for something to be told.

        To follow them, ask again with the newest `fired_at`.
        """
        path, wait = f"/v1/reminders/told?since={since!r}", {"prefer": f"wait={min(wait_s, ANSWER_TIMEOUT_S / 2):.0f}"}
        return (await self._request("GET", path, answer=wire.ReminderList, headers=wait)).data

    async def follow_reminders(self) -> AsyncGenerator[wire.Reminder, None]:
        """Each reminder that is told from now on; never ends. What came due while the daemon was away comes when it is
        back."""
        since = time.time()
        while True:
            told: list[wire.Reminder] = []
            with contextlib.suppress(AssistantError):  # no daemon now, or one that tells nothing
                told = await self.reminders_told(since, ANSWER_TIMEOUT_S)
            for reminder in told:
                since = max(since, reminder.fired_at or since)
                yield reminder
            if not told:
                await asyncio.sleep(FOLLOW_PAUSE_S)

    # --- the library ---

    async def search(self, query: str, chat_id: str | None = None) -> list[wire.SearchHit]:
        """Messages with all of these words (the last one may be unfinished), the best first."""
        asked = urlencode({"q": query} | ({"chat": chat_id} if chat_id else {}))
        return (await self._request("GET", f"/v1/search?{asked}", answer=wire.SearchResults)).hits

    async def tree(self, chat_id: str) -> wire.ChatTree:
        """All branches of a chat."""
        return await self._request("GET", _chat(chat_id, "tree"), answer=wire.ChatTree)

    async def export(self, chat_id: str, form: Literal["markdown", "json"]) -> str:
        """A chat as a text for people (the branch being shown) or for programs (all branches)."""
        status, content = await self._exchange("GET", f"{_chat(chat_id, 'export')}?format={form}")
        if status >= 400:
            raise _refusal(status, content)
        return content.decode()

    async def revision(self, chat_id: str | None = None) -> wire.Revision:
        """Whether anything has changed, and how this chat stands."""
        asked = f"?{urlencode({'chat': chat_id})}" if chat_id else ""
        return await self._request("GET", f"/v1/revision{asked}", answer=wire.Revision)

    # --- chats ---

    async def chats(self) -> list[wire.Chat]:
        """All chats: pinned first, then the newest."""
        return (await self._request("GET", "/v1/chats", answer=_Chats)).data

    async def create_chat(self, title: str | None = None, system: str | None = None) -> wire.Chat:
        body = wire.NewChat(title=title, system=system)
        return await self._request("POST", "/v1/chats", body, answer=wire.Chat)

    async def chat(self, chat_id: str) -> wire.ChatView:
        return await self._request("GET", _chat(chat_id), answer=wire.ChatView)

    async def patch_chat(self, chat_id: str, patch: wire.ChatPatch) -> wire.ChatView:
        return await self._request("PATCH", _chat(chat_id), patch, answer=wire.ChatView)

    async def delete_chat(self, chat_id: str) -> bool:
        return (await self._request("DELETE", _chat(chat_id), answer=_Deleted)).deleted

    async def fork(self, chat_id: str, message_id: str | None = None) -> wire.ChatView:
        """A new chat that shares everything up to `message_id` (default: the head)."""
        body = wire.Fork(message_id=message_id)
        return await self._request("POST", _chat(chat_id, "fork"), body, answer=wire.ChatView)

    async def cancel(self, chat_id: str) -> int:
        """Stop what the chat is generating; how many generations that were."""
        answer = await self._request("POST", _chat(chat_id, "cancel"), answer=_Cancelled)
        return answer.cancelled

    # --- states: a conversation and the model's memory of it, as a file ---

    async def export_state(self, message_id: str) -> bytes:
        """The file of a chat up to a reply."""
        status, content = await self._exchange("GET", f"/v1/states/{quote(message_id, safe='')}")
        if status >= 400:
            raise _refusal(status, content)
        return content

    async def import_state(self, content: bytes) -> wire.ChatView:
        """The new chat that goes on where the file ends."""
        return await self._request("POST", "/v1/states", content, answer=wire.ChatView)

    # --- generation; closing the iterator cancels it ---

    def stream_message(self, chat_id: str, message: wire.SendMessage) -> AsyncGenerator[wire.StreamEvent, None]:
        return self._stream(_chat(chat_id, "messages"), message)

    def stream_regenerate(self, chat_id: str, request: wire.Regenerate) -> AsyncGenerator[wire.StreamEvent, None]:
        return self._stream(_chat(chat_id, "regenerate"), request)

    # --- HTTP ---

    async def _exchange(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        payload = _payload(body)
        try:
            response = await self._http.request(
                method, path, content=payload.get("content"), headers=payload.get("headers", {}) | (headers or {})
            )
        except Exception as error:
            raise self._translated(error) from error
        return response.status_code, response.content

    async def _request(
        self,
        method: str,
        path: str,
        body: Any = None,
        answer: type[T] | Any = Any,
        headers: dict[str, str] | None = None,
    ) -> T:
        status, content = await self._exchange(method, path, body, headers)
        if status >= 400:
            raise _refusal(status, content)
        return _decode(content, answer)

    async def _stream(self, path: str, body: Any) -> AsyncGenerator[wire.StreamEvent, None]:
        import httpx

        timeout = httpx.Timeout(SILENCE_TIMEOUT_S, connect=5.0)
        request = self._http.build_request("POST", path, timeout=timeout, **_payload(body))
        try:
            response = await self._http.send(request, stream=True)
        except httpx.HTTPError as error:
            raise self._translated(error) from error
        try:
            if response.status_code >= 400:
                raise _refusal(response.status_code, await response.aread())
            async for payload in sse.payloads(response.aiter_raw()):
                if payload == sse.DONE:
                    return
                yield _decode(payload, wire.StreamEvent)
        except httpx.HTTPError as error:
            raise self._cut(error) from error
        finally:
            await response.aclose()  # an unfinished stream: the daemon sees it and stops
        raise self._cut("the stream ended early")

    def _cut(self, why: object) -> ReplyCut:
        return ReplyCut("the daemon went away in the middle of a reply", why=why, hint=HINT_CUT)

    def _translated(self, error: Exception) -> Exception:
        import httpx

        if isinstance(error, httpx.TimeoutException):
            return DaemonSlow(
                "the daemon does not answer in time",
                where=self.socket,
                hint="It may be busy or stopped: try again, or look into its log",
            )
        if isinstance(error, httpx.HTTPError):
            # httpx hides the reason (no such file, refused) two causes below.
            root: BaseException = error
            while root.__cause__ or root.__context__:
                root = root.__cause__ or root.__context__
            why = getattr(root, "strerror", None) or str(root) or type(root).__name__
            return DaemonUnavailable("no daemon answers", where=self.socket, why=why, hint=HINT_START)
        return error


def warm_up() -> None:
    """Load what the first request needs, by one to nobody: 80 modules and 0.2 s. Call it in a thread."""

    async def ask_nobody() -> None:
        async with Client(Path("/nobody/is.here")) as client:
            await client.ready()

    with contextlib.suppress(DaemonUnavailable):
        asyncio.run(ask_nobody())


def call(work: Callable[[Client], Awaitable[T]], socket: Path | None = None) -> T:
    """Run one piece of work for a command that is not asynchronous: `call(lambda c: c.chats())`."""

    async def run() -> T:
        async with Client(socket) as client:
            return await work(client)

    return asyncio.run(run())


def _chat(chat_id: str, verb: str = "") -> str:
    # Quoted: an id typed by a person must not become another path.
    return f"/v1/chats/{quote(chat_id, safe='')}" + (f"/{verb}" if verb else "")


def _payload(body: Any) -> dict[str, Any]:
    if body is None:
        return {}
    if isinstance(body, bytes):
        return {"content": body, "headers": {"content-type": "application/octet-stream"}}
    fields = {key: value for key, value in msgspec.to_builtins(body).items() if value is not None}
    return {
        "content": msgspec.json.encode(fields),
        "headers": {"content-type": "application/json"},
    }


def _decode(content: bytes, answer: Any) -> Any:
    try:
        return msgspec.json.decode(content, type=answer)
    except msgspec.DecodeError as error:
        raise AssistantError(
            "the daemon's answer is not understood",
            why=error,
            hint="Client and daemon may be of different versions: restart the daemon",
        ) from error


def _refusal(status: int, content: bytes) -> RequestError:
    try:
        body = msgspec.json.decode(content, type=_Error).error
    except msgspec.DecodeError:
        body = wire.ErrorBody(message=f"the daemon answered with HTTP status {status}")
    return RequestError(body.message, status=status, code=body.code or body.type, where=body.param, hint=body.hint)
