"""What was seen of tools in the honeypot: kept as files, and found again for the build of a tool that is here now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from assistant import paths, proofs
from assistant.audit import identity
from assistant.audit.run import SCHEMA, RunReport
from assistant.audit.scan import Found

KEPT = 500


@dataclass
class Seen:
    """Runs of one tool: of the build that is here now, and of others."""

    same: list[RunReport]
    other: list[RunReport]


def keep(report: RunReport) -> Path:
    """Raises OSError."""
    raw = msgspec.json.format(msgspec.json.encode(report), indent=1)
    return proofs.keep(raw, report.finished_at, paths.audits_dir(), KEPT)


def runs() -> dict[str, list[RunReport]]:
    """By tool, oldest first. What cannot be read is left out."""
    found: dict[str, list[RunReport]] = {}
    for file in proofs.history(paths.audits_dir()):
        try:
            report = msgspec.json.decode(file.read_bytes(), type=RunReport)
        except (OSError, msgspec.MsgspecError):
            continue
        if report.schema == SCHEMA:
            found.setdefault(report.tool, []).append(report)
    return found


def of(found: Found, kept: list[RunReport]) -> Seen:
    """The version decides where both are known, else the program's hash."""
    seen, digest = Seen([], []), None
    for run in kept:
        if found.version and run.identity.version:
            same = found.version == run.identity.version
        else:
            if digest is None:
                digest = identity.digest(Path(found.program)) if found.program else ""
            same = bool(digest) and digest == run.identity.sha256
        (seen.same if same else seen.other).append(run)
    return seen
