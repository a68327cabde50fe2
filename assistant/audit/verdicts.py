"""Three verdicts on a tool, each from its best evidence: tested in the honeypot, else declared, else unknown."""

from __future__ import annotations

import time
from typing import Literal

import msgspec

from assistant.audit.catalog import Said
from assistant.audit.run import FULL_S, LOOPBACK_NOTE, RunReport

Answer = Literal["yes", "no", "partly", "your call", "unknown"]
Evidence = Literal["tested", "declared", "unknown"]


class Verdict(msgspec.Struct, kw_only=True):
    answer: Answer = "unknown"
    evidence: Evidence = "unknown"
    why: str = ""
    date: str = ""
    source: str = ""
    confidence: str = ""


UNKNOWN = "nobody has tested it here, and no documentation was found that says so: assistant audit run -- ..."


def chosen(runs: list[RunReport]) -> RunReport | None:
    """The run that counts, of those of one build: the newest that called, else the longest that was silent.

    A later, shorter run of something else does not clear a tool that was caught.
    """
    proven = [run for run in runs if run.silence != "not proven"]
    called = [run for run in proven if run.silence == "called"]
    if called:
        return max(called, key=lambda run: run.finished_at)
    return max(proven, key=lambda run: (run.worked == "yes", min(run.seconds, FULL_S), run.finished_at), default=None)


def tested(run: RunReport) -> tuple[Verdict, Verdict]:
    """Of the first and the third question."""
    date = time.strftime("%Y-%m-%d", time.gmtime(run.finished_at))
    short = f"; a short run of {run.seconds:.0f} s" if run.short else ""
    ports = ", ".join(map(str, run.needs_ports))
    said = f"`{run.words}`: {run.worked_by}{short}"
    waits = bool(run.needs_ports) and run.worked != "yes"
    network: Answer = {"yes": "yes", "no": "no", "unclear": "partly"}[run.worked]
    if waits and run.silence == "silent":
        network, said = "partly", f"needs a local server: port {ports}; {said}"
    if run.silence == "called":
        leave: Answer = "partly" if run.worked != "no" else "no"
        kept = {"yes": "it worked behind the wall", "unclear": "it ran on behind the wall", "no": "and did not work"}[
            run.worked
        ]
        why = f"it tried to reach {few(run.hosts)}; {kept}{short}"
    elif waits:
        leave, why = "partly", f"it called port {ports} of this machine only; {LOOPBACK_NOTE}"
    else:
        leave = network
        why = f"not one packet to another machine in {run.seconds:.0f} s{short and '; a short run'}"
        if run.worked != "yes":
            why += f"; {run.worked_by}"
    return (Verdict(answer=network, evidence="tested", why=said, date=date),
            Verdict(answer=leave, evidence="tested", why=why, date=date))  # fmt: skip


def declared(said: Said) -> Verdict:
    if said.answer == "unknown":
        return Verdict(why=said.why or UNKNOWN)
    return Verdict(answer=said.answer, evidence="declared", why=said.why, date=said.date, source=said.source,
                   confidence=said.confidence)  # fmt: skip


def few(names: list[str], most: int = 4) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
