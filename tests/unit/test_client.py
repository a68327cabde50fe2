"""The client against a scripted daemon: types, streams, and errors that say what to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from assistant import paths, sse, wire
from assistant.client import Client, DaemonSlow, ReplyCut
from assistant.errors import EXIT_RETRY, DaemonUnavailable, RequestError
from tests.fake_daemon import FakeDaemon, Reply


@pytest.fixture
async def daemon() -> AsyncIterator[FakeDaemon]:
    fake = FakeDaemon(paths.socket_path())
    await fake.start()
    yield fake
    await fake.kill()


@pytest.fixture
async def client(daemon: FakeDaemon) -> AsyncIterator[Client]:
    async with Client() as client:
        yield client


async def collect(stream: AsyncIterator[wire.StreamEvent]) -> list[wire.StreamEvent]:
    return [event async for event in stream]


async def read_text(stream: AsyncIterator[wire.StreamEvent], into: list[str]) -> None:
    async for event in stream:
        if isinstance(event, wire.Delta):
            into.append(event.text)


async def test_ready_and_not_ready_have_the_same_type(daemon: FakeDaemon, client: Client) -> None:
    ready = await client.ready()
    assert ready.ready
    assert ready.model
    assert ready.model.name == "test-3m"
    daemon.ready = False
    ready = await client.ready()
    assert (ready.ready, ready.reason) == (False, "the model is being loaded")


async def test_a_chat_is_created_listed_renamed_and_deleted(client: Client) -> None:
    chat = await client.create_chat(title="first", system="be brief")
    assert chat.system == "be brief"
    assert [entry.id for entry in await client.chats()] == [chat.id]
    view = await client.patch_chat(chat.id, wire.ChatPatch(title="renamed"))
    assert view.chat.title == "renamed"
    assert await client.delete_chat(chat.id)
    assert await client.chats() == []


async def test_a_message_streams_typed_events(daemon: FakeDaemon, client: Client) -> None:
    chat = await client.create_chat()
    events = await collect(client.stream_message(chat.id, wire.SendMessage(content="hi", seed=7)))
    assert [type(event).__name__ for event in events] == ["Started", *["Delta"] * 4, "Finished"]
    assert "".join(e.text for e in events if isinstance(e, wire.Delta)) == "Hello from the fake."
    assert isinstance(events[-1], wire.Finished)
    assert events[-1].cost.completion_tokens == 4
    # What was not asked for is not sent: the daemon's defaults apply.
    assert daemon.requests[-1][2] == {"content": "hi", "seed": 7, "root": False}


async def test_regenerate_makes_a_sibling(daemon: FakeDaemon, client: Client) -> None:
    chat_id = daemon.add_chat("old", "question", "answer")
    daemon.replies.append(Reply(["better"]))
    await collect(client.stream_regenerate(chat_id, wire.Regenerate()))
    view = await client.chat(chat_id)
    assert [message.content for message in view.messages] == ["question", "better"]
    assert view.messages[-1].siblings == 2


async def test_separators_of_unicode_do_not_split_an_event(daemon: FakeDaemon, client: Client) -> None:
    text = "a\u2028b\u0085c\x0bd\x1ce\nf"
    daemon.replies.append(Reply([text]))
    chat = await client.create_chat()
    events = await collect(client.stream_message(chat.id, wire.SendMessage(content="hi")))
    assert [event.text for event in events if isinstance(event, wire.Delta)] == [text]


async def test_events_cut_at_any_byte_are_joined_again() -> None:
    stream = b': ping\n\ndata: {"a":"\xe2\x80\xa8"}\n\ndata:[DONE]\n\n'

    async def chunks(size: int) -> AsyncIterator[bytes]:
        for start in range(0, len(stream), size):
            yield stream[start : start + size]

    for size in range(1, len(stream) + 1):
        found = [payload async for payload in sse.payloads(chunks(size))]
        assert found == [b'{"a":"\xe2\x80\xa8"}', sse.DONE]


async def test_no_daemon_names_the_socket_the_reason_and_the_remedy() -> None:
    async with Client() as client:
        with pytest.raises(DaemonUnavailable) as caught:
            await client.chats()
    assert str(paths.socket_path()) in str(caught.value)
    assert "No such file" in str(caught.value)
    assert "assistant serve" in str(caught.value)


async def test_death_in_mid_stream_is_a_cut_reply(daemon: FakeDaemon, client: Client) -> None:
    daemon.replies.append(Reply(die_at=2))
    chat = await client.create_chat()
    seen: list[str] = []
    with pytest.raises(ReplyCut) as caught:
        await read_text(client.stream_message(chat.id, wire.SendMessage(content="hi")), seen)
    assert seen == ["Hello ", "from "]
    assert caught.value.exit_code == EXIT_RETRY
    assert "kept" in (caught.value.hint or "")


async def test_a_stream_that_ends_without_its_last_line_is_a_cut_reply(daemon: FakeDaemon, client: Client) -> None:
    daemon.replies.append(Reply(ends_early=True))
    chat = await client.create_chat()
    with pytest.raises(ReplyCut, match="ended early"):
        await collect(client.stream_message(chat.id, wire.SendMessage(content="hi")))


async def test_a_refusal_keeps_status_code_and_hint(daemon: FakeDaemon, client: Client) -> None:
    body = wire.ErrorBody(message="too long", code="context_length", hint="shorten it")
    daemon.replies.append(Reply(status=413, error=body))
    chat = await client.create_chat()
    with pytest.raises(RequestError) as caught:
        await collect(client.stream_message(chat.id, wire.SendMessage(content="x")))
    error = caught.value
    assert (error.status, error.code, error.hint) == (413, "context_length", "shorten it")


async def test_an_id_cannot_leave_its_place_in_the_path(client: Client) -> None:
    with pytest.raises(RequestError) as caught:
        await client.chat("../../readyz")
    assert caught.value.status == 404


async def test_closing_the_stream_cancels_the_generation(daemon: FakeDaemon, client: Client) -> None:
    script = Reply(hold=1)
    daemon.replies.append(script)
    chat = await client.create_chat()
    stream = client.stream_message(chat.id, wire.SendMessage(content="hi"))
    async for event in stream:
        if isinstance(event, wire.Delta):
            break
    await script.held.wait()
    await stream.aclose()
    async with asyncio.timeout(5):
        while daemon.messages[daemon.chats[chat.id].head_id or ""].status != "cancelled":
            await asyncio.sleep(0.005)


async def test_cancel_ends_the_stream_with_a_finished_event(daemon: FakeDaemon, client: Client) -> None:
    script = Reply(hold=1)
    daemon.replies.append(script)
    chat = await client.create_chat()
    stream = client.stream_message(chat.id, wire.SendMessage(content="hi"))
    events = asyncio.create_task(collect(stream))
    await script.held.wait()
    assert await client.cancel(chat.id) == 1
    last = (await events)[-1]
    assert isinstance(last, wire.Finished)
    assert last.message.finish_reason == "cancelled"
    assert await client.cancel(chat.id) == 0


async def test_silence_is_slow_and_not_gone(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    async def stuck(*_args: object, **_options: object) -> None:
        raise httpx.ReadTimeout("")

    monkeypatch.setattr(client._http, "request", stuck)
    with pytest.raises(DaemonSlow):
        await client.ready()


async def test_a_proxy_in_the_environment_is_ignored(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with Client() as client:
        assert (await client.ready()).version == "0.0.0-test"
