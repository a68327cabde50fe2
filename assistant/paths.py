"""Every folder and file of the assistant, and the only reader of the variables that move them.

Order of authority: `ASSISTANT_HOME` (one folder for everything), the folders that systemd hands to
a service (`STATE_DIRECTORY` and its siblings), then the XDG base directories.
Functions name paths and create nothing; `ensure_private_dir` creates.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from platformdirs import PlatformDirs

from assistant.errors import AssistantError, ConfigError

APP = "rwkv-assistant"
SYSTEM_SOCKET = Path("/run/rwkv-assistant/daemon.sock")
"""Where a service of the whole machine listens (systemd/system)."""
MOVERS = ("ASSISTANT_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
"""Variables that move a person's folders. `XDG_RUNTIME_DIR` is the session's and not the person's."""
SOCKET_PATH_LIMIT = 107
"""Bytes that fit into `sun_path` on Linux, without its closing zero."""


def config_file() -> Path:
    return _base("CONFIGURATION_DIRECTORY", "config") / "config.toml"


def data_dir() -> Path:
    """What is costly to get again: the model store.

    A service may write to its state directory only, so there the data is a folder of that. A
    user's unit therefore sets no `StateDirectory=`: it has to find the models that the user adds.
    """
    if not _home_override() and os.environ.get("STATE_DIRECTORY"):
        return state_dir() / "data"
    return _base("", "data")


def state_dir() -> Path:
    """What a person would miss: history, checkpoints, logs."""
    return _base("STATE_DIRECTORY", "state")


def cache_dir() -> Path:
    """What can be made again at any time."""
    return _base("CACHE_DIRECTORY", "cache")


def runtime_dir() -> Path:
    """What is void after a restart of the machine: the socket and the lock."""
    if _home_override() or os.environ.get("RUNTIME_DIRECTORY"):
        return _base("RUNTIME_DIRECTORY", "runtime")
    base = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    # After `sudo` or `su` the variable may still name the folder of the user before.
    try:
        ours = Path(base).is_absolute() and Path(base).stat().st_uid == os.getuid()
    except OSError:
        ours = False
    return Path(base) / APP if ours else _short_runtime_dir()


def socket_path() -> Path:
    """The daemon's socket; a short stand-in if the usual path is too long for the kernel."""
    usual = runtime_dir() / "daemon.sock"
    if len(os.fsencode(usual)) <= SOCKET_PATH_LIMIT:
        return usual
    # Two long homes must not meet on one socket, so the name depends on the usual path.
    digest = hashlib.sha256(os.fsencode(usual)).hexdigest()[:16]
    return _short_runtime_dir() / f"{digest}.sock"


def client_socket() -> Path:
    """Where a client asks: `ASSISTANT_SOCKET`, else our own daemon's if there is one, else the machine's if we may."""
    if given := os.environ.get("ASSISTANT_SOCKET"):
        return Path(given)
    own = socket_path()
    if _home_override() or own.exists() or not os.access(SYSTEM_SOCKET, os.R_OK | os.W_OK):
        return own
    return SYSTEM_SOCKET


def models_dir() -> Path:
    return data_dir() / "models"


def skills_dir() -> Path:
    """What skills keep for the person, a folder each: notes, reminders."""
    return data_dir() / "skills"


def history_file() -> Path:
    return state_dir() / "history.sqlite3"


def checkpoints_dir() -> Path:
    return state_dir() / "checkpoints"


def token_file() -> Path:
    """The secret that a client on TCP has to show."""
    return state_dir() / "token"


def daemon_log() -> Path:
    return state_dir() / "daemon.log"


def selftests_dir() -> Path:
    """Kept reports of self-tests."""
    return state_dir() / "selftest"


def audits_dir() -> Path:
    """What was seen of other tools in the honeypot."""
    return state_dir() / "audit"


def state_lock() -> Path:
    """Held by the one daemon of a state folder, whatever its socket: two would write one history."""
    return state_dir() / "daemon.lock"


def daemon_lock() -> Path:
    """Held by the one daemon of a socket; beside it, so that it is local and short-lived."""
    return socket_path().with_suffix(".lock")


def movers() -> dict[str, str]:
    """Those variables that are set: what another process needs to find the same folders."""
    return {name: value for name in MOVERS if (value := os.environ.get(name))}


def user_units_dir() -> Path:
    """Where a person's own systemd units belong (systemd.unit(5))."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


def shipped_dir(name: str) -> Path:
    """A data folder that ships with us: in the wheel, or beside the packages in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "_data" / name
    return installed if installed.is_dir() else package.parent / name


def ensure_private_dir(path: Path) -> Path:
    """Create a folder that only we may enter; refuse one that another user could have planted."""
    path = Path(path)
    try:
        for folder in reversed([path, *path.parents]):
            if not folder.exists() and not folder.is_symlink():
                folder.mkdir(mode=0o700, exist_ok=True)
        if path.is_symlink():
            raise _refusal(path, "it is a symbolic link")
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise _refusal(path, error.strerror or error) from error
    try:
        # Checked on the open folder: the name could point elsewhere a moment later.
        info = os.fstat(handle)
        if info.st_uid != os.getuid():
            raise _refusal(path, f"it belongs to user {info.st_uid}, not to us ({os.getuid()})")
        if stat.S_IMODE(info.st_mode) & 0o077:
            os.fchmod(handle, 0o700)
    finally:
        os.close(handle)
    return path


def _refusal(path: Path, why: object) -> AssistantError:
    return ConfigError(
        "cannot use the folder",
        where=path,
        why=why,
        hint="Remove it, or set ASSISTANT_HOME to a folder of your own",
    )


def _home_override() -> Path | None:
    value = os.environ.get("ASSISTANT_HOME")
    return Path(value).expanduser().absolute() if value else None


def _base(systemd_variable: str, kind: str) -> Path:
    if home := _home_override():
        return home / kind
    if given := os.environ.get(systemd_variable):
        # systemd joins the folders of one service with colons; the first is the service's own. With DynamicUser= it is
        # a symbolic link of systemd's, and a link in the place of a folder is what we refuse elsewhere.
        return Path(given.split(":")[0]).resolve()
    return Path(getattr(PlatformDirs(APP, appauthor=False), f"user_{kind}_dir"))


def _short_runtime_dir() -> Path:
    """Sticky /tmp protects the name once it is ours; `ensure_private_dir` refuses another's."""
    return Path(f"/tmp/{APP}-{os.getuid()}")
