"""The backends that are installed, found by their entry points."""

from __future__ import annotations

import logging
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from backends.base import Backend

GROUP = "assistant.backends"
log = logging.getLogger(__name__)


@cache
def found() -> tuple[dict[str, type[Backend]], dict[str, str]]:
    """Name -> class, and name -> reason for those that cannot even be imported: a broken plug-in breaks only itself."""
    kinds: dict[str, type[Backend]] = {}
    broken: dict[str, str] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            kinds[entry.name] = entry.load()
        except Exception as error:  # a plug-in may fail in any way
            broken[entry.name] = f"{type(error).__name__}: {error}"
            log.warning("the backend '%s' of %s cannot be loaded: %s", entry.name, _source(entry), broken[entry.name])
    return kinds, broken


def kinds() -> dict[str, type[Backend]]:
    """Name -> class of every backend that can be imported, simulated ones included, in the order of their names."""
    return found()[0]


def broken() -> dict[str, str]:
    """Name -> why it cannot be imported."""
    return found()[1]


def _source(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value
