"""What skills keep: small text files that are changed whole or not at all, by one process at a time."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from assistant import paths
from assistant.errors import AssistantError, SkillError


@contextmanager
def locked(folder: Path) -> Iterator[Path]:
    """The folder, made if need be, for this process alone: the daemon and a command may write at once.

    Raises SkillError, also for an OSError inside of the block: a full disk, a file of somebody else's.
    """
    try:
        paths.ensure_private_dir(folder)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    except OSError as error:
        raise SkillError("that could not be kept", where=error.filename or folder, why=error.strerror or error,
                         hint="nothing was changed: check free space and permissions") from error  # fmt: skip
    except AssistantError as error:
        if isinstance(error, SkillError):
            raise
        raise SkillError(error.what, where=error.where, why=error.why, hint=error.hint) from error


def read(file: Path) -> str:
    """The text, or "" where there is none. Raises SkillError."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise SkillError("cannot read the file", where=file, why=error) from error


def write(file: Path, text: str) -> None:
    """All of it or nothing, on disk when this returns. A link is followed, so that the file may live elsewhere."""
    file = file.resolve()
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).replace(file)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
