"""Ourselves, by the same rules: what the newest self-test proved, and what the electricity cost by the history."""

from __future__ import annotations

import datetime
import time

import msgspec

from assistant import __version__, paths, proofs, wire
from assistant.audit.charges import Cost
from assistant.audit.usage import DAYS
from assistant.audit.verdicts import Verdict
from assistant.errors import AssistantError

VERSION = __version__
PROOF = "assistant selftest network-down"


class _Proof(wire.SelfTestSummary):
    versions: dict[str, str] = msgspec.field(default_factory=dict)


def _last() -> _Proof | None:
    for file in reversed(proofs.history()):
        try:
            return msgspec.json.decode(file.read_bytes(), type=_Proof)
        except (OSError, msgspec.MsgspecError):
            continue
    return None


def verdicts() -> tuple[Verdict, Verdict, list[str]]:
    """Of the first and the third question, and whom it called."""
    last = _last()
    if last is None:
        why = f"NOT PROVEN: there is no report of a self-test yet; `{PROOF}` makes one"
        return Verdict(why=why), Verdict(why=why), []
    date = time.strftime("%Y-%m-%d", time.gmtime(last.finished_at))
    if (tested := last.versions.get("rwkv-assistant", VERSION)) != VERSION:
        why = f"NOT PROVEN: the report of {date} is of version {tested}, this is {VERSION}; `{PROOF}` makes a new one"
        return Verdict(why=why, date=date), Verdict(why=why, date=date), []
    if last.verdict == "PASS":
        why = f"self-test {last.sha256[:12]}: {last.why}"
        return (Verdict(answer="yes", evidence="tested", why=why, date=date),
                Verdict(answer="yes", evidence="tested", why=why, date=date), last.hosts)  # fmt: skip
    if last.verdict == "FAIL":
        why = f"self-test {last.sha256[:12]} failed: {last.why}"
        called = "partly" if last.hosts else "no"
        return (Verdict(answer=called, evidence="tested", why=why, date=date),
                Verdict(answer="no", evidence="tested", why=why, date=date), last.hosts)  # fmt: skip
    why = f"NOT PROVEN: {last.why}"
    return Verdict(why=why, date=date), Verdict(why=why, date=date), last.hosts


def cost() -> Cost:
    """The electricity of the last DAYS days; unknown where the history cannot be read."""
    from assistant.launch import accepts
    from assistant.meter import prices

    since = (datetime.datetime.now().astimezone().date() - datetime.timedelta(days=DAYS)).isoformat()
    try:
        if accepts(paths.socket_path()):
            from assistant.client import call

            report = call(lambda client: client.cost("day", since))
        elif not paths.history_file().exists():
            return Cost(now_low=0.0, now_high=0.0, basis="nothing has been answered yet; it costs electricity only")
        else:
            from assistant.history import History
            from assistant.history.costs import cost_report

            table, history = prices.load(), History(paths.history_file())
            try:
                report = cost_report(history, "day", since, table, [])
            finally:
                history.close()
    except AssistantError as error:
        return Cost(basis=f"the history cannot be read: {error.what}")
    total, money = report.total, sum(report.equivalents.electricity.values())
    kinds = "+".join(sorted(report.equivalents.electricity)) or "none"
    return Cost(currency=report.equivalents.currency, now_low=money, now_high=money,
                input_tokens=total.prompt_tokens, cached_tokens=total.cached_tokens,
                output_tokens=total.completion_tokens,
                basis=f"electricity of its own passes in the last {DAYS} days (joules: {kinds})")  # fmt: skip
