"""Speech for Home Assistant and others by the Wyoming protocol: speech to text, text to speech, and the chat itself.

https://github.com/OHF-Voice/wyoming (MIT): each event is a line of JSON, then `data_length` bytes of further JSON, then
`payload_length` bytes of sound. Our own reader, because the reference implementation takes any length that a peer
names; the tests talk to us with that implementation.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import numpy as np

from assistant import __version__ as VERSION
from assistant import launch, paths, silence, wire
from assistant.client import Client
from assistant.errors import AssistantError, UsageError
from assistant.voice import transcriber, wav
from assistant.voice.engine import Options
from assistant.voice.resample import Resampler
from assistant.voice.sentences import Sentences
from assistant.voice.synthesis import Synthesizer, open_synthesizer
from assistant.voice.vad import RATE_HZ

log = logging.getLogger(__name__)

MAX_LINE = 64 * 1024  # bytes of a header, of further JSON, and of text
MAX_PAYLOAD = 1 << 20  # bytes of one piece of sound: half a minute at 16 kHz
MAX_SPEECH_S = 60.0
MAX_PEERS = 8
LOOPBACK = ("127.0.0.1", "::1", "localhost")
CHUNK = 2048  # samples sent at once
NAME = "rwkv-assistant"


class ProtocolError(Exception):
    """A peer sent what cannot be understood; the connection is closed."""


@dataclass(slots=True)
class Event:
    """One message, in either direction."""

    type: str
    data: dict[str, Any] = field(default_factory=dict)
    payload: bytes = b""

    def encoded(self) -> bytes:
        data = json.dumps(self.data, ensure_ascii=False).encode() if self.data else b""
        header: dict[str, Any] = {"type": self.type, "version": "1.5.2"}
        header |= {"data_length": len(data)} if data else {}
        header |= {"payload_length": len(self.payload)} if self.payload else {}
        return json.dumps(header).encode() + b"\n" + data + self.payload


async def read_event(reader: asyncio.StreamReader) -> Event | None:
    """None at the end of the connection. Raises ProtocolError."""
    try:
        line = await reader.readline()
        if not line:
            return None
        header = json.loads(line)
        if not isinstance(header, dict) or not isinstance(header.get("type"), str):
            raise ProtocolError("an event is a JSON object with a type")
        data = header.get("data") or {}
        if more := _length(header, "data_length", MAX_LINE):
            data = data | json.loads(await reader.readexactly(more))
        if not isinstance(data, dict):
            raise ProtocolError("an event's data is a JSON object")
        payload = await reader.readexactly(_length(header, "payload_length", MAX_PAYLOAD))
    except asyncio.IncompleteReadError:
        return None
    except (ValueError, TypeError, RecursionError) as error:  # a line too long is a ValueError as well
        raise ProtocolError(f"not an event: {error}") from error
    return Event(header["type"], data, payload)


def _length(header: dict[str, Any], key: str, most: int) -> int:
    length = header.get(key) or 0
    if not isinstance(length, int) or not 0 <= length <= most:
        raise ProtocolError(f"{key} is {length!r}; at most {most}")
    return length


def info(languages: list[str], voice: str, engine: str, with_chat: bool) -> dict[str, Any]:
    """What is offered, as an `info` event says it."""

    def program(name: str, by: str, url: str, words: str, **models: Any) -> dict[str, Any]:
        return {"name": name, "attribution": {"name": by, "url": url}, "installed": True, "description": words,
                "version": VERSION, **models}  # fmt: skip

    def model(name: str, by: str, url: str, words: str, spoken: list[str]) -> dict[str, Any]:
        return program(name, by, url, words, languages=spoken)

    moonshine = ("Moonshine AI", "https://github.com/moonshine-ai/moonshine")
    maker = ("espeak-ng", "https://github.com/espeak-ng/espeak-ng") if engine == "espeak" else (
        "Open Home Foundation", "https://github.com/OHF-Voice/piper1-gpl")  # fmt: skip
    ours = (NAME, "https://www.rwkv.com")
    return {
        "asr": [program("moonshine", *moonshine, "Speech to text on this machine",
                        models=[model("tiny-en", *moonshine, "Moonshine tiny, English", ["en"])])],
        "tts": [program(engine, *maker, "Text to speech on this machine",
                        voices=[model(voice, *maker, f"{engine} {voice}", languages) | {"speakers": None}])],
        "handle": [program(NAME, *ours, "The assistant on this machine",
                           models=[model("chat", *ours, "Its chat", ["en"])])] if with_chat else [],
        "intent": [], "wake": [], "mic": [], "snd": [],
    }  # fmt: skip


class Recording:
    """The sound of one `transcribe`, at 16 kHz, of no more than the longest time."""

    def __init__(self) -> None:
        self._pieces: list[np.ndarray] = []
        self._samples, self._format = 0, None
        self._resampler: Resampler | None = None

    def add(self, event: Event) -> None:
        """Raises ProtocolError for a format that cannot be."""
        wanted = tuple(event.data.get(key, usual) for key, usual in (("rate", RATE_HZ), ("width", 2), ("channels", 1)))
        rate_hz, width, channels = wanted
        if not all(isinstance(value, int) for value in wanted) or not (
            4000 <= rate_hz <= 192_000 and 1 <= width <= 4 and 1 <= channels <= 8
        ):
            raise ProtocolError(f"sound of {rate_hz!r} Hz, {width!r} bytes, {channels!r} channels")
        if wanted != self._format:
            self._format, self._resampler = wanted, Resampler(rate_hz, RATE_HZ)
        if self._samples < MAX_SPEECH_S * RATE_HZ:
            self._pieces.append(self._resampler.push(wav.from_pcm(event.payload, width, channels)))
            self._samples += len(self._pieces[-1])

    def samples(self) -> np.ndarray:
        rest = [self._resampler.flush()] if self._resampler else []
        return np.concatenate([*self._pieces, *rest, np.zeros(0, np.float32)])[: int(MAX_SPEECH_S * RATE_HZ)]


class Service:
    """What all connections share: the models, one at a time, and the daemon's chat."""

    def __init__(self, transcribe: Callable[[np.ndarray], str], synthesizer: Synthesizer, about: dict[str, Any],
                 with_chat: bool):  # fmt: skip
        self._transcribe, self._synthesizer, self._about, self._with_chat = transcribe, synthesizer, about, with_chat
        self._ears, self._mouth = asyncio.Lock(), asyncio.Lock()
        self._peers = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until its peer leaves or sends nonsense."""
        self._peers += 1
        chats: dict[str, str] = {}  # a peer's conversation -> our chat
        recording, streamed = Recording(), None
        try:
            while self._peers <= MAX_PEERS and (event := await read_event(reader)) is not None:
                match event.type:
                    case "describe":
                        await self._send(writer, Event("info", self._about))
                    case "ping":
                        await self._send(writer, Event("pong", event.data))
                    case "transcribe" | "audio-start":
                        recording = Recording()
                    case "audio-chunk":
                        recording.add(event)
                    case "audio-stop":
                        await self._send(writer, await self._understood(recording))
                        recording = Recording()
                    case "synthesize" if streamed is None:
                        await self._speak(writer, _text(event))
                    case "synthesize-start":
                        streamed = ""
                    case "synthesize-chunk" if streamed is not None:
                        streamed = (streamed + _text(event))[:MAX_LINE]
                    case "synthesize-stop" if streamed is not None:
                        await self._speak(writer, streamed)
                        await self._send(writer, Event("synthesize-stopped"))
                        streamed = None
                    case "transcript" if self._with_chat:
                        await self._send(writer, await self._answered(event, chats))
        except (ProtocolError, ValueError) as error:
            log.warning("closed a connection: %s", error)
            with contextlib.suppress(OSError):
                await self._send(writer, Event("error", {"text": str(error)[:500], "code": "protocol"}))
        except (ConnectionError, TimeoutError):
            pass
        finally:
            self._peers -= 1
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, event: Event) -> None:
        writer.write(event.encoded())
        await writer.drain()

    async def _understood(self, recording: Recording) -> Event:
        samples = recording.samples()
        async with self._ears:
            text = await asyncio.to_thread(self._transcribe, samples) if len(samples) else ""
        return Event("transcript", {"text": text, "language": "en"})

    async def _speak(self, writer: asyncio.StreamWriter, text: str) -> None:
        sentences, started, done = Sentences(), False, object()
        async with self._mouth:
            for piece in (*sentences.push(text), *sentences.end()):
                sound = self._synthesizer.speak(piece)
                while (samples := await asyncio.to_thread(next, sound, done)) is not done:
                    form = {"rate": self._synthesizer.rate_hz, "width": 2, "channels": 1}
                    if not started:
                        await self._send(writer, Event("audio-start", form))
                        started = True
                    for at in range(0, len(samples), CHUNK):
                        await self._send(writer, Event("audio-chunk", form, wav.to_pcm16(samples[at : at + CHUNK])))
            if not started:
                form = {"rate": self._synthesizer.rate_hz, "width": 2, "channels": 1}
                await self._send(writer, Event("audio-start", form))
            await self._send(writer, Event("audio-stop"))

    async def _answered(self, event: Event, chats: dict[str, str]) -> Event:
        text, context = _text(event), event.data.get("context")
        conversation = str((context or {}).get("conversation_id", "")) if isinstance(context, dict) else ""
        try:
            async with Client() as client:
                if conversation not in chats:
                    chats[conversation] = (await client.create_chat(title=text[:60])).id
                reply, message = "", wire.SendMessage(content=text)
                async with aclosing(client.stream_message(chats[conversation], message)) as stream:
                    async for said in stream:
                        if isinstance(said, wire.Delta):
                            reply += said.text
                        elif isinstance(said, wire.Failed):
                            return Event("not-handled", {"text": said.error.message, "context": context})
        except AssistantError as error:
            return Event("not-handled", {"text": str(error), "context": context})
        return Event("handled", {"text": reply, "context": context})


def _text(event: Event) -> str:
    text = event.data.get("text")
    if not isinstance(text, str) or len(text) > MAX_LINE:
        raise ProtocolError(f"a {event.type} has a text")
    return text


async def listen(uri: str, serve) -> tuple[asyncio.Server, str]:
    """The server and where it is. Raises UsageError for what other machines could reach, AssistantError."""
    if uri == "unix":
        uri = f"unix://{paths.ensure_private_dir(paths.runtime_dir()) / 'wyoming.sock'}"
    try:
        parts = urlsplit(uri)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"'{uri}' is no address", why=error) from error
    if scheme == "tcp" and host and port is not None:
        if host not in LOOPBACK:
            raise UsageError(f"'{host}' can be reached by other machines", why="whoever reaches this can chat",
                             hint="use tcp://127.0.0.1:PORT, and a tunnel of your own (ssh -L)")  # fmt: skip
        try:
            server = await asyncio.start_server(
                serve, "127.0.0.1" if host == "localhost" else host, port, limit=MAX_LINE
            )
        except OSError as error:
            raise AssistantError(
                "cannot listen", where=uri, why=error.strerror or error, hint="choose another port"
            ) from error
        return server, f"tcp://{host}:{server.sockets[0].getsockname()[1]}"
    if scheme == "unix" and parts.path and not parts.netloc:
        path = Path(parts.path)
        try:
            if path.is_socket() and not launch.accepts(path):
                path.unlink()  # of a dead one; anything else stays, and is in the way
            before = os.umask(0o177)
            try:
                return await asyncio.start_unix_server(serve, path, limit=MAX_LINE), uri
            finally:
                os.umask(before)
        except OSError as error:
            raise AssistantError("cannot listen", where=path, why=error.strerror or error,
                                 hint="name another path: unix:///path/to.sock") from error  # fmt: skip
    raise UsageError(f"'{uri}' is no address", hint="unix:///path/to.sock or tcp://127.0.0.1:10300")


def serve(uri: str, options: Options, with_chat: bool) -> None:
    """Until SIGTERM or Ctrl+C. Raises UsageError, VoiceUnavailable, AssistantError."""
    if with_chat:
        launch.ensure_daemon(lambda status: click.echo(f"{status} ...", err=True))
    synthesizer = open_synthesizer(options.engine, options.voice, options.words_per_minute)
    try:
        voice = options.voice or ("en-us" if options.engine == "espeak" else "en_US-joe-medium")
        about = info(["en"], voice, options.engine, with_chat)
        asyncio.run(_serve(uri, Service(transcriber.load(), synthesizer, about, with_chat)))
    finally:
        synthesizer.close()


async def _serve(uri: str, service: Service) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server, where = await listen(uri, service.serve)
    silence.fall_silent()  # what is open goes on; no other way to a network can be opened from here on
    click.echo(f"Wyoming at {where}", err=True)
    try:
        await stop.wait()
    finally:
        server.close()
        if where.startswith("unix://"):
            Path(where.removeprefix("unix://")).unlink(missing_ok=True)
