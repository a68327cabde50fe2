"""Writes an exported chat to a file of the person's, never over one that is there."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from assistant.errors import UsageError

Form = Literal["markdown", "json"]
SUFFIXES: dict[Form, str] = {"markdown": ".md", "json": ".json"}
SHORT: dict[str, Form] = {"markdown": "markdown", "md": "markdown", "json": "json"}


def understood(text: str) -> tuple[Form, Path | None]:
    """`[markdown|json] [FILE]`; a file's ending says the form as well."""
    first, _, rest = text.partition(" ")
    if first.lower() in SHORT:
        return SHORT[first.lower()], Path(rest.strip()).expanduser() if rest.strip() else None
    if not text:
        return "markdown", None
    file = Path(text).expanduser()
    return ("json" if file.suffix == ".json" else "markdown"), file


def write(content: str, title: str, form: Form, file: Path | None = None) -> Path:
    """The file that was written: the one that was asked for, or a free name in the working directory."""
    stem = re.sub(r"[^\w-]+", "-", title).strip("-").lower()[:50] or "chat"
    tries = [file] if file else [Path(f"{stem}{n}{SUFFIXES[form]}") for n in ("", *(f"-{i}" for i in range(2, 100)))]
    for path in tries:
        try:
            # 0600: what was said here is nobody else's business.
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
                out.write(content)
            return path.absolute()
        except FileExistsError:
            continue
        except OSError as error:
            raise UsageError("the chat was not exported", where=path, why=error.strerror or error) from error
    raise UsageError("the chat was not exported", where=tries[-1], why="the file is there already",
                     hint="Name another one: /export FILE")  # fmt: skip
