"""When to be reminded: "in two hours", "tomorrow at 9", "every weekday at 8"."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Literal

import msgspec

from assistant.errors import SkillError
from assistant.skills import dates
from assistant.skills.dates import DAY, TIME
from assistant.skills.language import SPAN, Rules, span

DAYS = {"day": range(7), "weekday": range(5), "workday": range(5), "morning": range(7), "evening": range(7),
        "night": range(7), "afternoon": range(7), "weekend": (5, 6)}  # fmt: skip
PARTS = {"morning": time(8), "afternoon": time(14), "evening": time(18), "night": time(20)}
SHORTEST_REPEAT_S = 60
_PART = r"(?:morning|afternoon|evening|night)"
_AT = rf"(?:(?:at |around |by )?(?P<time>{TIME}))"
_DAYS = rf"(?:days?|weekdays?|workdays?|weekends?|{_PART}|(?:mon|tues|wednes|thurs|fri|satur|sun)days?)"
RULES = Rules(
    after=rf"(?:in|after) (?P<span>{SPAN})|(?P<span2>{SPAN}) from now|(?P<span3>{SPAN}) from",
    every=rf"(?:every|each) (?P<days>{_DAYS}(?:(?:, | and |, and )(?:every )?{_DAYS})*)(?: {_AT})?",
    daily=rf"daily(?: {_AT})?|{_AT} (?:every|each) (?P<days>{_DAYS}(?:(?:, | and |, and ){_DAYS})*)".replace(
        "(?P<time>", "(?P<time2>", 1),
    interval=rf"(?:every|each) (?P<span>{SPAN}|minute|hour|second)",
    day_time=rf"(?:on )?(?P<day>{DAY})(?:,? (?P<part>{_PART}))?(?:,? {_AT})?",
    time_day=rf"{_AT}(?:,? (?:on )?(?P<day>{DAY})(?: (?P<part>{_PART}))?)?",
    part=rf"(?:this|in the) (?P<part>{_PART})(?: {_AT})?",
)  # fmt: skip


class Repeat(msgspec.Struct, frozen=True):
    """Either some weekdays (0 is Monday) at a time of day, or every so many seconds."""

    days: tuple[int, ...] = ()
    hour: int = 0
    minute: int = 0
    every_s: float = 0.0

    def after(self, moment: datetime) -> datetime:
        """The next time, strictly after an aware moment; the clock's own time, whatever its changes."""
        if self.every_s:
            return datetime.fromtimestamp(moment.timestamp() + self.every_s, moment.tzinfo)
        for shift in range(9):
            day = (moment + timedelta(shift)).date()
            then = datetime.combine(day, time(self.hour, self.minute), moment.tzinfo)
            if day.weekday() in self.days and then.timestamp() > moment.timestamp():
                return then
        raise ValueError("a repeat without days")

    def words(self) -> str:
        if self.every_s:
            n, unit = next(((self.every_s / size, name) for size, name in
                            ((86400, "day"), (3600, "hour"), (60, "minute")) if self.every_s % size == 0),
                           (self.every_s, "second"))  # fmt: skip
            return f"every {unit}" if n == 1 else f"every {n:g} {unit}s"
        named = {tuple(range(7)): "day", tuple(range(5)): "weekday", (5, 6): "weekend day"}.get(self.days)
        return f"every {named or ' and '.join(dates.WEEKDAYS[d].title() for d in self.days)} at " + (
            f"{self.hour:02}:{self.minute:02}")  # fmt: skip


When = tuple[datetime, Repeat | None]


def read(text: str, now: datetime, kind: Literal["reminder", "alarm"] = "reminder") -> When | None:
    """The moment that is meant, in the zone of `now`, and how it comes again; None if the text is no time.

    Hours without am or pm: of an alarm as on a 24-hour clock; else the next such hour today, or on a named day the one
    between 7 and 18. Raises SkillError for a time that is past or none.
    """
    found = RULES.match(text.strip(" ,"))
    if not found:
        return None
    rule, g = found
    if rule == "after":
        length = span(g["span"] or g["span2"] or g["span3"])
        return _checked(dates.after(now, length), now) if length else None
    if rule == "interval":
        return _interval(g["span"], now)
    if rule in ("every", "daily"):
        return _repeating(g, now, kind)
    return _once(g, now, kind)


def _once(g: dict[str, str | None], now: datetime, kind: str) -> When | None:
    part, day_words = g.get("part"), g.get("day")
    day = now.date()
    if day_words:
        if (day := dates.day(day_words, now.date())) is None:
            raise SkillError(f"there is no day '{day_words}'", hint="say it like 24 December or 2026-12-24")
        if day_words.lower() == "tonight":
            part = part or "night"
    said_time = g.get("time")
    if not said_time:
        if day == now.date() and not part:
            return None  # "today", and when?
        if part:
            at = PARTS[part.lower()]
        elif kind == "alarm":
            return None
        else:
            at = time(9)
        return _checked(datetime.combine(day, at, now.tzinfo), now)
    at = _time(said_time, day if day_words or part else None, now, kind, part)
    if at is None:
        return None
    moment = datetime.combine(day, at, now.tzinfo)
    if not day_words and moment.timestamp() <= now.timestamp():
        moment = datetime.combine(day + timedelta(1), at, now.tzinfo)
    return _checked(moment, now)


def _time(text: str, day: date | None, now: datetime, kind: str, part: str | None) -> time | None:
    """Which half of the day is meant."""
    found = dates.time_of_day(text)
    if found is None:
        return None
    at, clear = found
    if clear or (kind == "alarm" and not part):
        return at
    late = time(at.hour % 12 + 12, at.minute)
    if part:
        return late if part.lower() != "morning" and at.hour < 12 else at
    if day is not None:
        return late if 1 <= at.hour < 7 else at
    early = time(at.hour % 12, at.minute) if at.hour == 12 else at
    return min((early, late), key=lambda t: (datetime.combine(now.date(), t, now.tzinfo) - now) % timedelta(1))


def _repeating(g: dict[str, str | None], now: datetime, kind: str) -> When | None:
    names = re.split(r", and | and |, ", re.sub(r"\bevery ", "", (g.get("days") or "day").lower()))
    days: set[int] = set()
    part = None
    for name in (name.strip().rstrip("s") for name in names):
        if name in PARTS:
            part = name
        days |= set(DAYS[name]) if name in DAYS else {dates.WEEKDAYS.index(name)}
    said_time = g.get("time") or g.get("time2")
    at = _time(said_time, now.date(), now, kind, part) if said_time else PARTS.get(part, time(9))
    if at is None:
        return None
    repeat = Repeat(tuple(sorted(days)), at.hour, at.minute)
    return repeat.after(now), repeat


def _interval(text: str, now: datetime) -> When | None:
    length = span(text if re.search(r"\d|\w+ \w+", text) else f"one {text}")
    if not length or length.months:
        return None
    every_s = float(length.seconds) + 86400 * length.days
    if every_s < SHORTEST_REPEAT_S:
        raise SkillError("that is too often", why=f"a reminder comes again after {SHORTEST_REPEAT_S} s at the soonest")
    repeat = Repeat(every_s=every_s)
    return repeat.after(now), repeat


def _checked(moment: datetime, now: datetime) -> When:
    if moment.timestamp() <= now.timestamp():
        raise SkillError(f"{dates.clock(moment)} on {dates.words(moment)} is past", hint="name a time to come")
    return moment, None
