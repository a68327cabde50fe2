"""Processes and ports as /proc tells them: names without arguments, who descends from us, and the end of them all."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
INTERPRETER = re.compile(r"(python|pypy|node|bun|deno|ruby|java|sh|bash|dash|zsh)[\d.]*$")
LISTENING = "0A"  # the state in /proc/net/tcp


def is_bound_udp(port: int) -> bool:
    """Whether somebody waits there; for TCP an answer tells that."""
    for version in ("", "6"):
        try:
            rows = Path(f"/proc/net/udp{version}").read_text().splitlines()[1:]
        except OSError:
            continue
        if any(int(row.split()[1].rpartition(":")[2], 16) == port for row in rows):
            return True
    return False


def program(process: int) -> str:
    """What runs there, without its arguments: `node`, or `python3 llm` for a script."""
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return ""
    name = Path((words[0].split() or [""])[0]).name[:40]
    if INTERPRETER.match(name):
        script = next((word for word in words[1:2] if word.startswith("/") and is_file(word)), "")
        if len(words) > 2 and words[1] == "-m":
            script = words[2]
        name = f"{name} {Path(script).name[:40]}".strip()
    return name


def is_file(word: str) -> bool:
    """Whether an argument is the path of a file; one that is too long or odd is not."""
    try:
        return Path(word).is_file()
    except (OSError, ValueError):
        return False


def adopt() -> None:
    """Whoever loses a parent below us becomes our child: nobody gets away by forking twice."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (OSError, UnicodeDecodeError):
                continue
            if fields[0] != "Z":
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [os.getpid()]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def kill_descendants() -> None:
    """Until there is none. They are stopped first, so that none can fork while the others are ended."""
    for _ in range(200):
        if not (alive := descendants()):
            break
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in alive:
                try:
                    os.kill(process, number)
                except OSError:
                    continue
        reap()
        time.sleep(0.005)
    reap()


def reap() -> None:
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return
