"""The question `what has it cost`: sums by day, chat or device, with their equivalents in money and CO2."""

from __future__ import annotations

from itertools import groupby

from assistant import wire
from assistant.history import ledger
from assistant.history.store import History
from assistant.meter.prices import Prices

SCOPE = (
    "joules are of the answers' own passes; those of each basis (measured, modelled, simulated) are summed apart",
    "cloud: what a hosted model would have asked for the same tokens, as a reference; nothing is ever sent",
)


def cost_report(
    history: History, by: wire.CostBy, since: str | None, prices: Prices, notes: list[str]
) -> wire.CostReport:
    """`since`: an ISO date or None for all. Days newest first, chats by last change, devices by name."""
    rows = history.cost_rows(since)
    total = ledger.totals_of(rows)
    if by == "session":
        found = _by_session(history, since, rows)
    else:
        label = (lambda r: r["day"]) if by == "day" else (lambda r: f"{r['backend']} {r['precision']}".rstrip())
        groups = groupby(sorted(rows, key=label, reverse=by == "day"), label)
        found = [(name, name, ledger.totals_of(group)) for name, group in groups]
    return wire.CostReport(
        by=by, since=since, total=total, equivalents=prices.equivalents(total),
        rows=[wire.CostRow(key=k, label=name, totals=t, equivalents=prices.equivalents(t)) for k, name, t in found],
        notes=[*notes, *prices.notes(), *SCOPE],
    )  # fmt: skip


def _by_session(history: History, since: str | None, rows: list) -> list[tuple[str, str, wire.CostTotals]]:
    chats = history.cost_of_chats(since)
    found = [(chat.id, chat.title or "(no title)", totals) for chat, totals in chats]
    api = ledger.totals_of(r for r in rows if r["source"] == "api")
    in_chats = ledger.totals_of(r for r in rows if r["source"] == "chat")
    deleted = ledger.less(in_chats, (totals for _, totals in chats))
    if deleted.answers:
        found.append(("", "(deleted chats)", deleted))
    if api.answers:
        found.append(("", "(requests without a chat)", api))
    return found
