"""Paths follow ASSISTANT_HOME, then systemd, then XDG; private folders are ours alone."""

from __future__ import annotations

import os
import pwd
import socket
import stat
from pathlib import Path

import pytest

from assistant import paths
from assistant.errors import AssistantError

ALL = [
    paths.config_file, paths.data_dir, paths.state_dir, paths.cache_dir, paths.runtime_dir,
    paths.socket_path, paths.models_dir, paths.history_file, paths.checkpoints_dir,
    paths.daemon_log, paths.daemon_lock,
]  # fmt: skip


@pytest.mark.parametrize("function", ALL, ids=lambda f: f.__name__)
def test_one_folder_holds_everything(function, home: Path, monkeypatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/elsewhere")
    assert function().is_relative_to(home)
    assert not home.exists(), "naming a path must not create it"


def test_xdg(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ASSISTANT_HOME")
    for name in ("CONFIG_HOME", "DATA_HOME", "STATE_HOME", "CACHE_HOME", "RUNTIME_DIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"XDG_{name}", str(tmp_path / name))
    assert paths.config_file() == tmp_path / "CONFIG_HOME/rwkv-assistant/config.toml"
    assert paths.models_dir() == tmp_path / "DATA_HOME/rwkv-assistant/models"
    assert paths.history_file() == tmp_path / "STATE_HOME/rwkv-assistant/history.sqlite3"
    assert paths.cache_dir() == tmp_path / "CACHE_HOME/rwkv-assistant"
    assert paths.runtime_dir() == tmp_path / "RUNTIME_DIR/rwkv-assistant"


def test_systemd_wins_over_xdg(monkeypatch) -> None:
    monkeypatch.delenv("ASSISTANT_HOME")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/a")
    monkeypatch.setenv("CACHE_DIRECTORY", "/var/cache/a")
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", "/etc/a")
    assert paths.state_dir() == Path("/var/lib/a")
    assert paths.data_dir() == Path("/var/lib/a/data")
    assert paths.socket_path() == Path("/run/a/daemon.sock")
    assert paths.cache_dir() == Path("/var/cache/a")
    assert paths.config_file() == Path("/etc/a/config.toml")


@pytest.mark.parametrize("runtime", ["", "relative", "/does/not/exist"])
def test_unusable_runtime_folder_falls_back(runtime: str, monkeypatch) -> None:
    monkeypatch.delenv("ASSISTANT_HOME")
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    assert paths.runtime_dir() == Path("/tmp/rwkv-assistant-4242")


def test_a_long_home_still_gets_a_socket_that_binds(monkeypatch, tmp_path: Path) -> None:
    found = set()
    for letter in "ab":
        monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / (letter * 100)))
        path = paths.socket_path()
        assert len(os.fsencode(path)) <= paths.SOCKET_PATH_LIMIT
        assert path.parent == Path(f"/tmp/rwkv-assistant-{os.getuid()}")
        assert paths.daemon_lock().parent == path.parent
        found.add(path)
    assert len(found) == 2, "two homes must not share a socket"


def test_the_limit_is_the_kernels(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as fits:
        fits.bind("x" * paths.SOCKET_PATH_LIMIT)
    with socket.socket(socket.AF_UNIX) as too_long, pytest.raises(OSError, match="too long"):
        too_long.bind("y" * (paths.SOCKET_PATH_LIMIT + 2))


def test_private_folder_is_made_and_tightened(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert paths.ensure_private_dir(folder) == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    folder.chmod(0o755)
    paths.ensure_private_dir(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("link", "dangling"):
        with pytest.raises(AssistantError, match="symbolic link"):
            paths.ensure_private_dir(tmp_path / name)
    assert stat.S_IMODE((tmp_path / "target").stat().st_mode) == 0o755
    assert not (tmp_path / "nowhere").exists()


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AssistantError, match=r"cannot use the folder .*Not a directory"):
        paths.ensure_private_dir(tmp_path / "file")


def test_a_foreign_owner_is_refused(tmp_path: Path, monkeypatch) -> None:
    us = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: us + 1)
    with pytest.raises(AssistantError, match=f"belongs to user {us}"):
        paths.ensure_private_dir(tmp_path)


def test_only_this_module_reads_the_variables() -> None:
    root = Path(paths.__file__).parent.parent
    names = ("XDG_", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CACHE_DIRECTORY", "ASSISTANT_HOME")
    readers = {
        str(file.relative_to(root))
        for package in ("assistant", "backends")
        for file in (root / package).rglob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if "environ" in line or "getenv" in line
        if any(name in line for name in names)
    }
    assert readers == {"assistant/paths.py"}


def test_a_test_cannot_touch_the_real_home() -> None:
    real = Path(pwd.getpwuid(os.getuid()).pw_dir) / ".local/share/rwkv-assistant"
    for touch in (lambda: paths.ensure_private_dir(real), lambda: (real / "a").open("w")):
        with pytest.raises(BaseException, match="use the `home` fixture"):
            touch()
    assert not real.exists()
