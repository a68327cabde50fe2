"""What answers have cost, added up by day: anonymous sums that outlive the chats they came from.

Each answer is added to its day once, in the transaction that stores it; the cost of a single answer stays with its
message. So the messages of a day sum up to the day until a chat is deleted, and the day keeps the whole afterwards.
"""

from __future__ import annotations

import datetime
import re
import sqlite3
from collections.abc import Iterable
from typing import Any

import msgspec

from assistant import wire

SUMMED = ("prompt_tokens", "cached_tokens", "completion_tokens", "elapsed_s", "queue_s", "prefill_s", "decode_s",
          "sample_s", "text_s", "other_s", "store_s", "macs", "bytes_moved", "device_s", "energy_j")  # fmt: skip
_KEY = "day, source, backend, precision, basis, energy_basis"
_ADD = (
    f"INSERT INTO cost_days({_KEY}, answers, {', '.join(SUMMED)}) VALUES (?,?,?,?,?,?,1{',?' * len(SUMMED)})"
    f" ON CONFLICT({_KEY}) DO UPDATE SET answers = answers + 1,"
    + ",".join(f"{name} = {name} + excluded.{name}" for name in SUMMED)
)


def day_of(at: float | None = None) -> str:
    """The local day of a time (default: now), as ISO date."""
    return datetime.datetime.fromtimestamp(at).astimezone().date().isoformat() if at else _today().isoformat()


def add(db: sqlite3.Connection, day: str, source: str, cost: wire.Cost) -> None:
    """Add one answer to its day; inside the caller's transaction. source: chat | api."""
    key = (day, source, cost.backend, cost.precision, cost.basis, cost.energy_basis)
    db.execute(_ADD, (*key, *(getattr(cost, name) for name in SUMMED)))


def totals_of(rows: Iterable[sqlite3.Row]) -> wire.CostTotals:
    """The sum of rows of cost_days."""
    total = wire.CostTotals()
    for row in rows:
        _plus(total, row, row["answers"], row["basis"], row["energy_basis"])
    return total


def totals_of_costs(costs: Iterable[wire.Cost]) -> wire.CostTotals:
    total = wire.CostTotals()
    for cost in costs:
        _plus(total, msgspec.structs.asdict(cost), 1, cost.basis, cost.energy_basis)
    return total


def less(total: wire.CostTotals, parts: Iterable[wire.CostTotals]) -> wire.CostTotals:
    """What of a total is in none of its parts; rounding never makes it negative."""
    rest = msgspec.convert(msgspec.to_builtins(total), wire.CostTotals)
    for part in parts:
        for name in ("answers", *SUMMED):
            mine, theirs = getattr(rest, name), getattr(part, name)
            if isinstance(mine, dict):
                for basis, value in theirs.items():
                    mine[basis] = max(0.0, mine.get(basis, 0.0) - value)
            else:
                setattr(rest, name, max(0, mine - theirs))
    return rest


def since_day(text: str | None, today: datetime.date | None = None) -> str | None:
    """`today`, `yesterday`, `7d`, `2w`, `2026-11`, `2026-11-23` as an ISO date; `all` and None as None.

    `7d` is the last seven days with today. Raises ValueError saying what is understood.
    """
    today = today or _today()
    word = (text or "all").strip().lower()
    if word == "all":
        return None
    if word in ("today", "yesterday"):
        return (today - datetime.timedelta(days=word == "yesterday")).isoformat()
    if match := re.fullmatch(r"(\d{1,4})([dw])", word):
        days = int(match[1]) * (7 if match[2] == "w" else 1)
        return (today - datetime.timedelta(days=max(days, 1) - 1)).isoformat()
    try:
        return datetime.date.fromisoformat(f"{word}-01" if re.fullmatch(r"\d{4}-\d\d", word) else word).isoformat()
    except ValueError:
        raise ValueError(f"'{text}' is no day: write today, yesterday, 7d, 2w, 2026-11, 2026-11-23 or all") from None


def _plus(total: wire.CostTotals, row: Any, answers: int, basis: wire.Basis, energy_basis: wire.Basis) -> None:
    total.answers += answers
    for name in SUMMED:
        if name == "device_s":
            total.device_s[basis] = total.device_s.get(basis, 0.0) + row[name]
        elif name == "energy_j":
            total.energy_j[energy_basis] = total.energy_j.get(energy_basis, 0.0) + row[name]
        else:
            setattr(total, name, getattr(total, name) + row[name])


def _today() -> datetime.date:
    return datetime.datetime.now().astimezone().date()
