"""The time, the date, and counting days: here and in other time zones."""

from __future__ import annotations

import calendar
import re
from datetime import date, datetime, timedelta

from assistant import wire
from assistant.errors import SkillError
from assistant.skills import zones
from assistant.skills.base import Context
from assistant.skills.dates import DAY, after, clock, day, words
from assistant.skills.language import SPAN, Rules, plural, said, span

_BE = r"(?:(?:'s| is| was| will be)(?: the)?)"
_COUNT = r"(?P<unit>days|weeks|months)"
RULES = Rules(
    time=r"(?:(?:what time is it|what(?:'s| is) the (?:current |exact )?time|what time it is|what the time is"
    r"|what time is it (?:exactly|currently|right now)"
    r"|the (?:current )?time|current time|(?:what is )?the time is)(?: (?:here|today))?)",
    time_in=r"(?:what time (?:is it|it is|would it be)|what(?:'s| is) the (?:current |local |exact )?time"
    r"|(?:the )?(?:current |local )?time)(?: (?:right now|now|currently"
    r"|exactly))?,? in (?:the )?(?P<place>[a-z][a-z ,.'-]{1,40})"
    r"|what(?:'s| is) the (?:current )?(?P<short>[a-z]{3,4}) time",
    zone_of=r"(?:(?:what|which) time ?zone (?:is|does) (?P<where>[a-z][a-z ,.'-]{1,40}?)(?: in| have)?"
    r"|(?:what(?:'s| is) )?(?:the )?(?:current )?time ?zone (?:of|in|for) (?P<where2>[a-z][a-z ,.'-]{1,40}))",
    time_after=rf"what time (?:will it be|is it) in (?P<span>{SPAN})",
    zone=r"(?:what(?:'s| is) (?:my|the|our) (?:current |local )?time ?zone|what time ?zone (?:am i|are we) in"
    r"|which time ?zone (?:am i|are we) in)",
    date_now=r"(?:what(?:'s| is) (?:the date|today's date|the date today|the current date|the date of today)"
    r"|what date is it(?: today)?|(?:the )?(?:current|today's) date|what (?:today's date|the date|day today) is"
    r"|what is today|what date today is"
    r"|what(?:'s| is) (?:the )?day today"
    r"|(?:what|which) (?:day|weekday|day of the week) is (?:it|today)(?: today)?|what day of the week it is"
    r"|what day it is"
    r"|the date|the date today)",
    tomorrow=r"(?:what(?:'s| is| would| will) )?(?:the )?(?:date )?tomorrow's date(?: be)?|what tomorrow's date is"
    r"|what date it is tomorrow",
    month=r"(?:what|which) month (?:is it|are we in|is this)",
    year=r"(?:what|which) year (?:is it|are we in|is this)",
    weekday=rf"(?:what|which|on what|on which) (?:day|weekday|day of the week|date) (?:is|was|will|does|did)"
    rf"(?: be)?(?: it)?(?: on)?(?: the)? ?(?P<day>{DAY})(?: be| fall(?: on)?| fall)?(?: (?P<year>this year"
    rf"|next year))?",
    date_of=rf"what{_BE} date (?:of |on |for )?(?P<day>{DAY})|when is (?P<feast>(?:christmas|easter|new year's eve"
    r"|good friday|halloween)(?: \d{4})?(?: (?:this|next) year)?)",
    date_from=rf"(?:what (?:date|day|weekday)(?: of the week)? (?:is|will be|will it be|is it)"
    rf"|what(?:'s| is) the date) (?:in )?(?:(?P<span>{SPAN}) (?:from|after) (?P<day>{DAY}|now)|in (?P<in>{SPAN})"
    rf"|(?P<ago>{SPAN}) (?:before|prior to) (?P<before>{DAY}))",
    date_in=rf"(?:what|which) (?:date|day|weekday) (?:is it|will it be|is|will be) in (?P<span>{SPAN})"
    rf"|(?:what will (?:the date be|be the date)|the date) in (?P<span2>{SPAN})(?: from)?"
    rf"|(?:in )?(?P<span3>{SPAN})(?: from| from today)?, what (?:date|day|will the date) (?:will it be|is it|be)",
    date_ago=rf"(?:what (?:date|day|weekday) was (?:it )?|what was the (?:date|day) )(?P<span>{SPAN}) ago",
    until=rf"(?:how (?:many {_COUNT}|long)(?: (?:are (?:there|left)|is it|do we have|left))*"
    rf"|(?P<bare>days|weeks)) (?:until|till|til|to|before) (?P<day>{DAY})",
    since=rf"how (?:many {_COUNT}|long)(?: (?:are there|have passed|is it|has it been"
    rf"|ago was))*(?: since)? (?P<day>{DAY})",
    between=rf"how (?:many {_COUNT}|long)(?: (?:are there|are|is it|lie))? (?:between|from) (?P<day>{DAY})"
    rf" (?:and|to|until|till) (?P<to>{DAY})",
    week=r"(?:what(?:'s| is) the (?:(?:current|iso) )*(?:(?:calendar )?week(?: number)?)(?: (?:of the year|today|now))?"
    r"|(?:what|which) (?:(?:iso|calendar) )?week(?: number)?(?: of the year)? (?:is it|is this|are we in)"
    r"|(?:current )?(?:iso )?week number)",
    week_of=rf"(?:what|which) (?:(?:iso|calendar) )?week(?: number)?(?: of the year)? (?:is"
    rf"|was)(?: on)? (?P<day>{DAY})",
    leap=r"(?:is|was|will) (?P<year>\d{1,4})(?: be)? a leap ?year|is (?P<this>this year|it) a leap ?year",
    month_days=r"how many days (?:are(?: there)? in|does|has|did) (?P<month>[a-z]{3,9})(?:,? (?:of )?(?P<year>\d{4}))?"
    r"(?: have)?",
)  # fmt: skip


class Clock:
    """Time, date and calendar."""

    name = "clock"
    help = "the time here and elsewhere, dates, weekdays, days between dates, week numbers"
    examples = ("what time is it in Tokyo?", "what date is three weeks from friday?", "how many days until Christmas?")

    def answer(self, text: str, context: Context) -> wire.SkillAnswer | None:
        found = RULES.match(said(text).text)
        if not found:
            return None
        name, groups = found
        try:
            answer = getattr(self, f"_{name}")(context.now, **groups)
        except OverflowError:
            raise SkillError("that day is outside of the calendar", why="it knows the years 1 to 9999") from None
        return answer and wire.SkillAnswer(skill=self.name, text=answer)

    # --- the clock ---

    def _time(self, now: datetime) -> str:
        return f"It is {clock(now)} on {words(now)}."

    def _time_in(self, now: datetime, place: str | None, short: str | None) -> str | None:
        found = zones.find(place or short)
        if not found:
            return None
        name, zone = found
        there = now.astimezone(zone)
        return f"In {name} it is {clock(there)} on {words(there)} ({_offset(there)}, {_ahead(now, there)})."

    def _time_after(self, now: datetime, span: str) -> str | None:
        length = _span(span)
        then = after(now, length)
        on = "" if then.date() == now.date() else f" on {words(then)}"
        return f"In {span} it will be {clock(then)}{on}."

    def _zone_of(self, now: datetime, where: str | None, where2: str | None) -> str | None:
        found = zones.find(where or where2)
        if not found:
            return None
        name, zone = found
        there = now.astimezone(zone)
        return f"{name} is in the time zone {zone.key} ({_offset(there)} now, {there.tzname()})."

    def _zone(self, now: datetime) -> str:
        key = getattr(now.tzinfo, "key", None)
        return f"This machine's time zone is {key or now.tzname()} ({_offset(now)}, {now.tzname()})."

    # --- the calendar ---

    def _date_now(self, now: datetime) -> str:
        return f"Today is {words(now)}."

    def _month(self, now: datetime) -> str:
        return f"It is {calendar.month_name[now.month]} {now.year}."

    def _year(self, now: datetime) -> str:
        return f"It is the year {now.year}."

    def _weekday(self, now: datetime, day: str, year: str | None) -> str:
        when = _day(f"{day} {year}" if year else day, now)
        return _is(when, now)

    def _date_of(self, now: datetime, day: str | None, feast: str | None) -> str:
        return _is(_day(day or feast, now), now)

    def _date_from(self, now: datetime, **g: str | None) -> str:
        if g["in"]:
            return self._date_in(now, g["in"])
        start = _midnight(now) if g["day"] == "now" else _naive(_day(g["day"] or g["before"], now))
        length = g["span"] or g["ago"]
        then = after(start, _span(length), 1 if g["span"] else -1)
        side = "from" if g["span"] else "before"
        return f"{_upper(length)} {side} {words(start)} is {words(then)}."

    def _tomorrow(self, now: datetime) -> str:
        return f"Tomorrow is {words(now.date() + timedelta(1))}."

    def _date_in(
        self, now: datetime, span: str | None = None, span2: str | None = None, span3: str | None = None
    ) -> str:
        span = span or span2 or span3
        return f"In {span} it will be {words(after(_midnight(now), _span(span)))}."

    def _date_ago(self, now: datetime, span: str) -> str:
        return f"{_upper(span)} ago it was {words(after(_midnight(now), _span(span), -1))}."

    def _until(self, now: datetime, day: str, unit: str | None, bare: str | None) -> str:
        when = _day(day, now)
        gap = (when - now.date()).days
        if gap < 0:
            return f"{words(when)} is past: it was {plural(-gap, 'day')} ago."
        return f"It is {_length(gap, unit or bare)} until {words(when)}."

    def _since(self, now: datetime, day: str, unit: str | None) -> str:
        when = _day(day, now, past=True)
        gap = (now.date() - when).days
        return f"It is {_length(gap, unit)} since {words(when)}." if gap >= 0 else self._until(now, day, unit, None)

    def _between(self, now: datetime, day: str, to: str, unit: str | None) -> str:
        start = _day(day, now, near=True)
        end = _day(to, now, near=True)
        if not re.search(r"\d{4}", to) and end < start:
            end = _day(f"{to} {start.year + 1}", now) if re.search(r"[a-z]", to) else end
        gap = abs((end - start).days)
        return f"From {words(start)} to {words(end)} it is {_length(gap, unit)}."

    def _week(self, now: datetime) -> str:
        year, week, _ = now.isocalendar()
        return f"It is ISO week {week} of {year}."

    def _week_of(self, now: datetime, day: str) -> str:
        when = _day(day, now)
        year, week, _ = when.isocalendar()
        return f"{words(when)} is in ISO week {week} of {year}."

    def _leap(self, now: datetime, year: str | None, this: str | None) -> str | None:
        n = int(year) if year else now.year
        if n < 1:
            return None
        verb = "is" if calendar.isleap(n) else "is not"
        return f"{n} {verb} a leap year: February has {calendar.monthrange(n, 2)[1]} days."

    def _month_days(self, now: datetime, month: str, year: str | None) -> str | None:
        names = [name.lower() for name in calendar.month_name]
        if month.lower() not in names[1:]:
            return None
        number, n = names.index(month.lower()), int(year or now.year)
        if n < 1:
            return None
        return f"{calendar.month_name[number]} {n} has {calendar.monthrange(n, number)[1]} days."


def _day(text: str, now: datetime, past: bool = False, near: bool = False) -> date:
    """Raises SkillError. `near`: without a year, the one of this year."""
    if near and not re.search(r"\d{4}", text) and (this := day(f"{text} {now.year}", now.date())):
        return this
    if (found := day(text, now.date(), past)) is None:
        raise SkillError(f"there is no day '{text}'", hint="say it like 24 December 2026 or 2026-12-24")
    return found


def _span(text: str):
    """Raises SkillError."""
    if (found := span(text)) is None:
        raise SkillError(f"'{text}' is not a length of time that can be counted",
                         hint="say it like 3 weeks, or 2 days and 4 hours")  # fmt: skip
    return found


def _naive(when: date) -> datetime:
    return datetime(when.year, when.month, when.day)


def _midnight(now: datetime) -> datetime:
    return _naive(now.date())


def _is(when: date, now: datetime) -> str:
    """The day and how far off it is."""
    gap = (when - now.date()).days
    if gap == 0:
        return f"That is today, {words(when)}."
    distance = {1: "tomorrow", -1: "yesterday"}.get(gap) or (
        f"in {plural(gap, 'day')}" if gap > 0 else f"{plural(-gap, 'day')} ago")  # fmt: skip
    return f"{words(when)} ({distance})."


def _length(days: int, unit: str | None) -> str:
    if unit == "weeks" and days >= 7:
        weeks, rest = divmod(days, 7)
        return plural(weeks, "week") + (f" and {plural(rest, 'day')}" if rest else "") + f" ({plural(days, 'day')})"
    return plural(days, "day")


def _offset(moment: datetime) -> str:
    minutes = round(moment.utcoffset() / timedelta(minutes=1))
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    return f"UTC{sign}{hours}" + (f":{rest:02}" if rest else "") if minutes else "UTC"


def _ahead(here: datetime, there: datetime) -> str:
    minutes = round((there.utcoffset() - here.utcoffset()) / timedelta(minutes=1))
    if not minutes:
        return "the same as here"
    hours = f"{abs(minutes) / 60:g}"
    return f"{hours} {'hour' if hours == '1' else 'hours'} {'ahead of' if minutes > 0 else 'behind'} here"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
