"""/v1/skills: what code answers; /v1/reminders: what is to be told, and what was."""

from __future__ import annotations

import math
import re

from starlette.requests import Request
from starlette.routing import Route

from assistant import wire
from assistant.daemon.answers import answer, body
from assistant.daemon.services import Services
from assistant.errors import RequestError, SkillError

LONGEST_WAIT_S = 60.0


async def list_skills(request: Request):
    return answer(wire.SkillList(data=_services(request).skills.views()))


async def list_reminders(request: Request):
    return answer(wire.ReminderList(data=_kept(lambda: _services(request).bell.list())))


async def add_reminder(request: Request):
    """The text is a sentence that sets one, as in a chat."""
    new, services = await body(request, wire.NewReminder), _services(request)
    entry = _kept(lambda: services.skills.remind(new.text))
    if entry is None:
        hint = 'say it like "remind me to call Ann at 6 pm" or "set a timer for 10 minutes"'
        raise RequestError("no reminder is set by that text", code="not_a_reminder", hint=hint)
    services.bell.look()
    return answer(entry, status=201)


async def cancel_reminder(request: Request):
    services, wanted = _services(request), request.path_params["reminder_id"]
    if not re.fullmatch(r"\d{1,9}", wanted) or not _kept(
        lambda: services.bell.book.cancel(lambda e: e.id == int(wanted))
    ):
        raise RequestError(f"there is no reminder '{wanted}' to come", status=404, code="unknown_reminder")
    services.bell.look()
    return answer({"deleted": True})


async def told(request: Request):
    """GET /v1/reminders/told?since=T: what was told after T (Unix seconds). With `Prefer: wait=30` (RFC 7240) an empty
    answer is held back so long for something to be told."""
    try:
        since = float(request.query_params.get("since", "0"))
    except ValueError:
        since = math.nan
    if not math.isfinite(since):
        raise RequestError("'since' is not a time in Unix seconds", code="out_of_range")
    wait = re.search(r"\bwait=(\d{1,6})\b", request.headers.get("prefer", ""))
    wait_s = min(float(wait[1]), LONGEST_WAIT_S) if wait else 0.0
    services = _services(request)
    try:
        found = await services.bell.told_since(since, 0.0 if services.stopping else wait_s)
    except SkillError as error:
        raise _refusal(error) from error
    return answer(wire.ReminderList(data=found))


def _services(request: Request) -> Services:
    return request.app.state.services


def _kept(work):
    try:
        return work()
    except SkillError as error:
        raise _refusal(error) from error


def _refusal(error: SkillError) -> RequestError:
    return RequestError(error.what, code="skill", why=error.why, where=error.where, hint=error.hint)


ROUTES = [
    Route("/v1/skills", list_skills, methods=["GET"]),
    Route("/v1/reminders", list_reminders, methods=["GET"]),
    Route("/v1/reminders", add_reminder, methods=["POST"]),
    Route("/v1/reminders/told", told, methods=["GET"]),
    Route("/v1/reminders/{reminder_id}", cancel_reminder, methods=["DELETE"]),
]
