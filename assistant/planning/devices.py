"""Backends by their entry points: which there are, and making one with the options that it takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache

from assistant import paths
from assistant.errors import BackendError
from backends.base import Backend, BackendUnavailable
from backends.installed import broken, kinds


def kind_named(name: str) -> type[Backend]:
    """Raises BackendError with the names there are."""
    if name in broken():
        raise BackendError(f"the backend '{name}' cannot be loaded", why=broken()[name],
                           hint="repair or remove the package that brings it")  # fmt: skip
    if name not in kinds():
        raise BackendError(f"there is no backend '{name}'", hint=f"choose one of: {', '.join(sorted(kinds()))}")
    return kinds()[name]


def make(name: str, options: Mapping[str, object]) -> Backend:
    """With those of `options`, and a cache folder of its own, that its constructor takes. Raises BackendError."""
    kind = kind_named(name)
    try:
        return construct(kind, options)
    except BackendUnavailable as error:
        raise BackendError(f"the backend '{name}' cannot be used", why=error.reason) from error


def construct(kind: type[Backend], options: Mapping[str, object]) -> Backend:
    """Raises BackendUnavailable."""
    offered = {"cache_dir": paths.cache_dir() / "backends" / kind.info.name, **options}
    taken = inspect.signature(kind).parameters
    return kind(**{option: value for option, value in offered.items() if option in taken})


def takes_threads(kind: type[Backend]) -> bool:
    """Whether a number of threads means anything to it."""
    return hasattr(kind, "set_threads")


@cache
def unavailable(name: str) -> str | None:
    """Why a backend cannot be used here, or None."""
    try:
        construct(kinds()[name], {}).close()
    except BackendUnavailable as error:
        return error.reason
    return None
