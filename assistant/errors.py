"""Every error that a person may read, as one tree.

    AssistantError           1   something failed
    |-- UsageError           2   the command line asks for something that cannot be
    |-- ConfigError         78   the configuration file is wrong
    |-- ModelFileError       1   a model file is damaged, not RWKV-7, or tries to run code
    |-- ModelNotFound       69   no model of that name is in the store
    |-- BackendError        69   a device cannot be used, or failed at work
    |-- DaemonUnavailable   69   no daemon answers and none could be started
    |-- SkillError           1   a skill was asked for what it cannot do
    |-- VoiceUnavailable    69   a package, a program or a device for speech is missing
    |-- RequestError      1/75   the daemon refused a request (75: trying later may help)
    |-- DocumentsError       1   the index of documents cannot be read or written
    `-- HistoryError         1   the history database or a checkpoint cannot be read or written
        `-- StorageFull      1   nothing more can be written there

The number is the exit code of a command that ends with the error.
"""

from __future__ import annotations

from typing import ClassVar

EXIT_FAIL = 1
EXIT_USAGE = 2
EXIT_UNAVAILABLE = 69
EXIT_RETRY = 75
EXIT_CONFIG = 78


class AssistantError(Exception):
    """What went wrong, where, why, and what to do about it; each part a phrase, no full stop."""

    exit_code: ClassVar[int] = EXIT_FAIL

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        why: object = None,
        hint: str | None = None,
    ):
        super().__init__(what)
        self.what = what
        self.where = _text(where)
        self.why = _text(why)
        self.hint = _text(hint)

    def __str__(self) -> str:
        text = self.what
        if self.where:
            text += f" ({self.where})"
        if self.why:
            text += f": {self.why}"
        if self.hint:
            text += f". {self.hint[0].upper()}{self.hint[1:]}"
        return text


class UsageError(AssistantError):
    """The command line asks for something that cannot be."""

    exit_code = EXIT_USAGE


class ConfigError(AssistantError):
    """The configuration file is wrong; `where` names the file and the key."""

    exit_code = EXIT_CONFIG


class ModelFileError(AssistantError):
    """A model file is damaged, is not an RWKV-7 model, or tries to run code when read."""


class ModelNotFound(AssistantError):
    """No model of that name is in the store."""

    exit_code = EXIT_UNAVAILABLE


class BackendError(AssistantError):
    """A device cannot be used on this machine, or failed at work."""

    exit_code = EXIT_UNAVAILABLE


class DaemonUnavailable(AssistantError):
    """No daemon answers on the socket and none could be started."""

    exit_code = EXIT_UNAVAILABLE


class SkillError(AssistantError):
    """A skill was asked for what it cannot do; in a chat this is its answer."""


class VoiceUnavailable(AssistantError):
    """A package, a program or a device that speech needs is missing; the hint is the command that installs it."""

    exit_code = EXIT_UNAVAILABLE


class RequestError(AssistantError):
    """The daemon refused a request; `status` is the HTTP status, `code` a short stable word."""

    def __init__(
        self,
        what: str,
        *,
        status: int = 400,
        code: str = "invalid_request",
        where: object = None,
        why: object = None,
        hint: str | None = None,
        retry_after_s: int | None = None,
    ):
        super().__init__(what, where=where, why=why, hint=hint)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s  # when a second try may find a free place

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """Busy is not broken: a script may try again."""
        return EXIT_RETRY if self.status in (408, 425, 429, 503) else EXIT_FAIL


class DocumentsError(AssistantError):
    """The index of the user's documents cannot be read or written."""


class HistoryError(AssistantError):
    """The history database or a checkpoint cannot be read or written."""


class StorageFull(HistoryError):
    """There is no room, or no permission, to keep what was said; nothing was half-written."""


def _text(part: object) -> str | None:
    """A part as one phrase: joined lines, and no full stop, because `str()` adds its own."""
    if part is None:
        return None
    return " ".join(str(part).split()).rstrip(".") or None
