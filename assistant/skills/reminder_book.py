"""The reminders on disk: one small file that the daemon and a command share, and what is due."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from assistant import wire
from assistant.errors import SkillError
from assistant.skills import dates, files
from assistant.skills.when import Repeat
from assistant.skills.zones import local_zone

FILE = "reminders.json"
MOST = 1000
KEPT_S = 7 * 86400.0  # told reminders stay in the list so long
LATE_S = 60.0  # later than this is late, and it is said


class Entry(msgspec.Struct):
    """A reminder as it is kept."""

    id: int
    text: str
    kind: Literal["timer", "alarm", "reminder"]
    due_at: float
    repeat: Repeat | None = None
    fired_at: float | None = None
    late_s: float | None = None
    done: bool = False

    def view(self, now: datetime) -> wire.Reminder:
        due = datetime.fromtimestamp(self.due_at, now.tzinfo)
        return wire.Reminder(id=self.id, text=self.text, kind=self.kind, words=self._words(), due_at=self.due_at,
                             when=when_words(due, now), repeats=self.repeat.words() if self.repeat else "",
                             fired_at=self.fired_at, late_s=self.late_s, done=self.done)  # fmt: skip

    def _words(self) -> str:
        late = f" (late: it was due {_ago(self.late_s)} ago)" if self.late_s else ""
        return f"{self.kind.capitalize()}: {self.text}{late}"


class _Book(msgspec.Struct):
    next_id: int = 1
    entries: list[Entry] = []


class ReminderBook:
    """All reminders of one folder. Raises SkillError where the file cannot be read or written."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._seen: tuple[int, int] | None = None
        self._book = _Book()

    def entries(self) -> list[Entry]:
        """As they are on disk now; the file is read again only when it has changed."""
        try:
            status = (self._folder / FILE).stat()
            stamp = (status.st_mtime_ns, status.st_ino)
        except FileNotFoundError:
            self._book, self._seen = _Book(), None
            return []
        except OSError as error:
            raise SkillError("the reminders cannot be read", where=error.filename, why=error.strerror) from error
        if stamp != self._seen:
            self._book, self._seen = self._read(), stamp
        return self._book.entries

    def pending(self) -> list[Entry]:
        return sorted((e for e in self.entries() if not e.done), key=lambda e: e.due_at)

    def views(self, now: datetime | None = None) -> list[wire.Reminder]:
        """What is to come, the next first; then what was told lately, the newest first."""
        now = now or datetime.now(local_zone())
        done = sorted((e for e in self.entries() if e.done), key=lambda e: -(e.fired_at or 0))
        return [entry.view(now) for entry in (*self.pending(), *done)]

    def add(self, text: str, kind: Literal["timer", "alarm", "reminder"], due: datetime,
            repeat: Repeat | None = None) -> Entry:  # fmt: skip
        def change(book: _Book) -> Entry:
            if sum(not e.done for e in book.entries) >= MOST:
                raise SkillError(f"there are {MOST} reminders already", hint='"cancel all reminders" clears them')
            entry = Entry(book.next_id, text, kind, due.timestamp(), repeat)
            book.next_id += 1
            book.entries.append(entry)
            return entry

        return self._change(change)

    def cancel(self, wanted: Callable[[Entry], bool]) -> list[Entry]:
        """Take out those that are still to come and wanted out; returns them."""

        def change(book: _Book) -> list[Entry]:
            gone = [e for e in book.entries if not e.done and wanted(e)]
            book.entries = [e for e in book.entries if e not in gone]
            return gone

        return self._change(change)

    def fire(self, now: datetime) -> list[Entry]:
        """Mark what is due as told, set the next time of what repeats, forget what was told long ago; returns the due
        ones as they were told. A repeat that was missed several times is told once."""
        at = now.timestamp()
        if not any(not e.done and e.due_at <= at for e in self.entries()):
            return []

        def change(book: _Book) -> list[Entry]:
            told = []
            for entry in book.entries:
                if entry.done or entry.due_at > at:
                    continue
                late_s = at - entry.due_at
                entry.fired_at, entry.late_s = at, late_s if late_s > LATE_S else None
                entry.done = entry.repeat is None
                told.append(msgspec.structs.replace(entry))
                if entry.repeat:
                    due = entry.repeat.after(datetime.fromtimestamp(entry.due_at, now.tzinfo))
                    entry.due_at = (due if due.timestamp() > at else entry.repeat.after(now)).timestamp()
            book.entries = [e for e in book.entries if not e.done or e.fired_at > at - KEPT_S]
            return told

        return self._change(change)

    def _change(self, change: Callable[[_Book], object]):
        with files.locked(self._folder):
            book = self._read()
            result = change(book)
            files.write(self._folder / FILE, msgspec.json.format(msgspec.json.encode(book)).decode())
        return result

    def _read(self) -> _Book:
        text = files.read(self._folder / FILE)
        try:
            return msgspec.json.decode(text, type=_Book) if text else _Book()
        except msgspec.DecodeError as error:
            raise SkillError("the file of the reminders is damaged", where=self._folder / FILE, why=error,
                             hint="repair it, or move it away to start afresh") from error  # fmt: skip


def when_words(due: datetime, now: datetime) -> str:
    """ "today at 18:00", "tomorrow at 09:00", "on Friday, 4 July 2025 at 08:00"."""
    gap = (due.date() - now.date()).days
    day = {0: "today", 1: "tomorrow"}.get(gap) or f"on {dates.words(due)}"
    seconds = f":{due.second:02}" if due.second and gap == 0 else ""
    return f"{day} at {dates.clock(due)}{seconds}"


def _ago(seconds: float) -> str:
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            n = int(seconds // size)
            return f"{n} {name}{'s' * (n != 1)}"
    return f"{seconds:.0f} s"
