"""Which build of a tool this is: version and hash, so that a test of one build is not taken for one of another."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import msgspec

from assistant.audit import redact
from assistant.audit.catalog import Tool
from assistant.audit.places import names


class Identity(msgspec.Struct, kw_only=True):
    program: str  # its name, without a folder
    version: str = ""
    sha256: str = ""  # of the program's file


def of(program: str, tool: Tool | None = None) -> Identity:
    """A script of an interpreter has the same hash in all versions of its package: then the version decides."""
    path = shutil.which(program) or ""
    version = version_beside(path, tool) if path and tool else ""
    return Identity(program=Path(program).name, version=version, sha256=digest(Path(path)) if path else "")


def version_beside(program: str, tool: Tool) -> str:
    """Of the package that a program was installed with: in its own environment, or above it in node_modules."""
    real = Path(program).resolve()
    wanted = {normal(name) for name in tool.distributions}
    for folder in real.parent.parent.glob("lib/python3*/site-packages"):
        for entry in names(folder):
            name, _, version = entry.removesuffix(".dist-info").partition("-")
            if entry.endswith(".dist-info") and normal(name) in wanted:
                return redact.version(version)
    for folder in real.parents:
        if folder.parent.name == "node_modules" or folder.parent.name.startswith("@"):
            return package_version(folder)
    return ""


def digest(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return ""


def normal(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def package_version(folder: Path) -> str:
    """Of a package of npm."""
    try:
        version = json.loads((folder / "package.json").read_bytes()).get("version", "")
    except (OSError, ValueError, AttributeError):
        return ""
    return redact.version(version) if isinstance(version, str) else ""
