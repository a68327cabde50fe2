"""The Wyoming adapter, talked to by the protocol's own implementation; what it refuses."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from assistant import paths
from assistant.errors import AssistantError, UsageError
from assistant.voice import wav, wyoming
from tests.fake_daemon import FakeDaemon, Reply

from .fakes import Synthesizer

peer = pytest.importorskip("wyoming.client", reason="NOT CHECKED: the package wyoming is not installed")
from wyoming.asr import Transcribe, Transcript  # noqa: E402
from wyoming.audio import AudioChunk, AudioStart, AudioStop  # noqa: E402
from wyoming.event import Event  # noqa: E402
from wyoming.handle import Handled, NotHandled  # noqa: E402
from wyoming.info import Describe, Info  # noqa: E402
from wyoming.ping import Ping  # noqa: E402
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped  # noqa: E402

heard: list[np.ndarray] = []


def transcribe(samples: np.ndarray) -> str:
    heard.append(samples)
    return f"{len(samples) / 16_000:.2f} s of sound"


@asynccontextmanager
async def served(uri: str, with_chat: bool = True) -> AsyncIterator[str]:
    about = wyoming.info(["en"], "en-us", "espeak", with_chat)
    service = wyoming.Service(transcribe, Synthesizer(), about, with_chat)
    server, where = await wyoming.listen(uri, service.serve)
    async with server:
        yield where


async def read(client) -> Event:
    return await asyncio.wait_for(client.read_event(), 10)


@pytest.mark.parametrize("uri", ["unix", "tcp://127.0.0.1:0"])
async def test_a_peer_asks_what_there_is_and_uses_all_of_it(uri: str) -> None:
    async with served(uri) as where, peer.AsyncClient.from_uri(where) as client:
        await client.write_event(Describe().event())
        info = Info.from_event(await read(client))
        assert [program.name for program in (*info.asr, *info.tts, *info.handle)] == [
            "moonshine", "espeak", "rwkv-assistant",
        ]  # fmt: skip
        assert info.asr[0].models[0].languages == info.tts[0].voices[0].languages == ["en"]
        await client.write_event(Ping("x").event())
        assert (await read(client)).data["text"] == "x"

        form = {"rate": 44_100, "width": 2, "channels": 2}
        sound = wav.to_pcm16(np.repeat(np.linspace(-0.5, 0.5, 22_050, dtype=np.float32), 2))
        for event in (Transcribe(language="en"), AudioStart(**form), AudioChunk(audio=sound, **form), AudioStop()):
            await client.write_event(event.event())
        assert Transcript.from_event(await read(client)).text == "0.50 s of sound"
        np.testing.assert_allclose(heard[-1][200:-200], np.linspace(-0.5, 0.5, 8000)[200:-200], atol=1e-3)

        await client.write_event(Synthesize(text="Three short words. And two.").event())
        await spoken(client, 5)


async def spoken(client, words: int) -> None:
    start = AudioStart.from_event(await read(client))
    samples = 0
    while AudioChunk.is_type((event := await read(client)).type):
        chunk = AudioChunk.from_event(event)
        assert (chunk.rate, chunk.width, chunk.channels) == (start.rate, 2, 1) == (16_000, 2, 1)
        samples += chunk.samples
    assert AudioStop.is_type(event.type)
    assert samples == words * 1600


async def test_text_that_comes_in_pieces_is_spoken_once() -> None:
    async with served("unix") as where, peer.AsyncClient.from_uri(where) as client:
        for event in (SynthesizeStart(), SynthesizeChunk("One "), SynthesizeChunk("two."), Synthesize("One two."),
                      SynthesizeStop()):  # fmt: skip
            await client.write_event(event.event())
        await spoken(client, 2)
        assert SynthesizeStopped.is_type((await read(client)).type)


async def test_a_conversation_agent_keeps_each_conversation_apart() -> None:
    daemon = FakeDaemon(paths.socket_path())
    await daemon.start()
    daemon.replies.extend([Reply(["One."]), Reply(["Two."]), Reply(["Three."])])
    try:
        async with served("unix") as where, peer.AsyncClient.from_uri(where) as client:
            for text, conversation, answer in (("a", "x", "One."), ("b", "x", "Two."), ("c", "y", "Three.")):
                context = {"conversation_id": conversation}
                await client.write_event(Transcript(text=text, context=context).event())
                handled = Handled.from_event(await read(client))
                assert (handled.text, handled.context) == (answer, context)
            assert sorted(map(daemon.texts, daemon.chats)) == [["a", "One.", "b", "Two."], ["c", "Three."]]
            await daemon.kill()
            await client.write_event(Transcript(text="d").event())
            assert "no daemon answers" in NotHandled.from_event(await read(client)).text
    finally:
        await daemon.kill()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n",
        b'{"type": "audio-chunk", "payload_length": 99999999999}\n',
        b'{"type": "audio-chunk", "payload_length": -1}\n',
        b'{"type": "synthesize", "data_length": 3}\nxyz',
        b'{"type": "synthesize"}\n',
        b'{"type": "audio-chunk", "data": {"rate": 0}}\n',
        b'{"type": "audio-chunk", "data": 3}\n',
        b"[1]\n",
        b"x" * 70_000 + b"\n",
    ],
)
async def test_nonsense_closes_the_connection_and_nothing_else(sent: bytes) -> None:
    async with served("unix") as where:
        reader, writer = await asyncio.open_unix_connection(where.removeprefix("unix://"))
        writer.write(sent)
        answer = await asyncio.wait_for(reader.read(), 10)
        assert b'"error"' in answer
        writer.close()
        async with peer.AsyncClient.from_uri(where) as client:
            await client.write_event(Describe().event())
            assert Info.is_type((await read(client)).type)


@pytest.mark.parametrize(
    "uri", ["tcp://0.0.0.0:10300", "tcp://192.168.1.5:10300", "tcp://[::]:1", "tcp://example.org:1"]
)
async def test_other_machines_are_refused(uri: str) -> None:
    with pytest.raises(UsageError, match="other machines"):
        await wyoming.listen(uri, None)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1", "tcp://127.0.0.1", "tcp://127.0.0.1:x", "unix://a/b", "nothing"])
async def test_what_is_no_address_is_refused(uri: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        await wyoming.listen(uri, None)


async def test_the_socket_is_private_and_another_file_is_not_touched(home: Path) -> None:
    async with served("unix") as where:
        assert stat.S_IMODE(Path(where.removeprefix("unix://")).stat().st_mode) == 0o600
    home.mkdir(exist_ok=True)
    (home / "notes").write_text("mine")
    with pytest.raises(AssistantError, match="cannot listen"):
        await wyoming.listen(f"unix://{home / 'notes'}", None)
    assert (home / "notes").read_text() == "mine"
