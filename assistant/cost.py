"""`assistant cost`: what the answers have cost, from the daemon if one runs, else from its history."""

from __future__ import annotations

import click

from assistant import paths, wire
from assistant.errors import UsageError
from assistant.tables import si, table
from assistant.wire import BASIS_GLYPH

SMALLEST = 1e-6
NOTHING = "Nothing has been answered yet. `assistant ask hello` is a beginning."


@click.command("cost")
@click.option("--since", metavar="DAY", help="today, yesterday, 7d, 2w, 2026-11, 2026-11-23 or all (the default).")
@click.option("--by", type=click.Choice(["day", "session", "backend"]), default="day", show_default=True,
              help="What a row stands for.")  # fmt: skip
@click.option("--sources", is_flag=True, help="Also tell where each price and each joule comes from.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def command(since: str | None, by: wire.CostBy, sources: bool, as_json: bool) -> None:
    """Show what the answers have cost: time, bytes, joules, and what those stand for in money and CO2.

    Days are kept as sums, also of chats that were deleted; nothing else of a deleted chat remains. Prices and grid are
    dated figures that you can change in prices.toml beside your config.toml.
    """
    report = _ask(by, since)
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    elif not report.total.answers:
        click.echo(NOTHING if report.since is None else f"Nothing was answered since {report.since}.")
    else:
        _print(report, sources)


def _ask(by: wire.CostBy, since: str | None) -> wire.CostReport:
    from assistant.history.ledger import since_day

    try:
        day = since_day(since)
    except ValueError as error:
        raise UsageError(str(error)) from error
    from assistant.launch import accepts

    if accepts(paths.socket_path()):
        from assistant.client import call

        return call(lambda client: client.cost(by, day))
    from assistant.history import History
    from assistant.history.costs import cost_report
    from assistant.meter import prices

    table_of_prices = prices.load()
    history = History(file if (file := paths.history_file()).exists() else None)
    try:
        return cost_report(history, by, day, table_of_prices, [])
    finally:
        history.close()


def _print(report: wire.CostReport, sources: bool) -> None:
    rows = [*report.rows]
    if len(rows) > 1:
        rows.append(wire.CostRow(key="", label="total", totals=report.total, equivalents=report.equivalents))
    currency = report.equivalents.currency
    head = (report.by, "answers", "read", "written", "tok/s", "time", "moved", "energy", "J/token", "electricity",
            "CO2", f"cloud, {currency}")  # fmt: skip
    table(head, [_cells(row) for row in rows], right=range(1, 12))
    click.echo("\nwhere the time went")
    total = report.total
    parts = [(name, getattr(total, f"{name}_s")) for name in ("queue", "prefill", "decode", "sample", "text", "other")]
    click.echo("  " + ", ".join(f"{name} {si(s, 's')} ({s / (total.elapsed_s or 1):.0%})" for name, s in parts))
    click.echo(
        "\n~ modelled, ◇ simulated, no mark: measured. read: tokens of prompts. cloud: a reference, nothing is sent."
    )
    if sources:
        for note in report.notes:
            click.echo(f"  {note}")
    else:
        click.echo("`assistant cost --sources` tells where the figures come from.")


def _cells(row: wire.CostRow) -> tuple[str, ...]:
    t, e = row.totals, row.equivalents
    label = row.label if len(row.label) <= 32 else row.label[:31] + "…"
    speed = f"{t.completion_tokens / t.decode_s:.0f}" if t.decode_s and t.completion_tokens else "-"
    per_token = {b: j / t.completion_tokens for b, j in t.energy_j.items()} if t.completion_tokens else {}
    # One basis only: joules of several bases have no tokens of their own here.
    shown = _each(per_token, "J") if len(per_token) == 1 else "-"
    return (label, f"{t.answers:,}", f"{t.prompt_tokens + t.cached_tokens:,}", f"{t.completion_tokens:,}", speed,
            si(t.elapsed_s, "s"), si(t.bytes_moved, "B"), _each(t.energy_j, "J"), shown,
            " + ".join(BASIS_GLYPH[b] + money(v, e.currency) for b, v in e.electricity.items()), _each(e.co2_g, "g"),
            _band(e.cloud_low, e.cloud_high))  # fmt: skip


def _each(values: dict[wire.Basis, float], unit: str) -> str:
    return " + ".join(BASIS_GLYPH[basis] + si(value, unit) for basis, value in values.items()) or "-"


def money(value: float, currency: str) -> str:
    """Digits that a person can read; nothing below a millionth."""
    if 0 < value < SMALLEST:
        return f"< 0.000001 {currency}"
    digits = 2 if value >= 1 else 4 if value >= 0.01 else 6
    return f"{value:.{digits}f} {currency}"


def _band(low: float, high: float) -> str:
    digits = 2 if high >= 1 else 4 if high >= 0.01 else 6
    return f"{low:.{digits}f}-{high:.{digits}f}"
