"""The line before the engine: bounded, and fair between clients however much each of them asks for."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")

RESERVED_SHARE = 4
"""The last 1/4 of the line is kept for clients that have nothing in it, so that one who floods it locks out nobody."""


class WaitingLine(Generic[T]):
    """Items that wait, by client. Not thread-safe: the engine holds its lock around every call."""

    def __init__(self, size: int):
        self.size = size
        self._lines: dict[str, deque[T]] = {}
        self._served: OrderedDict[str, None] = OrderedDict()  # the client served longest ago first

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def __iter__(self) -> Iterator[T]:
        return (item for line in self._lines.values() for item in line)

    def has_room(self, client: str) -> bool:
        """Whether one more item of this client may wait."""
        limit = self.size if client not in self._lines else self.size - self.size // RESERVED_SHARE
        return len(self) < limit

    def add(self, client: str, item: T) -> None:
        """At the end of the client's own line. The caller has asked `has_room`."""
        if client not in self._lines:
            self._lines[client] = deque()
        self._lines[client].append(item)

    def take(self, live: Mapping[str, int]) -> T:
        """The next item: of the client with the fewest `live` ones; among equals, of the one served longest ago.

        Raises LookupError when nobody waits.
        """
        if not self._lines:
            raise LookupError("nobody waits")
        order = {client: i for i, client in enumerate(self._served)}
        client = min(self._lines, key=lambda c: (live.get(c, 0), order.get(c, -1)))
        item = self._lines[client].popleft()
        if not self._lines[client]:
            del self._lines[client]
        self._served.pop(client, None)
        self._served[client] = None
        while len(self._served) > self.size:
            self._served.popitem(last=False)
        return item

    def remove(self, unwanted: Callable[[T], bool]) -> list[T]:
        """Take out and return every item that is not wanted any more."""
        gone = []
        for client in list(self._lines):
            line = self._lines[client]
            kept = deque(item for item in line if not unwanted(item))
            gone += [item for item in line if unwanted(item)]
            if kept:
                self._lines[client] = kept
            else:
                del self._lines[client]
        return gone
