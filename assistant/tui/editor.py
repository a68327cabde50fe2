"""Write a message in the editor of the person's choice, while the app steps aside."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from textual.app import App, SuspendNotSupported

from assistant.errors import UsageError

FALLBACK = "vi"


def edit(app: App, text: str) -> str:
    """What is in the file when the editor ends. Raises UsageError, and then the text is as it was."""
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or FALLBACK)
    with tempfile.TemporaryDirectory(prefix="assistant-") as folder:  # only we may enter it
        file = Path(folder) / "message.md"
        file.write_text(text, encoding="utf-8")
        try:
            with app.suspend():
                ended = subprocess.run([*command, str(file)], check=False).returncode
            if ended:
                raise UsageError(f"the editor '{command[0]}' ended with {ended}", hint="Your text is as it was")
            return file.read_text(encoding="utf-8").rstrip("\n")
        except OSError as error:
            raise UsageError(f"the editor '{command[0]}' did not start", why=error.strerror or error,
                             hint="Set EDITOR to one that is installed") from error  # fmt: skip
        except UnicodeDecodeError as error:
            raise UsageError("the editor's file is no UTF-8", why=error, hint="Your text is as it was") from error
        except SuspendNotSupported as error:
            raise UsageError("this terminal cannot be lent to an editor") from error
