"""Which unit files there are, where they go, and the drop-in that fits them to this installation."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from assistant import paths
from assistant.errors import UsageError

NAME = "rwkv-assistant"
SOCKET, SERVICE, TIMER = f"{NAME}.socket", f"{NAME}.service", f"{NAME}-selftest.timer"
SELFTEST = f"{NAME}-selftest.service"
UNITS = (SOCKET, SERVICE, SELFTEST, TIMER)
GROUP = f"{NAME}-users"
DROP_IN = "10-install.conf"


@dataclass(frozen=True, slots=True)
class Scope:
    """A whole machine's service, or one user's."""

    name: str  # "system" or "user"
    root: Path = Path("/")  # another only for packagers and tests

    @property
    def is_system(self) -> bool:
        return self.name == "system"

    @property
    def folder(self) -> Path:
        """Where unit files of an administrator, or of a user, belong."""
        if self.is_system:
            return self.root / "etc/systemd/system"
        return paths.user_units_dir()

    @property
    def systemctl(self) -> list[str]:
        return ["systemctl", f"--{self.name}", "--no-pager"]

    @property
    def socket(self) -> Path:
        return paths.SYSTEM_SOCKET if self.is_system else paths.socket_path()

    def files(self) -> dict[Path, str]:
        """What an installation consists of: file -> content. Raises UsageError if it could not run as that."""
        source = paths.shipped_dir("systemd") / self.name
        found = {self.folder / unit: (source / unit).read_text(encoding="utf-8") for unit in UNITS}
        python = interpreter(self.is_system)
        for unit, arguments in ((SERVICE, "serve"), (SELFTEST, "selftest network-down")):
            lines = ["[Service]", "ExecStart=", f"ExecStart={_quoted(python)} -m assistant {arguments}"]
            if not self.is_system:
                # A user's service must see what the user's shell sees.
                lines += [f"Environment={_quoted(f'{name}={value}')}" for name, value in paths.movers().items()]
                lines += [f"ReadWritePaths=-{_quoted(folder)}" for folder in user_folders()] if unit == SERVICE else []
            found[self.folder / f"{unit}.d" / DROP_IN] = "\n".join(lines) + "\n"
        if not self.is_system and paths.socket_path() != Path(f"/run/user/{os.getuid()}/{NAME}/daemon.sock"):
            lines = ["[Socket]", "ListenStream=", f"ListenStream={paths.socket_path()}"]
            found[self.folder / f"{SOCKET}.d" / DROP_IN] = "\n".join(lines) + "\n"
        if self.is_system:
            sysusers = (source / f"{NAME}.sysusers").read_text(encoding="utf-8")
            found[self.root / f"etc/sysusers.d/{NAME}.conf"] = sysusers
        return found


def user_folders() -> list[Path]:
    """What a user's service may write to; made before it starts, because it cannot make them."""
    return [paths.state_dir(), paths.data_dir(), paths.cache_dir(), paths.socket_path().parent]


def interpreter(for_system: bool) -> str:
    """The Python that runs us, named so that the service finds the same packages. Raises UsageError."""
    python, package = Path(sys.executable), Path(__file__).resolve()
    if for_system:
        for path in (python, python.resolve(), package):
            if path.is_relative_to("/home") or path.is_relative_to("/root") or path.is_relative_to("/run/user"):
                raise UsageError(
                    "a system service cannot run from a home folder", where=path,
                    why="its user is not yours, and it sees no home folder",
                    hint="install into a place for all (python3 -m venv /opt/rwkv-assistant, then its pip install "
                         "rwkv-assistant), or use `assistant service install --user`",
                )  # fmt: skip
    return str(python)


def _quoted(value: object) -> str:
    """As systemd.syntax(7) wants it: % doubled, quotes and backslashes escaped."""
    text = str(value).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"' if any(c in text for c in " \t'\"\\;") else text
