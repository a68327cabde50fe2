"""`assistant talk` in a terminal: a line that shows who is speaking, a key to talk, and a way out that always works."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import sys
import termios
import time
import tty
from typing import Any

import click
import msgspec

from assistant.client import Client
from assistant.errors import RequestError
from assistant.voice import events
from assistant.voice.engine import Engine, Options
from assistant.voice.level import meter
from assistant.voice.talk import Talk, Turn

EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
BAR = 20  # characters of the level meter
LOADING_POLL_S = 0.05


class Keys:
    """Space and Enter without echo and without waiting for a line, where stdin is a terminal; lines where it is not.

    A terminal tells of presses only, never of releases: the first one begins, the next one ends.
    """

    def __init__(self, wanted: bool):
        self._fd = sys.stdin.fileno() if wanted else None
        self._before: list | None = None
        self.held = False

    def __enter__(self) -> Keys:
        if self._fd is not None and os.isatty(self._fd):
            self._before = termios.tcgetattr(self._fd)
            # Whoever ends us leaves a terminal that echoes: `__exit__` has to run.
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
            tty.setcbreak(self._fd)  # Ctrl+C still interrupts
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._before is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def pressed(self) -> bool:
        """Whether one of the keys has been pressed since; raises KeyboardInterrupt for q and Ctrl+D."""
        if self._fd is None or not select.select([self._fd], [], [], 0)[0]:
            return False
        data = os.read(self._fd, 64)
        if self._before is None and not data:  # a pipe that has ended: nobody will press again
            self._fd = None
            return False
        if self._before is not None and (not data or data[:1] in (b"q", b"\x04")):
            raise KeyboardInterrupt
        return any(key in data for key in b" \n\r")

    def toggle(self) -> str:
        """What to listen for after a press."""
        self.held = not self.held
        return "button" if self.held else "off"


class Line:
    """What a person sees: words on stdout, the state and the meter on the terminal's last line."""

    def __init__(self, as_json: bool):
        self._as_json, self._live = as_json, sys.stderr.isatty() and not as_json
        self._state, self._in_reply = "", False

    def state(self, state: str) -> None:
        self._state = state
        self._draw("")

    def level(self, level: events.Level) -> None:
        if not self._in_reply:
            self._draw("#" * round(BAR * meter(level.dbfs)))

    def heard(self, text: str) -> None:
        self._clear()
        if not self._as_json:
            click.echo(f"you: {_printable(text)}")

    def reply(self, text: str) -> None:
        if self._as_json:
            return
        self._clear()
        click.echo(("" if self._in_reply else "it:  ") + _printable(text), nl=False)
        sys.stdout.flush()
        self._in_reply = True

    def reminder(self, words: str) -> None:
        self._clear()
        click.echo(msgspec.json.encode({"reminder": words}).decode() if self._as_json else f"\a{_printable(words)}")

    def turn(self, turn: Turn) -> None:
        if self._in_reply:
            click.echo(" ..." if turn.interrupted else "")
        self._in_reply = False
        if self._as_json:
            click.echo(msgspec.json.encode(turn).decode())

    def problem(self, message: str) -> None:
        self._clear()
        click.echo(f"warning: {message}", err=True)

    def _draw(self, bar: str) -> None:
        if self._live and not self._in_reply:
            sys.stderr.write(f"\r\x1b[K{self._state} {bar}")
            sys.stderr.flush()

    def _clear(self) -> None:
        if self._live and not self._in_reply:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _printable(text: str) -> str:
    """No control characters: a model's text must not move the cursor."""
    return "".join(c for c in text if c.isprintable() or c == "\n")


def run(options: Options, *, chat_id: str | None, wake_word: str, push_to_talk: bool, turns: int | None,
        as_json: bool, **stand_ins: Any) -> int:  # fmt: skip
    """The exit code. Raises VoiceUnavailable, AssistantError."""
    with Keys(push_to_talk) as keys:
        line = Line(as_json)
        try:
            asyncio.run(_talk(options, line, keys, chat_id, wake_word, push_to_talk, turns, stand_ins))
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        except asyncio.CancelledError:
            return EXIT_TERMINATED
        finally:
            line._clear()
    return 0


async def _talk(options, line, keys, chat_id, wake_word, push_to_talk, turns, stand_ins) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    told: asyncio.Queue[events.Told] = asyncio.Queue()

    def tell(event: events.Told) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(told.put_nowait, event)

    async with Client() as client:
        engine = await asyncio.to_thread(Engine, options, tell, **stand_ins)
        try:
            await _loaded(client, line)
            chat_id = await _newest(client) if chat_id == "last" else chat_id
            talk = Talk(client, engine, told, line, chat_id=chat_id, wake_word=wake_word, turns=turns,
                        hands_free=not push_to_talk)  # fmt: skip
            hint = "space begins and ends what you say, q leaves" if push_to_talk else "speak; Ctrl+C leaves"
            click.echo(hint + (f"; begin with '{wake_word}'" if wake_word else ""), err=True)
            async with asyncio.TaskGroup() as group:
                pressing = group.create_task(_press(keys, engine))
                await talk.run()
                pressing.cancel()
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        finally:
            await asyncio.to_thread(engine.close)


async def _press(keys: Keys, engine: Engine) -> None:
    while True:
        if keys.pressed():
            engine.do(events.Listen(keys.toggle()))
        await asyncio.sleep(0.03)


async def _loaded(client: Client, line: Line) -> None:
    """A daemon that has just been started still loads its model."""
    began = time.monotonic()
    while not (ready := await client.ready()).ready:
        if time.monotonic() - began > 1.0 and ready.reason:
            line.state(ready.reason)
        await asyncio.sleep(LOADING_POLL_S)


async def _newest(client: Client) -> str:
    if not (chats := await client.chats()):
        raise RequestError("there is no chat to continue", hint="Talk without --continue first")
    return max(chats, key=lambda chat: chat.updated_at).id
