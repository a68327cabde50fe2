"""Changes one key of the person's config.toml and nothing else in it: comments, order and other keys stay."""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from pathlib import Path

from assistant import paths
from assistant.errors import ConfigError

SECTION = re.compile(r"\s*\[\s*([A-Za-z0-9_-]+)\s*\]\s*(#.*)?$")
ANY_TABLE = re.compile(r"\s*\[")


def put(section: str, key: str, value: str, file: Path | None = None) -> Path:
    """Set `key` of `[section]` to a text; the file that was written. Atomic, 0600 if it is new.

    Raises ConfigError, and then the file is as it was: where it is no TOML, or so written that one key cannot be
    changed alone.
    """
    file = file or paths.config_file()
    try:
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        known = tomllib.loads(before)
        after = _with(before, section, key, json.dumps(value, ensure_ascii=False))
        known.setdefault(section, {})[key] = value
        if tomllib.loads(after) != known:
            raise ValueError(f"[{section}] {key} is written in an unusual way")
        _replace(file, after)
    except (OSError, ValueError, AttributeError, TypeError) as error:  # tomllib's own is a ValueError
        raise ConfigError(f"{section}.{key} was not saved", where=file, why=getattr(error, "strerror", None) or error,
                          hint=f'Write it there yourself: [{section}] {key} = "{value}"') from error  # fmt: skip
    return file


def _with(text: str, section: str, key: str, value: str) -> str:
    lines = text.splitlines()
    line = f"{key} = {value}"
    starts = [n for n, old in enumerate(lines) if (found := SECTION.match(old)) and found[1] == section]
    if not starts:
        gap = [""] if lines and lines[-1].strip() else []
        return "\n".join([*lines, *gap, f"[{section}]", line, ""])
    start = starts[0] + 1
    end = next((n for n in range(start, len(lines)) if ANY_TABLE.match(lines[n])), len(lines))
    for n in range(start, end):
        old = re.match(rf"""\s*{re.escape(key)}\s*=\s*("[^"\\]*"|'[^']*')\s*(#.*)?$""", lines[n])
        if old:
            lines[n] = line + (f"  {old[2]}" if old[2] else "")
            return "\n".join([*lines, ""])
    return "\n".join([*lines[:start], line, *lines[start:], ""])


def _replace(file: Path, text: str) -> None:
    file = file.resolve()  # a link to a file kept elsewhere stays a link
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".config-", dir=file.parent)  # 0600
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        if file.exists():
            temporary.chmod(file.stat().st_mode & 0o777)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
