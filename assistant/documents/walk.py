"""The files of a folder that can be documents, without leaving the folder: no link is followed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from assistant.documents.extract import kind_of

LEFT_OUT = {"node_modules", "__pycache__", "site-packages"}
"""Folders of machines, not of people; hidden ones are left out as well."""
DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Found:
    """A file that may be a document; with a reason, one that is not read."""

    path: Path
    kind: str
    size: int = 0
    mtime_ns: int = 0
    reason: str = ""


def walk(root: Path, private: tuple[Path, ...] = (), other: Callable[[], None] = lambda: None) -> Iterator[Found]:
    """Files below `root` in order of their names. `private`: folders of our own, never read. `other` is called for each
    file of a kind that is not read. Raises OSError if `root` itself cannot be listed."""
    yield from _walk(root, private, other, 0)


def _walk(folder: Path, private: tuple[Path, ...], other: Callable[[], None], depth: int) -> Iterator[Found]:
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        path = Path(entry.path)
        if entry.name.startswith("."):
            continue
        kind = kind_of(path)
        try:
            if entry.is_symlink():
                if kind or path.is_dir():
                    yield Found(path, "link", reason="a symbolic link: not followed")
            elif entry.is_dir():
                if entry.name in LEFT_OUT or path in private or depth >= DEEPEST:
                    continue
                try:
                    yield from _walk(path, private, other, depth + 1)
                except OSError as error:
                    yield Found(path, "folder", reason=(error.strerror or str(error)).lower())
            elif kind is None:
                other()
            elif not entry.is_file():
                yield Found(path, kind, reason="not a regular file")
            else:
                info = entry.stat(follow_symlinks=False)
                yield Found(path, kind, info.st_size, info.st_mtime_ns)
        except OSError as error:
            yield Found(path, kind or "file", reason=(error.strerror or str(error)).lower())
