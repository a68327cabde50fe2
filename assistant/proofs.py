"""The kept reports of self-tests: written by the self-test, and the last one shown by the daemon and its clients."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from assistant import paths, wire

KEPT = 50
"""Reports in the history; the oldest go first."""


def keep(report: bytes, at: float | None = None) -> Path:
    """Store one report (JSON). Raises OSError."""
    folder = paths.ensure_private_dir(paths.selftests_dir())
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
    # Numbered, because a clock may be set back: the last written is the last, whatever time it says.
    number = max((_number(file) for file in _files()), default=0) + 1
    path = folder / f"{number:06d}-{stamp}.json"
    temporary = path.with_suffix(".tmp")
    with open(temporary, "wb", opener=lambda p, f: os.open(p, f, 0o600)) as file:
        file.write(report)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    for old in _files()[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def history() -> list[Path]:
    """Oldest first."""
    return _files()


def last() -> wire.SelfTestSummary | None:
    """What the last report says in short; None if there is none, or if it cannot be read."""
    for file in reversed(_files()):
        try:
            return msgspec.json.decode(file.read_bytes(), type=wire.SelfTestSummary)
        except (OSError, msgspec.MsgspecError):
            continue
    return None


def _files() -> list[Path]:
    try:
        return sorted(p for p in paths.selftests_dir().iterdir() if p.suffix == ".json" and _number(p))
    except OSError:
        return []


def _number(file: Path) -> int:
    head = file.name.partition("-")[0]
    return int(head) if head.isdigit() else 0
