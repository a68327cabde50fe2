"""The daemon is late, dies, comes back: nothing written is lost, and the screen says so."""

from __future__ import annotations

import asyncio

import pytest

from assistant import paths
from assistant.tui import connection
from tests.fake_daemon import FakeDaemon, Reply

from .conftest import Person, Sit, launcher


async def lose(daemon: FakeDaemon, person: Person) -> None:
    await daemon.kill()
    await person.sees("daemon lost")


async def test_keys_before_the_daemon_is_there(sit: Sit) -> None:
    daemon = FakeDaemon(paths.socket_path())
    async with sit() as person:
        await person.send("early")
        await person.type("next")
        await person.sees("early", "waiting for the daemon")
        await daemon.start()
        await person.sees("Hello from the fake.", "● ready")
        assert "waiting for the daemon" not in person.screen
        assert person.draft == "next"
        await daemon.kill()


async def test_two_early_messages_are_answered_in_their_places(sit: Sit) -> None:
    daemon = FakeDaemon(paths.socket_path())
    daemon.replies.extend([Reply(["answer one"]), Reply(["answer two"])])
    async with sit() as person:
        await person.send("first")
        await person.send("second")
        await daemon.start()
        await person.sees("answer two")
        await person.idle()
        places = [person.screen.rindex(text) for text in ("first", "answer one", "second")]
        assert places == sorted(places)
        await daemon.kill()


async def test_keys_while_the_model_loads(daemon: FakeDaemon, sit: Sit) -> None:
    daemon.ready = False
    async with sit() as person:
        await person.send("early")
        await person.sees("loading the model", "waiting for the daemon")
        assert daemon.chats == {}
        daemon.ready = True
        await person.sees("Hello from the fake.")


async def test_a_waiting_message_can_be_taken_back(sit: Sit) -> None:
    async with sit() as person:
        await person.send("too early")
        await person.sees("waiting for the daemon")
        await person.press("escape")
        await person.sees_no("waiting for the daemon")
        assert person.draft == "too early"


async def test_lost_between_messages_and_back_with_the_draft_kept(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit() as person:
        await person.send("one")
        await person.sees("Hello from the fake.")
        await person.type("draft")
        await lose(daemon, person)
        await person.type("ed")
        assert "test-3m" in person.screen  # what answered last is still known
        await daemon.start()
        await person.sees("● ready", "Hello from the fake.")
        assert person.draft == "drafted"
        await person.press("enter")
        await person.idle()
    (chat_id,) = daemon.chats
    assert daemon.texts(chat_id)[2] == "drafted"


async def test_a_message_sent_into_the_void_is_sent_later(daemon: FakeDaemon, sit: Sit) -> None:
    async with sit() as person:
        await person.send("one")
        await person.sees("Hello from the fake.")
        await lose(daemon, person)
        await person.send("two")
        await person.sees("two", "waiting for the daemon")
        await daemon.start()
        await person.idle()
        assert "waiting for the daemon" not in person.screen
    (chat_id,) = daemon.chats
    assert daemon.texts(chat_id) == ["one", "Hello from the fake.", "two", "Hello from the fake."]


async def test_death_in_mid_reply_keeps_the_part_and_marks_it(daemon: FakeDaemon, sit: Sit) -> None:
    daemon.replies.append(Reply(die_at=2))
    async with sit() as person:
        await person.send("Hi")
        await person.sees("Hello from", "interrupted")
        await daemon.start()
        await person.sees("● ready", "Hello from", "interrupted")
        await person.idle()
        await person.send("next")
        await person.sees("Hello from the fake.")
    (chat_id,) = daemon.chats
    assert daemon.texts(chat_id) == ["Hi", "Hello from ", "next", "Hello from the fake."]


async def test_a_cut_reply_is_reason_enough_to_look(
    daemon: FakeDaemon, sit: Sit, monkeypatch: pytest.MonkeyPatch
) -> None:
    # After `sit`, which makes the watch frequent.
    monkeypatch.setattr(connection, "WATCH_S", 600)
    daemon.replies.append(Reply(die_at=2))
    async with sit() as person:
        await person.send("Hi")
        await person.sees("daemon lost", "interrupted")


async def test_the_place_in_an_unchanged_conversation_survives_a_restart(daemon: FakeDaemon, sit: Sit) -> None:
    chat_id = daemon.add_chat("long", "q", "\n\n".join(f"line {n}" for n in range(40)))
    async with sit(resume=chat_id, size=(80, 24)) as person:
        await person.sees("line 39")
        await person.press("pageup")
        await person.sees_no("line 39")
        before = person.chat.conversation.scroll_y
        await lose(daemon, person)
        await daemon.start()
        await person.sees("● ready")
        await person.pilot.pause()
        assert person.chat.conversation.scroll_y == before


async def test_an_interrupted_reply_can_be_asked_for_again(daemon: FakeDaemon, sit: Sit) -> None:
    daemon.replies.append(Reply(die_at=2))
    async with sit() as person:
        await person.send("Hi")
        await person.sees("interrupted")
        await daemon.start()
        await person.sees("● ready", "interrupted")
        await person.idle()
        await person.press("ctrl+r")
        await person.sees("Hello from the fake.")
    (chat_id,) = daemon.chats
    assert daemon.texts(chat_id) == ["Hi", "Hello from the fake."]


async def test_a_message_that_arrived_although_the_answer_did_not_is_not_sent_twice(
    daemon: FakeDaemon, sit: Sit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon stores the message and dies before it can say so."""
    original = daemon._stream

    def die(chat: object, *_rest: object) -> object:
        monkeypatch.setattr(daemon, "_stream", original)
        killer = asyncio.create_task(daemon.kill())

        async def stay() -> None:
            await killer

        return stay()

    async with sit() as person:
        await person.sees("● ready")
        real_send = daemon.send

        async def send(request: object) -> object:
            answer = await real_send(request)  # type: ignore[arg-type]
            if asyncio.iscoroutine(answer):
                await answer
            return answer

        monkeypatch.setattr(daemon, "_stream", die)
        monkeypatch.setattr(daemon, "send", send)
        await daemon.kill()
        await daemon.start()
        await person.send("Hi")
        await person.sees("daemon lost")
        await daemon.start()
        await person.sees("Hello from the fake.")
        await person.idle()
    (chat_id,) = daemon.chats
    assert daemon.texts(chat_id) == ["Hi", "Hello from the fake."]
    assert [m.content for m in daemon.messages.values()].count("Hi") == 1


async def test_a_message_that_brings_the_daemon_down_is_not_sent_for_ever(
    daemon: FakeDaemon, sit: Sit, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = 0

    async def die(_request: object) -> object:
        nonlocal attempts
        attempts += 1
        killer = asyncio.create_task(daemon.kill())
        await killer
        raise AssertionError("unreachable: the connection is gone")

    async with sit() as person:
        await person.sees("● ready")
        monkeypatch.setattr(daemon, "send", die)
        await daemon.kill()
        await daemon.start()
        await person.send("poison")
        for expected in (1, 2):
            await person.until(lambda n=expected: attempts == n and daemon._server is None)
            await daemon.start()
        await person.sees("poison", "not sent: the daemon was lost each time", "● ready")
        await person.idle()
        assert attempts == 2


async def test_a_slow_daemon_is_busy_and_not_lost(
    daemon: FakeDaemon, sit: Sit, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assistant.client import Client, DaemonSlow

    real = Client.ready

    async def slow(_self: Client) -> object:
        raise DaemonSlow("the daemon does not answer in time")

    async with sit() as person:
        await person.sees("● ready")
        monkeypatch.setattr(Client, "ready", slow)
        await person.sees("busy")
        assert "lost" not in person.screen
        monkeypatch.setattr(Client, "ready", real)
        await person.sees("● ready")


async def test_a_daemon_that_cannot_start_gives_its_reason(sit: Sit) -> None:
    async with sit() as person:
        await person.sees("daemon lost, reconnecting", "the test has not started it")


async def test_the_link_tries_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    enough = asyncio.Event()
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 7:
            enough.set()
        await real_sleep(0)

    monkeypatch.setattr(connection.asyncio, "sleep", sleep)
    link = connection.Connection(lambda _link: None, launcher)
    running = asyncio.create_task(link.run())
    await enough.wait()
    running.cancel()
    assert pauses[:7] == [0.1, 0.3, 1.0, 2.0, 5.0, 5.0, 5.0]
