"""The report of a self-test: what was run, what was skipped and why, what was caught; as text and as JSON."""

from __future__ import annotations

import hashlib
import textwrap
import time

import msgspec

from assistant import wire
from assistant.selftest.honeypot import Attempt

FULL_S = 60.0
"""How long the honeypot has to listen: what calls home may do so late (onnxruntime 1.31: after some 10 s)."""
PASS, FAIL, NOT_PROVEN, SKIPPED = "PASS", "FAIL", "NOT PROVEN", "SKIPPED"
PROVING = ("static", "seccomp", "honeypot")
"""The rungs without which nothing is proven. `live` proves more, of a service that happens to run."""
MARKS = {PASS: "✓", FAIL: "✗", NOT_PROVEN: "?", SKIPPED: "-"}
EXIT_CODES = {PASS: 0, FAIL: 1, NOT_PROVEN: 69, SKIPPED: 69}
LIMITS = (
    "A unix socket reaches other programs of this machine, and those may reach a network; nothing of ours asks one to, "
    "and in the honeypot the sockets of name resolvers are hidden.",
    "What the honeypot did not see in its time it cannot tell: a run of less than 60 s is marked as short.",
    "Hardware, firmware and the kernel are taken at their word.",
)


class Check(msgspec.Struct, kw_only=True):
    """One thing that was looked at. Without `required` it is told, and fails nothing."""

    name: str
    ok: bool
    detail: str = ""
    required: bool = True
    seconds: float = 0.0
    tokens: int = 0
    tok_s: float | None = None
    text: str | None = None  # what the model wrote
    backend: str = ""


class Rung(msgspec.Struct, kw_only=True):
    """One rung of the ladder."""

    name: str
    verdict: wire.Verdict
    why: str = ""
    seconds: float = 0.0
    checks: list[Check] = []
    controls: dict[str, bool] = {}  # canaries: each was caught, or refused, as it should
    attempts: list[Attempt] = []
    egress_bytes: int | None = None

    @staticmethod
    def of(name: str, checks: list[Check], **more: object) -> Rung:
        """PASS if all that is required went well."""
        bad = [c for c in checks if c.required and not c.ok]
        why = "; ".join(f"{c.name}: {c.detail}" for c in bad)
        return Rung(name=name, verdict=FAIL if bad else PASS, why=why, checks=checks, **more)


class Report(msgspec.Struct, kw_only=True):
    """Begins with the fields of wire.SelfTestSummary."""

    verdict: wire.Verdict
    why: str
    finished_at: float
    seconds: float
    rungs: dict[str, wire.Verdict]
    hosts: list[str]
    sha256: str = ""  # of this report's JSON with an empty string here
    test: str = "network-down"
    ladder: list[Rung] = []
    versions: dict[str, str] = {}
    user: int = 0
    listened_s: float = 0.0
    limits: list[str] = msgspec.field(default_factory=lambda: list(LIMITS))


def conclude(ladder: list[Rung], versions: dict[str, str], uid: int, started: float, listened_s: float,
             proving: tuple[str, ...] = PROVING, test: str = "network-down") -> Report:  # fmt: skip
    """One verdict over all rungs: FAIL if one failed; PASS only if every proving rung passed; else NOT PROVEN."""
    verdicts = {rung.name: rung.verdict for rung in ladder}
    failed = [r for r in ladder if r.verdict == FAIL]
    missing = [name for name in proving if verdicts.get(name) != PASS]
    if failed:
        verdict, why = FAIL, "; ".join(f"{r.name}: {r.why}" for r in failed)
    elif missing:
        reasons = {r.name: r.why for r in ladder}
        verdict = NOT_PROVEN
        why = "; ".join(f"rung {name} unavailable: {reasons.get(name) or 'it was not run'}" for name in missing)
    else:
        verdict, why = PASS, "it worked while cut off, and called nobody"
        if listened_s < FULL_S:
            why += f" (a short run: it was listened for {listened_s:.0f} s only)"
    report = Report(
        verdict=verdict, why=why, finished_at=started + (took := time.time() - started), seconds=took, rungs=verdicts,
        hosts=sorted({a.host for r in ladder for a in r.attempts}), ladder=ladder, versions=versions, user=uid,
        listened_s=listened_s, test=test,
    )  # fmt: skip
    report.sha256 = digest(report)
    return report


def digest(report: Report) -> str:
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(report, sha256=""))).hexdigest()


def to_json(report: Report) -> bytes:
    return msgspec.json.format(msgspec.json.encode(report), indent=1)


def to_text(report: Report) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(report.finished_at))
    lines = [f"self-test {report.test}: {report.verdict}", f"  {report.why}", ""]
    for rung in report.ladder:
        lines.append(f"{MARKS[rung.verdict]} {rung.name}: {rung.verdict}  ({rung.seconds:.1f} s)")
        if rung.why:
            lines += _wrapped(rung.why, "    ")
        if rung.controls:
            good = sum(rung.controls.values())
            lines.append(f"    canaries: {good} of {len(rung.controls)} as they should ({', '.join(rung.controls)})")
        for check in rung.checks:
            mark = "ok " if check.ok else "BAD" if check.required else "-- "
            speed = f"  [{check.tokens} tokens, {check.tok_s:.0f} tok/s]" if check.tok_s else ""
            lines += _wrapped(f"{mark} {check.name}: {check.detail}{speed}".rstrip(": "), "    ")
        for a in rung.attempts:
            lines.append(f"    CALLED {a.host} at {a.at_s:.1f} s: {a.protocol} {a.address}:{a.port}, {a.bytes} bytes, "
                         f"by {a.process or 'a process that was gone'}")  # fmt: skip
    lines += ["", "versions: " + ", ".join(f"{name} {version}" for name, version in report.versions.items())]
    lines[-1:] = _wrapped(lines[-1], "")
    lines += ["limits:", *(line for limit in report.limits for line in _wrapped(f"- {limit}", "  "))]
    lines += [f"user {report.user}, {when}, {report.seconds:.0f} s in all; report {report.sha256[:16]}"]
    return "\n".join(lines)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent=indent, subsequent_indent=indent + "    ",
                         break_long_words=False, break_on_hyphens=False)  # fmt: skip
