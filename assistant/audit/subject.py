"""Which tool a command line is about, and as much of the line as may be kept: no option, no value, no prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from assistant.audit import processes
from assistant.audit.redact import PLAIN

RUNNERS = {"uvx": 1, "pipx": 2, "npx": 1, "bunx": 1, "env": 1}
"""Programs that run another, and how many words of theirs come before its name."""
_WORD = re.compile(r"[a-z][a-z-]{0,15}")


def name_of(command: Sequence[str]) -> str:
    """`llm` of `/usr/bin/llm chat`, `python3 -m llm`, `uvx llm`."""
    program = Path(command[0]).name
    rest = [word for word in command[1:] if not word.startswith("-") or word == "-m"]
    if re.fullmatch(r"python[\d.]*", program) and "-m" in rest[:1] and len(rest) > 1:
        program = rest[1].partition(".")[0]
    elif processes.INTERPRETER.match(program) and command[1:2] and processes.is_file(command[1]):
        program = Path(command[1]).stem
    elif program in RUNNERS and len(rest) >= RUNNERS[program]:
        program = Path(rest[RUNNERS[program] - 1]).name.partition("@")[0] or program
    return PLAIN.clean(program)[:40] or "?"


def words_of(command: Sequence[str]) -> str:
    """The program and the commands that follow it, up to the first word that could be private."""
    words = [PLAIN.clean(Path(command[0]).name)[:40]]
    for word in command[1:4]:
        if not _WORD.fullmatch(word):
            break
        words.append(word)
    rest = len(command) - len(words)
    return " ".join(words) + (f" (+{rest} arguments)" if rest else "")
