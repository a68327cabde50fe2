"""Names of files and folders by pattern; what cannot be entered has none."""

from __future__ import annotations

import os
from pathlib import Path


def matching(pattern: str) -> list[Path]:
    """`~/a/*/b`, with `~` and stars; in order."""
    path = Path(pattern).expanduser()
    stars = [i for i, part in enumerate(path.parts) if "*" in part]
    if not stars:
        return [path] if path.exists() else []
    base = Path(*path.parts[: stars[0]])
    try:
        return sorted(base.glob(str(Path(*path.parts[stars[0] :]))))
    except OSError:
        return []


def names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 (names are all that is wanted)
    except OSError:
        return []
