"""Kept reports: of self-tests, of which the daemon and its clients show the last, and of audited tools."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from assistant import paths, wire

KEPT = 50
"""Reports in the history; the oldest go first."""


def keep(report: bytes, at: float | None = None, folder: Path | None = None, kept: int = KEPT) -> Path:
    """Store one report (JSON); folder: that of the self-tests, if none is named. Raises OSError."""
    folder = paths.ensure_private_dir(folder or paths.selftests_dir())
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
    # Numbered, because a clock may be set back: the last written is the last, whatever time it says.
    number = max((_number(file) for file in history(folder)), default=0) + 1
    path = folder / f"{number:06d}-{stamp}.json"
    temporary = path.with_suffix(".tmp")
    with open(temporary, "wb", opener=lambda p, f: os.open(p, f, 0o600)) as file:
        file.write(report)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    for old in history(folder)[:-kept]:
        old.unlink(missing_ok=True)
    return path


def history(folder: Path | None = None) -> list[Path]:
    """Oldest first."""
    try:
        found = (folder or paths.selftests_dir()).iterdir()
        return sorted(p for p in found if p.suffix == ".json" and _number(p))
    except OSError:
        return []


def last() -> wire.SelfTestSummary | None:
    """What the last report says in short; None if there is none, or if it cannot be read."""
    for file in reversed(history()):
        try:
            return msgspec.json.decode(file.read_bytes(), type=wire.SelfTestSummary)
        except (OSError, msgspec.MsgspecError):
            continue
    return None


def _number(file: Path) -> int:
    head = file.name.partition("-")[0]
    return int(head) if head.isdigit() else 0
