"""A machine with a real systemd in a few seconds: this one's own root in a container, whose changes are thrown away."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

BOOT_S = 60.0


PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class NoMachine(Exception):
    """No such machine can be had here; the message says why."""


class Machine:
    """systemd-nspawn over a bind mount of /, with an overlay on top and no network but a loopback."""

    def __init__(self) -> None:
        if os.geteuid() != 0:
            raise NoMachine("it needs root")
        if shutil.which("systemd-nspawn") is None:
            raise NoMachine("systemd-nspawn is missing (Debian: apt install systemd-container)")
        self._root = Path(tempfile.mkdtemp(prefix="ra-root-"))
        self._log = Path(tempfile.mkstemp(prefix="ra-nspawn-")[1])
        self._nspawn: subprocess.Popen | None = None
        self._leader = ""
        try:
            subprocess.run(["mount", "--bind", "/", self._root], check=True, capture_output=True)
            self._boot()
        except (subprocess.CalledProcessError, TimeoutError) as error:
            said = self._log.read_text(errors="replace")[-500:]
            self.close()
            raise NoMachine(f"systemd-nspawn does not work here: {error} {said}") from error

    def _boot(self) -> None:
        command = ["systemd-nspawn", "--quiet", f"--directory={self._root}", "--volatile=overlay", "--boot",
                   "--register=no", "--keep-unit", "--private-network", "--console=pipe",
                   f"--machine={self._root.name}", "systemd.unit=basic.target"]  # fmt: skip
        with self._log.open("wb") as log:
            self._nspawn = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, cwd="/")  # fmt: skip
        until = time.monotonic() + BOOT_S
        while time.monotonic() < until and self._nspawn.poll() is None:
            children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
            self._leader = children[0] if children else ""
            if self._leader and self.run("systemctl", "is-active", "basic.target", check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise TimeoutError("it did not boot")

    def enter(self, *command: str, user: str = "root") -> list[str]:
        """The command as it has to be run out here, to run in there."""
        clean = {"PATH": PATH, "HOME": "/root" if user == "root" else f"/home/{user}", "LANG": "C.UTF-8"}
        if user != "root":
            clean["XDG_RUNTIME_DIR"] = f"/run/user/{self.run('id', '-u', user).stdout.strip()}"
        words = [f"{name}={value}" for name, value in clean.items()]
        as_user = [] if user == "root" else ["runuser", "-u", user, "--"]
        return ["nsenter", "-t", self._leader, "-a", "--", "env", "-i", *words, *as_user, *command]

    def run(self, *command: str, user: str = "root", check: bool = True) -> subprocess.CompletedProcess:
        words = self.enter(*command, user=user)
        done = subprocess.run(words, capture_output=True, text=True, timeout=180, check=False)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def show(self, unit: str, what: str, *scope: str, user: str = "root") -> str:
        """One property of a unit."""
        return self.run("systemctl", *scope, "show", unit, "-p", what, "--value", user=user).stdout.strip()

    def write(self, path: str, text: str) -> None:
        subprocess.run(self.enter("sh", "-c", f'mkdir -p "$(dirname {path})"; cat > {path}'), input=text, text=True,
                       check=True)  # fmt: skip

    def close(self) -> None:
        if self._leader:
            os.kill(int(self._leader), signal.SIGKILL)  # its changes are void anyway
        if self._nspawn:
            self._nspawn.wait(30)
        subprocess.run(["umount", "--lazy", self._root], check=False, capture_output=True)
        self._root.rmdir()
        self._log.unlink()
