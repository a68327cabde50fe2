"""Time zones: the person's own, and that of a city."""

from __future__ import annotations

import os
from datetime import datetime, tzinfo
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

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
