"""Server-sent events: the bytes of a stream in, the payload of each `data:` line out."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

DONE = b"[DONE]"
"""The payload after the last event; a stream that ends without it was cut."""


async def payloads(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Each complete `data:` line; comments (keep-alive pings), blank and half lines are dropped.

    Lines end at a newline byte only. `str.splitlines` would also split inside of a JSON string that
    holds U+2028 or U+0085, and models do write those.
    """
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()
