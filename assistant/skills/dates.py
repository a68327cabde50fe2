"""Days and times of day as people name them."""

from __future__ import annotations

import calendar
import re
from datetime import date, datetime, time, timedelta

from assistant.skills.language import Span, number

WEEKDAYS = [name.lower() for name in calendar.day_name]
MONTHS = [name.lower() for name in calendar.month_name]
_WEEKDAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
_MONTH = (r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
          r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?")  # fmt: skip
_HOLIDAY = (r"(?:christmas(?: day| eve)?|new year'?s?(?: day| eve)?|halloween|valentine'?s(?: day)?"
            r"|easter(?: sunday| monday)?|good friday)")  # fmt: skip
_YEAR = r"(?:,? (?:of )?(?:\d{4}|this year|next year|last year))"
DAY = (rf"(?:today|tonight|tomorrow|yesterday|the day (?:after tomorrow|before yesterday)"
       rf"|(?:(?:this|next|last|this coming|the coming) )?{_WEEKDAY}"
       rf"|\d{{4}}-\d\d?-\d\d?"
       rf"|(?:{_WEEKDAY},? )?(?:the )?\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}{_YEAR}?"
       rf"|(?:{_WEEKDAY},? )?{_MONTH} (?:the )?\d{{1,2}}(?:st|nd|rd|th)?\b{_YEAR}?"
       rf"|(?:the )?{_HOLIDAY}{_YEAR}?)")  # fmt: skip
"""A pattern for what `day` reads."""


def day(text: str, today: date, past: bool = False) -> date | None:
    """The day that is meant. Without a year: the next such day from today on, or with `past` the last one before.

    "friday" and "next friday" are the first one after today. Returns None for what names no day or one that is none
    ("30 February").
    """
    text = re.sub(r"[,.]", " ", text.lower())
    text = re.sub(r"^the (?!day )| of(?= )|(?<=\d)(?:st|nd|rd|th)\b|\bthe (?=\d)", " ", text)
    words = text.split()
    if not words:
        return None
    joined = " ".join(words)
    near = {"today": 0, "tonight": 0, "tomorrow": 1, "yesterday": -1, "the day after tomorrow": 2,
            "the day before yesterday": -2}.get(joined)  # fmt: skip
    if near is not None:
        return today + timedelta(near)
    try:
        if re.fullmatch(r"\d{4}-\d\d?-\d\d?", joined):
            return date(*map(int, joined.split("-")))
        if (weekday := _index(words[-1], WEEKDAYS)) is not None:
            if words[0] == "last" or past:
                return today - timedelta((today.weekday() - weekday - 1) % 7 + 1)
            return today + timedelta((weekday - today.weekday() - 1) % 7 + 1)
        return _of_year(words, joined, today, past)
    except (ValueError, OverflowError):
        return None


def _of_year(words: list[str], joined: str, today: date, past: bool) -> date | None:
    year = None
    if found := re.search(r" (\d{4}|this year|next year|last year)$", joined):
        word = found[1]
        year = int(word) if word.isdigit() else today.year + {"this": 0, "next": 1, "last": -1}[word.split()[0]]
        joined = joined[: found.start()]
    words = joined.split()
    if _index(words[0], WEEKDAYS) is not None:
        words = words[1:]
    month = next((m for w in words if (m := _index(w, MONTHS)) is not None), None)
    number_word = next((w for w in words if w.isdigit()), None)
    if month and number_word:
        when = lambda y: date(y, month, int(number_word))  # noqa: E731
    elif (feast := _feast(joined)) is not None:
        when = feast
    else:
        return None
    if year is not None:
        return when(year)
    for shift in (0, -1, -2, -3, -4, -8) if past else (0, 1, 2, 3, 4, 8):  # 29 February may be eight years off
        try:
            found_day = when(today.year + shift)
        except ValueError:
            continue
        if (found_day <= today) if past else (found_day >= today):
            return found_day
    return None


def _feast(name: str):
    fixed = {"christmas": (12, 25), "christmas day": (12, 25), "christmas eve": (12, 24), "halloween": (10, 31)}
    name = name.replace("'", "")
    if name in fixed:
        return lambda y: date(y, *fixed[name])
    if re.fullmatch(r"new years?(?: day)?", name):
        return lambda y: date(y, 1, 1)
    if re.fullmatch(r"new years? eve", name):
        return lambda y: date(y, 12, 31)
    if re.fullmatch(r"valentines(?: day)?", name):
        return lambda y: date(y, 2, 14)
    shift = {"easter": 0, "easter sunday": 0, "easter monday": 1, "good friday": -2}.get(name)
    return None if shift is None else lambda y: easter(y) + timedelta(shift)


def easter(year: int) -> date:
    """Western Easter Sunday (the anonymous Gregorian algorithm; Meeus, Astronomical Algorithms, ch. 8)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    el = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * el) // 451
    month, rest = divmod(h + el - 7 * m + 114, 31)
    return date(year, month, rest + 1)


def _index(word: str, names: list[str]) -> int | None:
    """Position of a name given whole or by its first three letters or more."""
    word = word.rstrip(".")
    return next((i for i, name in enumerate(names) if len(word) >= 3 and name.startswith(word)), None)


def after(moment: datetime, length: Span, sign: int = 1) -> datetime:
    """Months keep the day where there is one (31 January + 1 month = 28 February); days keep the time of day, seconds
    are real ones. Raises OverflowError outside of the calendar."""
    months = moment.year * 12 + moment.month - 1 + sign * length.months
    year, month = divmod(months, 12)
    if not 1 <= year <= 9999:
        raise OverflowError(year)
    moment = moment.replace(year=year, month=month + 1, day=min(moment.day, calendar.monthrange(year, month + 1)[1]))
    moment += timedelta(days=sign * length.days)
    if not length.seconds:
        return moment
    if moment.tzinfo is None:
        return moment + timedelta(seconds=float(sign * length.seconds))
    return datetime.fromtimestamp(moment.timestamp() + float(sign * length.seconds), moment.tzinfo)


# --- times of day ---

_HOUR = r"(?:\d{1,2}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_MINUTE = r"(?:ten|fifteen|twenty|thirty|forty|forty[- ]five|fifty)"
_HALF_DAY = r"(?: ?(?:a\.?m\b\.?|p\.?m\b\.?)| in the (?:morning|afternoon|evening)| at night)"
TIME = (rf"(?:noon|midday|midnight|(?:half past|(?:a )?quarter (?:past|to)|{_HOUR} (?:minutes )?(?:past|to)) {_HOUR}"
        rf"{_HALF_DAY}?|{_HOUR}(?:[:.]\d\d| {_MINUTE})?(?: o'?clock)?{_HALF_DAY}?"
        rf"|\d{{3,4}} ?[ap]m|\d{{1,2}}h(?:\d\d)?)")  # fmt: skip
"""A pattern for what `time_of_day` reads."""


def time_of_day(text: str) -> tuple[time, bool] | None:
    """(time, whether morning or afternoon was said or is clear); None for what is no time ("25:00", "13 pm")."""
    text = " ".join(text.lower().split())
    if text in ("noon", "midday"):
        return time(12), True
    if text == "midnight":
        return time(0), True
    half = re.search(rf"{_HALF_DAY}$", text)
    core = text[: half.start()] if half else text
    said = half[0].replace(".", "").strip() if half else None
    afternoon = None if said is None else said not in ("am", "in the morning")
    core = re.sub(r" o'?clock$", "", core)
    shift = 0
    if found := re.fullmatch(rf"({_HOUR}) ({_MINUTE})", core):
        core = f"{int(number(found[1]))}:{int(number(found[2]))}"
    elif re.fullmatch(r"\d{3,4}", core) and half:  # 615 am
        core = f"{core[:-2]}:{core[-2:]}"
    if found := re.fullmatch(rf"(half|(?:a )?quarter|{_HOUR})(?: minutes)? (past|to) ({_HOUR})", core):
        amount = 30 if found[1] == "half" else 15 if "quarter" in found[1] else int(number(found[1]) or 0)
        shift, core = amount if found[2] == "past" else -amount, found[3]
    clock = re.fullmatch(rf"({_HOUR})(?:[:.h](\d\d)?)?", core)
    if not clock:
        return None
    hour, minute = int(number(clock[1])), int(clock[2] or 0)
    if hour > 24 or minute > 59 or (afternoon is not None and not 1 <= hour <= 12):
        return None
    if said == "at night" and (hour == 12 or hour < 5):
        afternoon = False
    if afternoon is not None:
        hour = hour % 12 + (12 if afternoon else 0)
    minutes = (hour * 60 + minute + shift) % 1440
    clear = afternoon is not None or hour > 12 or hour == 0 or core.startswith("0")
    return time(minutes // 60, minutes % 60), clear


def words(day_: date) -> str:
    """ "Friday, 4 July 2025"."""
    return f"{calendar.day_name[day_.weekday()]}, {day_.day} {calendar.month_name[day_.month]} {day_.year}"


def clock(moment: datetime) -> str:
    """ "18:05"."""
    return f"{moment:%H:%M}"
