"""The ladder of "network down": static, seccomp, honeypot, live; each rung says what it proves or why it cannot."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from assistant import paths, silence
from assistant.selftest import honeypot, live, scenario, static
from assistant.selftest.report import FAIL, FULL_S, NOT_PROVEN, Check, Report, Rung, conclude

UNDER_THE_FILTER = """
import json
from assistant import seccomp
from assistant.selftest import canary
try:
    seccomp.deny_network()
except seccomp.FilterUnavailable as error:
    print(json.dumps({"unavailable": str(error)}))
else:
    print(json.dumps({"python": canary.python(), "native": canary.native(), **seccomp.kernel_fields()}))
"""
Say = Callable[[str], None]


def network_down(seconds: float = FULL_S, say: Say = lambda _line: None) -> Report:
    """Climb the ladder. `say` is told what is being done."""
    started = time.time()
    say("in the open: what it writes when nothing is cut off")
    online = _in_the_open()
    say("rung 1: static")
    ladder = [_static(online)]
    say("rung 2: seccomp")
    ladder.append(_seccomp(online))
    say(f"rung 3: honeypot, {seconds:.0f} s")
    rung, listened_s = _honeypot(online, seconds)
    ladder.append(rung)
    say("rung 4: live")
    ladder.append(live.climb())
    return conclude(ladder, static.versions(), os.getuid(), started, listened_s)


def _in_the_open() -> list[Check] | str:
    """The reference run, or why it failed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "checks"
        return _run(scenario.command(scenario.Options(only_chat=True), out), out, os.environ)


def _static(online: list[Check] | str) -> Rung:
    started = time.monotonic()
    checks = static.checks()
    if isinstance(online, str):
        checks.append(Check(name="run in the open", ok=False, detail=online))
    return Rung.of("static", checks, seconds=time.monotonic() - started)


def _seccomp(online: list[Check] | str) -> Rung:
    """Canaries must be refused, and the whole scenario must work all the same."""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-P", "-c", UNDER_THE_FILTER], capture_output=True, text=True, timeout=60,
                          check=False)  # fmt: skip
    if done.returncode:
        return Rung(name="seccomp", verdict=FAIL, why=f"the canaries failed: {done.stderr[-500:]}")
    found = json.loads(done.stdout)
    if "unavailable" in found:
        return Rung(name="seccomp", verdict=NOT_PROVEN, why=found["unavailable"])
    controls = {f"{kind} {what} refused": became.startswith("refused")
                for kind in ("python", "native") for what, became in found[kind].items()}  # fmt: skip
    controls["kernel says it is filtered"] = found.get("Seccomp") == 2 and found.get("NoNewPrivs") == 1
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "checks"
        checks = _run(scenario.command(scenario.Options(deny=True, backend=_backend(online)), out), out, os.environ)
    if isinstance(checks, str):
        checks = [Check(name="scenario", ok=False, detail=checks)]
    checks.append(same_words(online, checks))
    if not all(controls.values()):
        bad = [name for name, good in controls.items() if not good]
        checks.append(Check(name="canaries", ok=False, detail=f"not as they should: {', '.join(bad)}"))
    return Rung.of("seccomp", checks, controls=controls, seconds=time.monotonic() - started)


def _honeypot(online: list[Check] | str, seconds: float) -> tuple[Rung, float]:
    """The daemon without its filter, so that whatever tries to call is caught and not only refused."""
    started = time.monotonic()
    # What could silence a library from outside is taken away: our code has to do it.
    env = {k: v for k, v in os.environ.items() if k not in silence.SWITCHES and k not in paths.MOVERS}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as home:
        # Device ids and the like are put below HOME; the assistant's own files go to a private home of its own.
        env |= {"HOME": home, "PYTHONUSERBASE": site.getuserbase()}
        out = Path(folder) / "checks"
        options = scenario.Options(seconds=seconds, unfiltered=True, backend=_backend(online))
        try:
            catch = honeypot.run(scenario.command(options, out), env=env)
        except honeypot.HoneypotUnavailable as error:
            return Rung(name="honeypot", verdict=NOT_PROVEN, why=str(error)), 0.0
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            return Rung(name="honeypot", verdict=NOT_PROVEN, why=f"it broke: {error}"), 0.0
        checks = _result(out) or [Check(name="scenario", ok=False, detail=catch.output[-500:])]
        left = sorted(str(file.relative_to(home)) for file in Path(home).rglob("*") if file.is_file())
    checks.append(Check(name="files left below HOME", ok=not left, detail=", ".join(left) or "none"))
    checks.append(same_words(online, checks))
    short = catch.seconds < FULL_S
    checks.append(Check(name="time", ok=not short, required=False, detail=f"listened for {catch.seconds:.0f} s"
                        + (f", which is SHORT of {FULL_S:.0f} s" if short else "")))  # fmt: skip
    if catch.attempts:
        checks.append(Check(name="silence", ok=False, detail=f"called {', '.join(catch.hosts)}"))
    else:
        checks.append(Check(name="silence", ok=True, detail="not one packet"))
    rung = Rung.of("honeypot", checks, controls=catch.canaries, attempts=catch.attempts,
                   seconds=time.monotonic() - started)  # fmt: skip
    if not catch.is_awake and rung.verdict != FAIL:
        deaf = [name for name, caught in catch.canaries.items() if not caught]
        rung.verdict, rung.why = NOT_PROVEN, f"the honeypot is deaf: it missed {', '.join(deaf)}"
    return rung, catch.seconds


def _backend(online: list[Check] | str) -> str:
    """What the daemon chose in the open: only the same device writes the same words."""
    return "" if isinstance(online, str) else next((check.backend for check in online if check.backend), "")


def same_words(online: list[Check] | str, cut_off: list[Check]) -> Check:
    """With the same seed the same text, with and without a network."""
    if isinstance(online, str):
        return Check(name="same text as in the open", ok=False, detail="there is no text from the open")
    wanted = [check.text for check in online if check.text]
    found = [check.text for check in cut_off if check.text]
    ok = bool(wanted) and wanted == found
    detail = f"{len(wanted)} replies, the same letter by letter" if ok else f"{wanted} there, {found} here"
    return Check(name="same text as in the open", ok=ok, detail=detail)


def _run(command: list[str], out: Path, env) -> list[Check] | str:
    done = subprocess.run(command, env=dict(env), capture_output=True, text=True, timeout=1200, check=False)
    checks = _result(out)
    if checks is None:
        return (done.stderr or done.stdout).strip()[-500:] or f"exit code {done.returncode}"
    bad = [f"{c.name}: {c.detail}" for c in checks if c.required and not c.ok]
    return "; ".join(bad) if bad and len(checks) < 2 else checks


def _result(out: Path) -> list[Check] | None:
    try:
        return scenario.result(out)
    except (OSError, msgspec.MsgspecError):
        return None
