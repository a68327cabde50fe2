"""The editor of the person's choice, while the app steps aside: to write a message, or to look into a file."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from textual.app import App, SuspendNotSupported

from assistant.errors import UsageError

FALLBACK = "vi"
PLUS_LINE = {"vi", "vim", "nvim", "view", "nano", "pico", "emacs", "emacsclient", "micro", "kak", "joe", "mg", "ne",
             "ed", "gedit", "less", "more"}  # fmt: skip
"""Editors that take `+12 FILE` (their manual pages)."""
COLON_LINE = {"hx", "helix", "subl", "zed"}
"""Those that take `FILE:12`."""
GOTO = {"code", "codium", "code-insiders", "cursor"}
"""Those that take `--goto FILE:12`."""


def edit(app: App, text: str) -> str:
    """What is in the file when the editor ends. Raises UsageError, and then the text is as it was."""
    with tempfile.TemporaryDirectory(prefix="assistant-") as folder:  # only we may enter it
        file = Path(folder) / "message.md"
        file.write_text(text, encoding="utf-8")
        _run(app, [str(file)], "Your text is as it was")
        try:
            return file.read_text(encoding="utf-8").rstrip("\n")
        except UnicodeDecodeError as error:
            raise UsageError("the editor's file is no UTF-8", why=error, hint="Your text is as it was") from error
        except OSError as error:
            raise UsageError("the editor's file cannot be read", why=error.strerror, hint="Your text is as it was"
                             ) from error  # fmt: skip


def show(app: App, file: str, line: int | None = None) -> None:
    """Open a file, at a line where the editor is known to take one. Raises UsageError."""
    path = Path(file).expanduser().absolute()  # never an option: it begins with a slash
    if not path.is_file():
        raise UsageError("the file is not there any more", where=path, hint="`assistant docs` reads your folders again")
    _run(app, at(Path(_command()[0]).name, str(path), line))


def at(editor: str, path: str, line: int | None) -> list[str]:
    """The arguments that open a file at a line in this editor."""
    if line is None:
        return [path]
    if editor in PLUS_LINE:
        return [f"+{line}", path]
    if editor in COLON_LINE:
        return [f"{path}:{line}"]
    return ["--goto", f"{path}:{line}"] if editor in GOTO else [path]


def _command() -> list[str]:
    return shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or FALLBACK)


def _run(app: App, arguments: list[str], hint: str = "") -> None:
    command = _command()
    try:
        with app.suspend():
            ended = subprocess.run([*command, *arguments], check=False).returncode
    except OSError as error:
        raise UsageError(f"the editor '{command[0]}' did not start", why=error.strerror or error,
                         hint="Set EDITOR to one that is installed") from error  # fmt: skip
    except SuspendNotSupported as error:
        raise UsageError("this terminal cannot be lent to an editor") from error
    if ended:
        raise UsageError(f"the editor '{command[0]}' ended with {ended}", hint=hint)
