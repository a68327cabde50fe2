"""Timers, alarms and reminders: set, list, cancel. The daemon tells them when it is time."""

from __future__ import annotations

import re
from datetime import datetime

from assistant import wire
from assistant.errors import SkillError
from assistant.skills import dates, when
from assistant.skills.base import Context
from assistant.skills.language import SPAN, TAIL_SPAN, Rules, plural, said, span, span_words
from assistant.skills.reminder_book import Entry, ReminderBook, when_words

LONGEST_TEXT = 500
_SET = r"(?:set(?: up)?|start|create|make|add|schedule|give me|i need|i want|i'd like|let's get)(?: me)?"
_TIMERS = r"(?:timers?|reminders?|alarms?)"
RULES = Rules(
    timer=rf"{_SET} (?:an? |the |my )?(?:new )?(?:(?P<name>[a-z]+(?: [a-z]+)?) )?(?:timer|countdown)"
    rf"(?: set| going)?(?: for me)? (?:for|of|to|at)? ?(?P<span>{SPAN})"
    rf"(?: (?:for|called|named) (?:the )?(?P<label>[\w ]{{1,60}}))?|(?:(?P<name2>[a-z]+) )?timer (?:for "
    rf"|of )?(?P<span2>{SPAN})"
    rf"|(?:{_SET} )?(?:an? |the )?(?P<span3>{TAIL_SPAN}) timer(?: (?:for|called"
    rf"|named) (?:the )?(?P<label2>[\w ]{{1,60}}))?",
    timer_when=rf"{_SET} (?:an? |the |my )?(?:new )?timer(?: set)?(?: for me)?",
    alarm_when=rf"{_SET} (?:an? |the |my )?(?:new )?alarm(?: set)?(?: for me)?",
    remind_what=rf"{_SET} (?:an? |the )?(?:new )?reminder(?: for me)?|remind me(?: later| again)?",
    alarm=rf"{_SET} (?:an? |the |my )?(?:new )?alarm(?: clock)?(?: set)?(?: for me)?(?: to go off)? (?:for |at |to )?"
    r"(?P<when>.+)"
    r"|wake me(?: up)? (?P<wake>(?:at|in|tomorrow|on|every|around) .+)",
    remind_to=r"remind me (?:again )?to (?P<what>.+)",
    remind_when=r"remind me (?P<at>(?:in|at|on|every|each|tomorrow|today|tonight|this|next|after|daily|noon"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day)\b.*?)(?:,? (?:to|about|of|that(?: i have to)?)|:) (?P<what2>.+)",
    remind_of=r"remind me (?:about|of|that) (?P<thing>.+)",
    set_reminder=rf"{_SET} (?:an? )?reminder (?:for |at |on )?(?P<when2>.+?)"
    r" (?:to|about|that) (?P<what3>.+)",
    set_reminder_to=rf"{_SET} (?:an? )?reminder (?:for me )?(?:to|about) (?P<what4>.+)",
    list=rf"(?:(?:list|show|read)(?: me)?(?: all)?(?: of)? (?:my|the)|what are my)(?: active| pending)? {_TIMERS}"
    rf"|(?:what|which) {_TIMERS} (?:do i have|are (?:set|running|active))|do i have any {_TIMERS}|my (?:reminders"
    rf"|timers)"
    r"|is there a timer running|(?:what(?:'s| is)(?: currently)? on|read(?: me)?(?: back)?|check|show(?: me)?|list)"
    r" (?:my|the) reminders? list(?: to me)?|read (?:me )?my reminders(?: to me)?",
    left=r"how (?:much time|long) (?:is |do i have )?(?:left|remaining)(?: on)?(?: (?:my|the) timer)?(?<=timer)"
    r"|how long (?:is|does) (?:my|the) timer(?: have)? (?:left|still running)|how much time does (?:my"
    r"|the) timer have left",
    cancel=rf"(?:cancel|stop|delete|remove|clear|turn off|kill)"
    rf" (?:(?P<all>all)(?: of)?(?: my| the)? {_TIMERS}|(?:my|the) (?P<all2>timers|reminders|alarms)"
    rf"|(?:the |my )?(?P<kind>timer|reminder|alarm)(?: (?:number |no\.? |#)?(?P<n>\d{{1,6}}))?"
    rf"|(?:the |my )?(?P<last>last|next) (?P<kind2>timer|reminder|alarm))",
)  # fmt: skip
_ACTS = {"timer", "alarm", "remind_to", "remind_when", "remind_of", "set_reminder", "set_reminder_to", "cancel"}
_WHEN_STARTS = re.compile(
    r"(?:^|(?<=[ ,]))(?=(?:in|at|on|every|each|tomorrow|today|tonight|this|next|after|daily|noon|midnight|by|around"
    r"|the day after"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day)\b)", re.I,
)  # fmt: skip


class Reminders:
    """Keeps them in its folder; who tells them reads the same file."""

    name = "reminders"
    help = "timers, alarms and reminders, once or again and again"
    examples = ("set a timer for 10 minutes", "remind me to call Ann tomorrow at 9", "remind me every weekday at 8 to"
                " stand up", "show my reminders", "cancel reminder 2")  # fmt: skip

    def answer(self, text: str, context: Context) -> wire.SkillAnswer | None:
        spoken = said(text)
        found = RULES.match(spoken.text)
        if not found:
            return None
        rule, g = found
        if rule in _ACTS and context.before:
            return context.before  # set or cancelled already
        try:
            answer = getattr(self, f"_{rule}")(ReminderBook(context.store), context.now, g)
        except OverflowError:
            raise SkillError("that time is outside of the calendar") from None
        return answer and wire.SkillAnswer(skill=self.name, text=answer)

    def remind(self, text: str, context: Context) -> wire.Reminder | None:
        """Set one by a sentence that does nothing else; None for any other. Raises SkillError."""
        found = RULES.match(said(text).text)
        if not found or found[0] not in _ACTS - {"cancel"}:
            return None
        book = ReminderBook(context.store)
        before = {entry.id for entry in book.entries()}
        if self.answer(text, context) is None:
            return None
        entry = next(entry for entry in reversed(book.entries()) if entry.id not in before)
        return entry.view(context.now)

    # --- setting ---

    def _timer(self, book: ReminderBook, now: datetime, g: dict) -> str | None:
        words = g["span"] or g["span2"] or g["span3"]
        length = span(words.replace("-", " "))
        if length is None:
            return None
        label = g["label"] or g["label2"] or g["name"] or g["name2"] or ""
        due = dates.after(now, length)
        if due.timestamp() <= now.timestamp():
            raise SkillError("a timer needs some time", hint='say it like "set a timer for 10 minutes"')
        words = span_words(length)
        name = f"{label}, {words}" if label and label.lower() not in ("new", "a", "an") else words
        entry = book.add(name, "timer", due)
        return f"Timer {entry.id} is set for {words}: it ends {_exact(due, now)}."

    def _timer_when(self, *_args: object) -> str:
        raise SkillError("a timer needs a length", hint='say it like "set a timer for 10 minutes"')

    def _alarm_when(self, *_args: object) -> str:
        raise SkillError("an alarm needs a time", hint='say it like "set an alarm for 7 am"')

    def _remind_what(self, *_args: object) -> str:
        raise SkillError("a reminder needs something to do and a time",
                         hint='say it like "remind me to call Ann at 6 pm"')  # fmt: skip

    def _alarm(self, book: ReminderBook, now: datetime, g: dict) -> str | None:
        found = when.read(g["when"] or g["wake"], now, "alarm")
        return found and _added(book.add("alarm", "alarm", *found), now)

    def _remind_to(self, book: ReminderBook, now: datetime, g: dict) -> str:
        what, moment = _split(g["what"], now)
        if moment is None:
            raise SkillError(f'no time was said for "{what[:80]}"',
                             hint='say it in one sentence, like "remind me to call Ann at 6 pm"')  # fmt: skip
        return _add(book, what, moment, now)

    def _remind_when(self, book: ReminderBook, now: datetime, g: dict) -> str | None:
        moment = when.read(g["at"], now)
        return moment and _add(book, g["what2"], moment, now)

    def _remind_of(self, book: ReminderBook, now: datetime, g: dict) -> str | None:
        what, moment = _split(g["thing"], now)
        return moment and _add(book, what, moment, now)  # without a time it is a question: "remind me about Hamlet"

    def _set_reminder(self, book: ReminderBook, now: datetime, g: dict) -> str | None:
        moment = when.read(g["when2"], now)
        return moment and _add(book, g["what3"], moment, now)

    def _set_reminder_to(self, book: ReminderBook, now: datetime, g: dict) -> str:
        return self._remind_to(book, now, {"what": g["what4"]})

    # --- looking and cancelling ---

    def _list(self, book: ReminderBook, now: datetime, g: dict) -> str:
        coming = [_line(entry, now) for entry in book.pending()]
        told = [e for e in book.entries() if e.done]
        if not coming:
            last = max(told, key=lambda e: e.fired_at, default=None)
            more = f" The last was: {last.text} ({when_words(_at(last.due_at, now), now)})." if last else ""
            return f"There are no reminders or timers.{more}"
        return "\n".join([f"{plural(len(coming), 'reminder')}:", *coming])

    def _left(self, book: ReminderBook, now: datetime, g: dict) -> str:
        timers = [e for e in book.pending() if e.kind == "timer"]
        if not timers:
            return "No timer is running."
        return "\n".join(f"Timer {e.id} ({e.text}) has {_left(e.due_at - now.timestamp())} left." for e in timers)

    def _cancel(self, book: ReminderBook, now: datetime, g: dict) -> str:
        if g["all"] or g["all2"]:
            kinds = {"timers": {"timer"}, "alarms": {"alarm"}}.get(g["all2"], {"timer", "alarm", "reminder"})
            gone = book.cancel(lambda e: e.kind in kinds)
            return f"Cancelled {plural(len(gone), 'reminder')}." if gone else "There is nothing to cancel."
        kind = (g["kind"] or g["kind2"]).lower()
        if g["n"]:
            gone = book.cancel(lambda e: e.id == int(g["n"]))
            if not gone:
                raise SkillError(f"there is no {kind} {g['n']}", hint='"show my reminders" lists them')
            return _cancelled(gone[0])
        mine = [e for e in book.pending() if e.kind == kind]
        if not mine:
            return f"No {kind} is set."
        if len(mine) > 1 and not g["last"]:
            lines = [_line(entry, now) for entry in mine]
            return "\n".join([f'There are {len(mine)}; say "cancel {kind} {mine[0].id}" or "cancel all":', *lines])
        one = max(mine, key=lambda e: e.id) if (g["last"] or "").lower() == "last" else mine[0]
        return _cancelled(book.cancel(lambda e: e.id == one.id)[0])


def _split(text: str, now: datetime) -> tuple[str, when.When | None]:
    """What and when of "call Ann tomorrow at 9": the longest end that is a time, or else a beginning that is one."""
    for start in _WHEN_STARTS.finditer(text):
        if start.start() and (moment := when.read(text[start.start() :], now)):
            return text[: start.start()].rstrip(" ,"), moment
    return text, None


def _add(book: ReminderBook, what: str, moment: when.When, now: datetime) -> str:
    if len(what) > LONGEST_TEXT:
        raise SkillError(f"that is too long for a reminder: {len(what)} characters", hint=f"at most {LONGEST_TEXT}")
    return _added(book.add(what, "reminder", *moment), now)


def _added(entry: Entry, now: datetime) -> str:
    due = _at(entry.due_at, now)
    again = f" and then {entry.repeat.words()}" if entry.repeat else ""
    if entry.kind == "alarm":
        return f"Alarm {entry.id} is set for {when_words(due, now).removeprefix('on ')}{again}."
    return f"Reminder {entry.id}: {entry.text}, {when_words(due, now)}{again}."


def _exact(due: datetime, now: datetime) -> str:
    return when_words(due, now) if due.date() != now.date() else f"at {due:%H:%M:%S}"


def _line(entry: Entry, now: datetime) -> str:
    again = f" ({entry.repeat.words()})" if entry.repeat else ""
    return f"{entry.id}. {entry.kind}: {entry.text}, {when_words(_at(entry.due_at, now), now)}{again}"


def _cancelled(entry: Entry) -> str:
    return f"Cancelled {entry.kind} {entry.id}: {entry.text}."


def _left(seconds: float) -> str:
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [plural(n, unit) for n, unit in ((hours, "hour"), (minutes, "minute"), (rest, "second")) if n]
    return " and ".join(parts[:2]) or "no time"


def _at(due_at: float, now: datetime) -> datetime:
    return datetime.fromtimestamp(due_at, now.tzinfo)
