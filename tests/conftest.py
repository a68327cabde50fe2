"""Isolation for every test: a home of its own, and no way to the person's real folders."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Found before anything is moved: these are what no test may touch.
_ACCOUNT_HOME = Path(pwd.getpwuid(os.getuid()).pw_dir)
_XDG = {
    "XDG_CONFIG_HOME": ".config",
    "XDG_DATA_HOME": ".local/share",
    "XDG_STATE_HOME": ".local/state",
    "XDG_CACHE_HOME": ".cache",
}
_REAL_RUNTIME = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
FORBIDDEN = tuple(
    str(base / "rwkv-assistant")
    for base in {
        Path(_REAL_RUNTIME),
        *(Path(os.environ[name]) for name in _XDG if os.environ.get(name)),
        *(home / usual for usual in _XDG.values() for home in (Path.home(), _ACCOUNT_HOME)),
    }
)
_DROPPED = (
    "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CACHE_DIRECTORY", "CONFIGURATION_DIRECTORY",
    "LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET", "WATCHDOG_USEC",
    "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES",
)  # fmt: skip
_PATH_EVENTS = {"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "sqlite3.connect"}


class TouchedRealHome(BaseException):
    """Not an `Exception`, so that no code under test can swallow it."""


def _guard(event: str, args: tuple[object, ...]) -> None:
    if event in _PATH_EVENTS:
        for path in args[:2]:
            text = os.fsdecode(path) if isinstance(path, bytes) else str(path)
            if text.startswith(FORBIDDEN):
                raise TouchedRealHome(f"{event} on {text}: use the `home` fixture's folders")


def _environment(home: Path) -> dict[str, str]:
    """What code under test, and every process that it starts, takes for the person's own."""
    return {
        "HOME": str(home),
        "ASSISTANT_HOME": str(home / "assistant"),
        "XDG_RUNTIME_DIR": str(home / "run"),
        **{name: str(home / usual) for name, usual in _XDG.items()},
        "ORT_DISABLE_TELEMETRY": "1",
        "PYTHONSAFEPATH": "1",
        "TERM": "xterm-256color",
    }


def _new_home() -> Path:
    # Short on purpose: pytest's own temporary folders outgrow the 107 bytes of a socket's path.
    home = Path(tempfile.mkdtemp(prefix="ra-"))
    (home / "run").mkdir(mode=0o700)
    return home


def pytest_configure(config: pytest.Config) -> None:
    """From here on, so that imports and session-wide fixtures are isolated as well."""
    home = _new_home()
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    for name in list(os.environ):
        if name in _DROPPED or name.startswith(("ASSISTANT_", "OPENAI_")):
            del os.environ[name]
    os.environ.update(_environment(home))
    sys.addaudithook(_guard)


@pytest.fixture(scope="session")
def installed() -> Iterator[Path]:
    """bin/python of an installation that every user can run."""
    from tests.installation import NoPlace, install

    try:
        folder = install()
    except (NoPlace, PermissionError) as error:
        pytest.skip(f"NOT CHECKED AS ANOTHER USER: {error}")
    yield folder / "bin" / "python"
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The `ASSISTANT_HOME` of one test: empty, private, gone afterwards."""
    folder = _new_home()
    for name, value in _environment(folder).items():
        monkeypatch.setenv(name, value)
    yield folder / "assistant"
    shutil.rmtree(folder, ignore_errors=True)
