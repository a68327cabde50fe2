"""Which build of a tool was tested: its version and the hash of its program, so that a later one is not taken for it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import msgspec


class Identity(msgspec.Struct, kw_only=True):
    program: str  # its name, without a folder
    version: str = ""
    sha256: str = ""  # of the program's file


def of(program: str, version: str = "") -> Identity:
    """A script of an interpreter has the same hash in all versions of its package: then the version decides."""
    path = shutil.which(program)
    return Identity(program=Path(program).name, version=version, sha256=digest(Path(path)) if path else "")


def digest(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return ""
