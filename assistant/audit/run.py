"""One tool in the honeypot, and what is to be said of it: did it start, did it work, whom did it try to reach."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

import msgspec

from assistant import paths, silence
from assistant.audit import cage, terminal, writes
from assistant.audit.cage import Call
from assistant.audit.identity import Identity
from assistant.audit.redact import Redactor
from assistant.errors import EXIT_FAIL, EXIT_UNAVAILABLE, UsageError

FULL_S = 60.0
"""Telemetry comes late: onnxruntime 1.31 calls after some 10 s. Shorter runs are marked."""
LINGER_S = 15.0
SCHEMA = "assistant-audit-run/1"
LOOPBACK_NOTE = "a port of this machine is not yet local: what listens there may pass it on (Ollama's cloud models)"
Silence = Literal["silent", "called", "not proven"]
Worked = Literal["yes", "no", "unclear"]


class RunReport(msgspec.Struct, kw_only=True):
    """The evidence of one run. No text in it is of the tool's output, of its arguments or of its files."""

    schema: str = SCHEMA
    tool: str  # an id of the catalog, or the program's name
    identity: Identity
    words: str  # the command without what may be private
    finished_at: float
    seconds: float
    silence: Silence
    why: str = ""
    started: bool = True
    worked: Worked = "unclear"
    worked_by: str = ""  # how that is known
    exit_code: int | None = None
    output_bytes: int = 0
    output_until_s: float = 0.0  # when it last wrote
    terminal: bool = False
    short: bool = False
    needs_ports: list[int] = []  # of servers on this machine
    own_ports: list[int] = []  # that it served itself
    hosts: list[str] = []
    calls: list[Call] = []
    canaries: dict[str, bool] = {}
    left_behind: list[str] = []
    files: list[str] = []
    files_kept: bool = False  # False: what it wrote below its folders was thrown away

    @property
    def exit(self) -> int:
        return {"silent": 0, "called": EXIT_FAIL, "not proven": EXIT_UNAVAILABLE}[self.silence]


def run(command: list[str], tool: str, identity: Identity, words: str, screen: terminal.Screen,
        seconds: float | None = None, allow_files: bool = False) -> RunReport:  # fmt: skip
    """Raises UsageError for a program that is not there."""
    if not (path := shutil.which(command[0])):
        raise UsageError("there is no such program", where=Redactor().clean(command[0])[:80],
                         hint="Write the command after --, as you would in a shell")  # fmt: skip
    redactor = Redactor.of_environment(os.environ)
    aside = tempfile.mkdtemp(prefix="audit-", dir=_outside())
    order = cage.Order(
        command=[path, *command[1:]], handle=screen.theirs, terminal=screen.is_terminal, seconds=seconds,
        linger_s=LINGER_S if seconds is None else seconds, guarded=[] if allow_files else folders(), aside=aside,
        secrets=redactor.values,
    )  # fmt: skip
    try:
        outcome = _in_cage(order, screen)
    finally:
        writes.discard(aside)
    base = {
        "tool": tool,
        "identity": identity,
        "words": words,
        "finished_at": time.time(),
        "terminal": screen.is_terminal,
    }
    if isinstance(outcome, str):
        return RunReport(**base, seconds=0, silence="not proven", why=outcome, started=False, files_kept=allow_files)
    return conclude(outcome, screen, base, allow_files)


def conclude(outcome: cage.Outcome, screen: terminal.Screen, base: dict, allow_files: bool) -> RunReport:
    out = [call for call in outcome.calls if call.reach in ("out", "lan")]
    deaf = [name for name, caught in outcome.canaries.items() if not caught]
    silence: Silence = "called" if out else "not proven" if deaf or outcome.start_error else "silent"
    why = f"it tried to reach {', '.join(hosts(out))}" if out else "not one packet left for another machine"
    if silence == "not proven":
        why = f"it did not start: {outcome.start_error}" if outcome.start_error else f"deaf: missed {', '.join(deaf)}"
    report = RunReport(
        **base, seconds=outcome.seconds, silence=silence, why=why, started=not outcome.start_error,
        exit_code=outcome.exit_code, output_bytes=screen.bytes, short=outcome.seconds < FULL_S,
        output_until_s=max(0.0, screen.last_s - outcome.started_at) if screen.bytes else 0.0,
        needs_ports=_ports(outcome, "local"), own_ports=_ports(outcome, "self"), hosts=hosts(out),
        calls=outcome.calls, canaries=outcome.canaries, left_behind=outcome.left_behind, files=outcome.files,
        files_kept=allow_files,
    )  # fmt: skip
    report.worked, report.worked_by = _worked(report)
    return report


def hosts(calls: list[Call]) -> list[str]:
    """Whom it called; a look-up and the connection that follows are one."""
    return sorted({call.host for call in calls})


def folders() -> list[str]:
    """Where nothing may change: the person's home, what was moved out of it, and the folder that it runs in."""
    wanted = [Path.home(), Path.cwd(), *map(Path, paths.movers().values())]
    usable = {folder for folder in wanted if folder.is_dir() and folder != Path("/") and os.access(folder, os.W_OK)}
    return sorted(str(f) for f in usable if not any(f != other and f.is_relative_to(other) for other in usable))


def environment() -> dict[str, str]:
    """The person's own: without the switches that silence our libraries, as far as the person has not set them."""
    given = dict(part.split(b"=", 1) for part in Path("/proc/self/environ").read_bytes().split(b"\0") if b"=" in part)
    own = {os.fsdecode(name): os.fsdecode(value) for name, value in given.items()}
    return {name: value for name, value in os.environ.items() if name not in silence.SWITCHES} | {
        name: own[name] for name in silence.SWITCHES if name in own
    }


def _worked(report: RunReport) -> tuple[Worked, str]:
    if not report.started:
        return "no", "it did not start"
    if report.exit_code is not None:
        return ("yes" if report.exit_code == 0 else "no"), f"its exit code was {report.exit_code}"
    wrote = "it wrote nothing"
    if report.output_bytes:
        wrote = f"it wrote {report.output_bytes} bytes, the last at {report.output_until_s:.0f} s"
    return "unclear", f"it ran until it was ended at {report.seconds:.0f} s; {wrote}"


def _ports(outcome: cage.Outcome, reach: str) -> list[int]:
    return sorted({call.port for call in outcome.calls if call.reach == reach})


def _in_cage(order: cage.Order, screen: terminal.Screen) -> cage.Outcome | str:
    """What the cage tells, or why it cannot. Signals that would end us end the tool; the report is written."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        process = subprocess.Popen([sys.executable, "-P", "-m", "assistant.audit.cage"], env=environment(),
                                   stdin=subprocess.PIPE, stdout=said, stderr=complained, pass_fds=(order.handle,),
                                   start_new_session=True)  # fmt: skip
        process.stdin.write(msgspec.json.encode(order))
        process.stdin.close()
        with _signals_end(process):
            screen.relay(process)
        said.seek(0)
        complained.seek(0)
        if process.returncode == EXIT_UNAVAILABLE:
            return complained.read().decode("utf-8", "replace").strip().splitlines()[-1]
        try:
            return msgspec.json.decode(said.read(), type=cage.Outcome)
        except msgspec.MsgspecError:
            # What it wrote on its way down may name anything.
            kind = complained.read().decode("utf-8", "replace").strip().splitlines()[-1:] or [""]
            return f"the honeypot broke (exit code {process.returncode}, {kind[0].partition(':')[0][:60]})"


@contextlib.contextmanager
def _signals_end(process: subprocess.Popen):
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: process.terminate()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _outside() -> str | None:
    """A place for what is written aside that is in none of the guarded folders."""
    for place in (tempfile.gettempdir(), "/var/tmp", "/tmp"):
        if os.access(place, os.W_OK) and not any(Path(place).is_relative_to(folder) for folder in folders()):
            return place
    return None
