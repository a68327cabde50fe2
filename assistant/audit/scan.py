"""Which AI tools are on this machine: by names of files, packages, extensions, processes and ports. Runs nothing.

Of a process only its program's name is read, of an environment only the names, of a package only name and version.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from assistant.audit import processes as proc
from assistant.audit import redact
from assistant.audit.catalog import Tool
from assistant.audit.identity import normal, package_version, version_beside
from assistant.audit.places import matching, names

Say = Callable[[str], None]
NODE_FOLDERS = ("/usr/lib/node_modules", "/usr/local/lib/node_modules", "~/.npm-global/lib/node_modules",
                "~/.local/lib/node_modules", "~/.nvm/versions/node/*/lib/node_modules",
                "~/.local/share/fnm/node-versions/*/installation/lib/node_modules",
                "~/.volta/tools/image/packages/*/lib/node_modules", "~/.bun/install/global/node_modules")  # fmt: skip
PYTHON_FOLDERS = ("~/.local/lib/python3*/site-packages", "/usr/lib/python3/dist-packages",
                  "/usr/local/lib/python3*/dist-packages", "/usr/local/lib/python3*/site-packages",
                  "~/.local/share/pipx/venvs/*/lib/python3*/site-packages",
                  "~/.local/pipx/venvs/*/lib/python3*/site-packages",
                  "~/.local/share/uv/tools/*/lib/python3*/site-packages",
                  "./.venv/lib/python3*/site-packages")  # fmt: skip
EXTENSION_FOLDERS = ("~/.vscode/extensions", "~/.vscode-server/extensions", "~/.vscode-oss/extensions",
                     "~/.vscode-insiders/extensions", "~/.cursor/extensions", "~/.windsurf/extensions")  # fmt: skip
APP_FOLDERS = ("~/.local/share/applications", "/usr/share/applications", "/usr/local/share/applications",
               "/var/lib/flatpak/app", "~/.local/share/flatpak/app", "/snap")  # fmt: skip
PROGRAM_FOLDERS = ("~/.local/bin", "~/bin", "~/.cargo/bin", "~/go/bin", "~/.bun/bin", "~/.deno/bin",
                   "~/.npm-global/bin", "~/.opencode/bin", "~/.lmstudio/bin",
                   "/usr/local/bin", "/opt/*/bin")  # fmt: skip
EXTENSION = re.compile(r"(.+?)-(\d[\w.]*)(?:-[\w-]+)?")


@dataclass
class Found:
    """One tool that is here, and by what it was found. No value of any variable, no argument, no content."""

    tool: Tool
    version: str = ""
    by: list[str] = field(default_factory=list)
    program: str = ""  # path of its program
    running: bool = False
    ports: list[int] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)

    @property
    def is_here(self) -> bool:
        """A variable alone does not make a tool."""
        return bool(self.by)


def scan(tools: Iterable[Tool], environment: Iterable[str], say: Say = lambda _line: None) -> list[Found]:
    """The tools that are here. environment: names of variables."""
    machine, variables = Machine(), list(environment)
    say(f"looked at {len(machine.distributions)} distributions, {len(machine.packages)} npm packages, "
        f"{len(machine.extensions)} extensions, {len(machine.running)} programs that run, "
        f"{len(machine.ports)} ports")  # fmt: skip
    found = [one for tool in tools if (one := _look(tool, machine, variables)).is_here]
    return sorted(found, key=lambda one: one.tool.id)


def _look(tool: Tool, machine: Machine, variables: list[str]) -> Found:
    one = Found(tool)
    for name in tool.distributions:
        if (version := machine.distributions.get(normal(name))) is not None:
            one.by.append(f"Python distribution {name}")
            one.version = one.version or version
    for name in tool.npm:
        if (version := machine.packages.get(name)) is not None:
            one.by.append(f"npm package {name}")
            one.version = one.version or version
    for name in tool.extensions:
        if (version := machine.extensions.get(name.lower())) is not None:
            one.by.append(f"editor extension {name}")
            one.version = one.version or version
    for name in tool.executables:
        if program := machine.program(name):
            one.by.append(f"program {name}")
            one.program = one.program or program
    if one.program:  # what is called counts, and not what lies elsewhere
        one.version = version_beside(one.program, tool) or one.version
    one.by += [f"application {name}" for name in tool.apps if name.lower() in machine.apps]
    one.by += [f"folder or file {path}" for path in tool.paths if matching(path)]
    if running := sorted(set(tool.processes) & machine.running):
        one.running = True
        one.by.append(f"process {running[0]}")
    for port in tool.ports:
        # A port alone is a guess: others use it too.
        if port in machine.ports and (one.by or machine.ports[port] in tool.processes):
            one.ports.append(port)
            one.by.append(f"port {port} is open")
    one.variables = sorted(
        name for name in variables if any(fnmatch.fnmatchcase(name, pattern) for pattern in tool.env)
    )
    return one


class Machine:
    """What is installed and what runs here, for this user."""

    @cached_property
    def distributions(self) -> dict[str, str]:
        here = [str(Path(p)) for p in sys.path if p.endswith("-packages")]
        for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
            if root := os.environ.get(variable):
                here.append(f"{root}/lib/python3*/site-packages")
        found = {}
        for folder in _folders([*PYTHON_FOLDERS, *here]):
            for entry in names(folder):
                stem = entry.removesuffix(".dist-info")
                if stem != entry and "-" in stem:
                    name, _, version = stem.partition("-")
                    found.setdefault(normal(name), redact.version(version))
        return found

    @cached_property
    def packages(self) -> dict[str, str]:
        found = {}
        for folder in _folders(NODE_FOLDERS):
            for entry in names(folder):
                for name in [f"{entry}/{inner}" for inner in names(folder / entry)] if entry[:1] == "@" else [entry]:
                    found.setdefault(name, package_version(folder / name))
        return found

    @cached_property
    def extensions(self) -> dict[str, str]:
        entries = (EXTENSION.fullmatch(entry) for folder in _folders(EXTENSION_FOLDERS) for entry in names(folder))
        return {entry[1].lower(): redact.version(entry[2]) for entry in entries if entry}

    @cached_property
    def apps(self) -> set[str]:
        found = {entry.removesuffix(".desktop") for folder in _folders(APP_FOLDERS) for entry in names(folder)}
        return {name.lower() for name in found}

    @cached_property
    def running(self) -> set[str]:
        """Names of this user's programs, and of the scripts of interpreters."""
        found = set()
        for process, _ in self._own():
            found |= {word for word in proc.program(process).split() if word}
        return found

    @cached_property
    def ports(self) -> dict[int, str]:
        """Ports that listen, with the first word of the program if it is ours."""
        rows = []
        for version in ("", "6"):
            try:
                rows += [row.split() for row in Path(f"/proc/net/tcp{version}").read_text().splitlines()[1:]]
            except OSError:
                continue
        listening = {row[9]: int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == proc.LISTENING}
        found = dict.fromkeys(listening.values(), "")
        for process, folder in self._own():
            try:
                held = {str(handle.readlink()) for handle in (folder / "fd").iterdir()}
            except OSError:
                continue
            for inode, port in listening.items():
                if f"socket:[{inode}]" in held:
                    found[port] = (proc.program(process).split() or [""])[-1]
        return found

    def program(self, name: str) -> str:
        return shutil.which(name) or shutil.which(name, path=os.pathsep.join(map(str, _folders(PROGRAM_FOLDERS)))) or ""

    def _own(self) -> list[tuple[int, Path]]:
        found = []
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and folder.stat().st_uid == os.getuid():
                    found.append((int(folder.name), folder))
            except OSError:
                continue
        return found


def _folders(patterns: Iterable[str]) -> list[Path]:
    return list(dict.fromkeys(path for pattern in patterns for path in matching(pattern)))
