"""`assistant selftest --all`: the ladder, and besides it every backend, every stored model and the database."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable

from assistant import paths
from assistant.models.store import Store
from assistant.selftest import netdown, parity, static
from assistant.selftest.report import PROVING, Check, Report, Rung, conclude


def everything(seconds: float, say: Callable[[str], None]) -> Report:
    started = time.time()
    ladder_report = netdown.network_down(seconds, say)
    say("every backend against the definition")
    rungs = [_timed("parity", lambda: parity.compare(Store().open("embedded"))[0])]
    say("the database")
    rungs.append(_timed("database", database))
    return conclude([*ladder_report.ladder, *rungs], static.versions(), os.getuid(), started,
                    ladder_report.listened_s, (*PROVING, "parity", "database"), "all")  # fmt: skip


def database() -> list[Check]:
    """SQLite's own check of the history, read only: a running daemon is not disturbed."""
    file = paths.history_file()
    if not file.exists():
        return [Check(name="history", ok=True, detail="there is none yet")]
    try:
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10) as db:
            found = [row[0] for row in db.execute("PRAGMA integrity_check(10)")]
            orphans = db.execute("PRAGMA foreign_key_check").fetchall()
            (messages,) = db.execute("SELECT count(*) FROM messages").fetchone()
    except sqlite3.Error as error:
        return [Check(name="history", ok=False, detail=str(error))]
    good = found == ["ok"]
    return [
        Check(name="history is whole", ok=good, detail=f"{messages} messages" if good else "; ".join(found)),
        Check(name="every message has its chat", ok=not orphans, detail=f"{len(orphans)} have none" if orphans else ""),
    ]


def _timed(name: str, work: Callable[[], list[Check]]) -> Rung:
    started = time.monotonic()
    rung = Rung.of(name, work())
    rung.seconds = time.monotonic() - started
    return rung
