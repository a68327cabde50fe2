"""Time zones: the person's own, and that of a city."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from datetime import datetime, tzinfo
from functools import cache
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from assistant.errors import SkillError

LOCALTIME = Path("/etc/localtime")


def local_zone() -> tzinfo:
    """This machine's zone with its rules, so that arithmetic over a change of the clocks is right.

    From TZ, else from the file that /etc/localtime is; where neither tells a zone, today's offset.
    """
    return _zone(os.environ.get("TZ"))


@cache
def _zone(name: str | None) -> tzinfo:
    name = (name or "").lstrip(":")
    try:
        if name:
            return ZoneInfo(name)
        with LOCALTIME.open("rb") as file:
            _, _, key = str(LOCALTIME.resolve()).partition("/zoneinfo/")
            return ZoneInfo.from_file(file, key=key or None)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        pass
    return datetime.now().astimezone().tzinfo


_US = {"eastern": "America/New_York", "central": "America/Chicago", "mountain": "America/Denver",
       "pacific": "America/Los_Angeles", "hawaii": "Pacific/Honolulu", "alaska": "America/Anchorage"}  # fmt: skip
ALIASES = {  # names that people say and the database has no file for
    "est": "America/New_York", "cst": "America/Chicago", "mst": "America/Denver", "pst": "America/Los_Angeles",
    "cet": "Europe/Paris", "utc": "UTC", "gmt": "Etc/GMT", "new york city": "America/New_York",
    "nyc": "America/New_York",
    "washington": "America/New_York", "washington dc": "America/New_York", "boston": "America/New_York",
    "miami": "America/New_York", "atlanta": "America/New_York", "philadelphia": "America/New_York",
    "san francisco": "America/Los_Angeles", "la": "America/Los_Angeles", "seattle": "America/Los_Angeles",
    "las vegas": "America/Los_Angeles", "san diego": "America/Los_Angeles", "california": "America/Los_Angeles",
    "texas": "America/Chicago", "houston": "America/Chicago", "dallas": "America/Chicago",
    "austin": "America/Chicago", "new orleans": "America/Chicago", "salt lake city": "America/Denver",
    "montreal": "America/Toronto", "ottawa": "America/Toronto", "calgary": "America/Edmonton",
    "rio": "America/Sao_Paulo", "rio de janeiro": "America/Sao_Paulo", "brasilia": "America/Sao_Paulo",
    "beijing": "Asia/Shanghai", "peking": "Asia/Shanghai", "shenzhen": "Asia/Shanghai", "china": "Asia/Shanghai",
    "mumbai": "Asia/Kolkata", "delhi": "Asia/Kolkata", "new delhi": "Asia/Kolkata", "bangalore": "Asia/Kolkata",
    "india": "Asia/Kolkata", "osaka": "Asia/Tokyo", "kyoto": "Asia/Tokyo", "japan": "Asia/Tokyo",
    "korea": "Asia/Seoul", "hanoi": "Asia/Ho_Chi_Minh", "saigon": "Asia/Ho_Chi_Minh", "kyiv": "Europe/Kiev",
    "germany": "Europe/Berlin", "munich": "Europe/Berlin", "hamburg": "Europe/Berlin", "frankfurt": "Europe/Berlin",
    "cologne": "Europe/Berlin", "france": "Europe/Paris", "lyon": "Europe/Paris", "italy": "Europe/Rome",
    "milan": "Europe/Rome", "spain": "Europe/Madrid", "barcelona": "Europe/Madrid", "england": "Europe/London",
    "uk": "Europe/London", "the uk": "Europe/London", "scotland": "Europe/London", "edinburgh": "Europe/London",
    "manchester": "Europe/London", "ireland": "Europe/Dublin", "switzerland": "Europe/Zurich",
    "geneva": "Europe/Zurich", "bern": "Europe/Zurich", "greece": "Europe/Athens", "austria": "Europe/Vienna",
    "sweden": "Europe/Stockholm", "norway": "Europe/Oslo", "finland": "Europe/Helsinki",
    "denmark": "Europe/Copenhagen", "poland": "Europe/Warsaw", "cape town": "Africa/Johannesburg",
    "hawaii": "Pacific/Honolulu", "new zealand": "Pacific/Auckland", "wellington": "Pacific/Auckland",
    "canberra": "Australia/Sydney", "abu dhabi": "Asia/Dubai", "st petersburg": "Europe/Moscow",
}  # fmt: skip
REGIONS = ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


def find(place: str) -> tuple[str, ZoneInfo] | None:
    """(name as it is written, zone) of a city, or None. Cities are the names of the zones and a list of ours."""
    key = " ".join(place.lower().replace(".", "").split())
    key = re.sub(r",? [a-z]{2}$", "", key) if "," in key else key  # "houston, tx"
    key = re.sub(r"(?: standard| daylight)?(?: time)? ?zone$| time$", "", key)
    if key in _US:
        return f"{key.title()} time", ZoneInfo(_US[key])
    cities = _cities()
    zone = ALIASES.get(key) or cities.get(key.replace("-", " ")) or cities.get(key.removeprefix("the "))
    zone = zone or _countries().get(key)
    if zone is None:
        return None
    try:
        found = ZoneInfo(zone)
    except (KeyError, OSError, ValueError):
        raise SkillError(f"the time in {place} cannot be told", why="this machine has no time zone database",
                         hint="install the package tzdata") from None  # fmt: skip
    if key in ALIASES or key in _countries():
        return (key.upper() if len(key) < 4 else key.title()), found
    return zone.rpartition("/")[2].replace("_", " "), found


@cache
def _cities() -> dict[str, str]:
    """City -> zone: "new york" -> "America/New_York"."""
    names = sorted(name for name in available_timezones() if name.partition("/")[0] in REGIONS)
    return {name.rpartition("/")[2].replace("_", " ").replace("-", " ").lower(): name for name in names}


@cache
def _countries() -> dict[str, str]:
    """Country -> zone, for countries with one zone only (zone.tab and iso3166.tab of the time zone database)."""
    folder = resources.files("tzdata") / "zoneinfo"
    rows = [[line.split("\t") for line in (folder / name).read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
            for name in ("iso3166.tab", "zone.tab")]  # fmt: skip
    zones = defaultdict(list)
    for code, _, zone, *_ in rows[1]:
        zones[code].append(zone)
    return {name.lower(): zones[code][0] for code, name in rows[0] if len(zones[code]) == 1}
