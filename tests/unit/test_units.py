"""The unit files and what an installation makes of them, without a systemd."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assistant import paths
from assistant.errors import UsageError
from assistant.service import units

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(("scope", "limit"), [("system", 0.3), ("user", 1.0)])
def test_exposure_as_systemd_scores_it(scope, limit):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("EXPOSURE NOT CHECKED: systemd-analyze is missing")
    file = ROOT / "systemd" / scope / units.SERVICE
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={limit * 10:.0f}", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout.splitlines()[-1:] or done.stderr


@pytest.mark.parametrize("scope", ["system", "user"])
def test_what_the_service_must_be(scope):
    text = (ROOT / "systemd" / scope / units.SERVICE).read_text()
    wanted = ("Type=notify", "WatchdogSec=", "PrivateNetwork=yes", "RestrictAddressFamilies=AF_UNIX\n",
              "PrivateUsers=yes", "NoNewPrivileges=yes", "ORT_DISABLE_TELEMETRY=1", "PYTHONSAFEPATH=1")  # fmt: skip
    assert [word for word in wanted if word not in text] == []
    assert (
        ("DynamicUser=yes" in text)
        == ("StateDirectory=" in text.replace("No StateDirectory=", ""))
        == (scope == "system")
    )
    socket = (ROOT / "systemd" / scope / units.SOCKET).read_text()
    assert "ListenStream=/" in socket or "ListenStream=%t/" in socket, "only unix sockets"
    assert {file.name for file in (ROOT / "systemd" / scope).iterdir()} >= set(units.UNITS)


def test_a_user_s_installation_sees_what_the_shell_sees(monkeypatch, tmp_path):
    monkeypatch.delenv("ASSISTANT_HOME")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "conf"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / 'st"ate %n'))
    files = units.Scope("user").files()
    folder = tmp_path / "conf" / "systemd" / "user"
    assert {folder / unit for unit in units.UNITS} <= set(files)
    drop_in = files[folder / f"{units.SERVICE}.d" / units.DROP_IN]
    assert f"ExecStart={sys.executable} -m assistant serve" in drop_in
    assert f'Environment="XDG_STATE_HOME={tmp_path}/st\\"ate %%n"' in drop_in
    assert f'ReadWritePaths=-"{tmp_path}/st\\"ate %%n/rwkv-assistant"' in drop_in
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read_string(drop_in)
    selftest = files[folder / f"{units.SELFTEST}.d" / units.DROP_IN]
    assert f"ExecStart={sys.executable} -m assistant selftest network-down" in selftest


def test_a_system_service_does_not_run_from_a_home(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/home/alice/venv/bin/python")
    with pytest.raises(UsageError, match="home folder"):
        units.interpreter(for_system=True)
    assert units.interpreter(for_system=False) == "/home/alice/venv/bin/python"


def test_the_machine_s_service_is_found_by_clients_that_have_none_of_their_own(monkeypatch, tmp_path):
    monkeypatch.delenv("ASSISTANT_HOME")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "system.sock").touch()
    monkeypatch.setattr(paths, "SYSTEM_SOCKET", tmp_path / "system.sock")
    assert paths.client_socket() == tmp_path / "system.sock"
    own = paths.socket_path()
    own.parent.mkdir()
    own.touch()
    assert paths.client_socket() == own
    monkeypatch.setenv("ASSISTANT_SOCKET", "/elsewhere")
    assert paths.client_socket() == Path("/elsewhere")
    monkeypatch.delenv("ASSISTANT_SOCKET")
    own.unlink()
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    assert paths.client_socket() == tmp_path / "home" / "runtime" / "daemon.sock"


def test_without_systemd_it_says_so(monkeypatch, home):
    done = subprocess.run([sys.executable, "-m", "assistant", "service", "status"], env={"PATH": "/nonexistent"},
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 1
    assert "there is no systemd here" in done.stderr
    assert "assistant serve" in done.stderr
