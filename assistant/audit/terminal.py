"""The terminal of an audited tool: the person's own, or a script's lines, or none. Counts what is written."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import tty
from pathlib import Path

MODE = re.compile(rb"\x1b\[\?([\d;]+)([hl])")
LONGEST_MODE = 40
CURSOR = 25  # the one mode of a terminal that is on when nobody has asked
QUIET_S, PATIENCE_S = 0.4, 5.0
"""A line of a script is typed when the tool has been quiet so long, or has not been for that long."""
END = b"\x04"


class Screen:
    """Both ends of what a tool reads and writes."""

    def __init__(self, person: tuple[int, int] | None = None, script: bytes | None = None, show: int | None = None):
        """person: handles of a real terminal, in and out. show: a handle for what the tool writes without one."""
        self.is_terminal = person is not None or script is not None
        self.person, self.show = person, person[1] if person else show
        self.lines = None if script is None else [*(line + b"\r" for line in script.splitlines()), END]
        self.bytes, self.last_s = 0, 0.0
        self._tail = b""
        self._modes: dict[int, bool] = {}
        self._typed_s = time.monotonic()
        self._before = termios.tcgetattr(person[0]) if person else None
        if self.is_terminal:
            self.ours, self.theirs = pty.openpty()
            self._resize()
            if script is not None:  # what is typed does not count as the tool's words
                modes = termios.tcgetattr(self.theirs)
                modes[3] &= ~termios.ECHO
                termios.tcsetattr(self.theirs, termios.TCSANOW, modes)
        else:
            self.ours, self.theirs = os.pipe()

    def relay(self, cage: subprocess.Popen) -> None:
        """Until the cage has ended."""
        os.close(self.theirs)
        former = signal.signal(signal.SIGWINCH, lambda *_: self._resize()) if self.person else None
        try:
            if self.person:
                tty.setraw(self.person[0])
            self._pump(cage)
        finally:
            self._restore()
            if former is not None:
                signal.signal(signal.SIGWINCH, former)
            os.close(self.ours)

    def _pump(self, cage: subprocess.Popen) -> None:
        open_ends = [self.ours] + ([self.person[0]] if self.person else [])
        while cage.poll() is None or select.select([self.ours] if self.ours in open_ends else [], [], [], 0)[0]:
            ready = select.select(open_ends, [], [], 0.05)[0]
            if self.ours in ready and not self._read():
                open_ends.remove(self.ours)
            if self.person and self.person[0] in ready:
                if typed := os.read(self.person[0], 4096):
                    _write(self.ours, typed)
                else:
                    open_ends.remove(self.person[0])
            self._type()

    def _read(self) -> bool:
        try:
            said = os.read(self.ours, 65536)
        except OSError:  # the last one who held the other end has gone
            return False
        if not said:
            return False
        self.bytes += len(said)
        self.last_s = time.monotonic()
        self._tail = self._tail[-LONGEST_MODE:] + said  # a sequence may come in two pieces
        for numbers, which in MODE.findall(self._tail):
            self._modes |= {int(n): which == b"h" for n in numbers.split(b";") if n}
        if self.show is not None:
            _write(self.show, said)
        return True

    def _type(self) -> None:
        """The next line of the script when it is time."""
        now = time.monotonic()
        waited_s = now - self._typed_s
        quiet = self.bytes and now - self.last_s >= QUIET_S and waited_s >= QUIET_S
        if self.lines and (quiet or waited_s >= PATIENCE_S):
            self._typed_s = now
            _write(self.ours, self.lines.pop(0))

    def _resize(self) -> None:
        size = struct.pack("HHHH", 24, 80, 0, 0)
        if self.person:
            size = fcntl.ioctl(self.person[1], termios.TIOCGWINSZ, bytes(8))
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, size)

    def _restore(self) -> None:
        """As it was before the tool; it may have been ended in the middle of a full screen."""
        if not self.person:
            return
        undo = b"".join(b"\x1b[?%dl" % mode for mode, on in self._modes.items() if on and mode != CURSOR)
        if self._modes.get(CURSOR) is False:
            undo += b"\x1b[?%dh" % CURSOR
        _write(self.person[1], undo + b"\x1b[0m" if undo else b"")
        termios.tcsetattr(self.person[0], termios.TCSADRAIN, self._before)


def of(script: Path | None, show: bool) -> Screen:
    """The person's terminal if there is one and no script."""
    if script is not None:
        return Screen(script=script.read_bytes(), show=2 if show else None)
    if os.isatty(0) and (os.isatty(1) or os.isatty(2)):
        return Screen(person=(0, 1 if os.isatty(1) else 2))
    return Screen(show=2 if show else None)


def _write(handle: int, text: bytes) -> None:
    while text:
        try:
            text = text[os.write(handle, text) :]
        except BlockingIOError:
            select.select([], [handle], [], 1)
        except OSError:  # nobody reads any more
            return
