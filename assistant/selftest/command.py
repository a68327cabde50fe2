"""`assistant selftest`: the ladder, everything else that can be checked, and the reports that were kept."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from assistant.errors import UsageError

as_json = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")


@click.group("selftest", invoke_without_command=True)
@click.option("--all", "everything", is_flag=True, help="network-down, parity of every backend, models, database.")
@click.option("--seconds", type=click.FloatRange(min=1), default=60.0, show_default=True, help="As of network-down.")
@as_json
@click.pass_context
def selftest(context: click.Context, everything: bool, seconds: float, as_json: bool) -> None:
    """Prove on this machine that the assistant works without a network, and calls nobody.

    Exit codes: 0 proven, 1 failed, 69 not proven here (the report says why).
    """
    if context.invoked_subcommand:
        return
    if not everything:
        raise UsageError("which test?", hint="`assistant selftest network-down`, or `assistant selftest --all`")
    from assistant.selftest.everything import everything as run

    _finish(run(seconds, _say), as_json, None)


@selftest.command("network-down")
@click.option("--seconds", type=click.FloatRange(min=1), default=60.0, show_default=True,
              help="Listen for so long; a report of less than 60 s says that it was short.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write the report (JSON) there too.")
@as_json
def network_down(seconds: float, output: Path | None, as_json: bool) -> None:
    """Climb the ladder: static, seccomp, honeypot, live. Needs no privileges and changes nothing."""
    from assistant.selftest.netdown import network_down as run

    _finish(run(seconds, _say), as_json, output)


@selftest.command("reports")
@click.option("--last", is_flag=True, help="Print the newest report whole.")
@as_json
def reports(last: bool, as_json: bool) -> None:
    """List the kept reports, the newest first."""
    import msgspec

    from assistant import proofs, wire
    from assistant.selftest.report import Report, to_text

    kept = proofs.history()[::-1]
    if last and kept:
        raw = kept[0].read_bytes()
        click.echo(raw.decode() if as_json else to_text(msgspec.json.decode(raw, type=Report)))
        return
    found = [(file, msgspec.json.decode(file.read_bytes(), type=wire.SelfTestSummary)) for file in kept]
    if as_json:
        click.echo(msgspec.json.encode([summary for _, summary in found]).decode())
        return
    for file, summary in found:
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(summary.finished_at))
        click.echo(f"{when}  {summary.verdict:<10}  {summary.why}  ({file})")
    if not found:
        click.echo("No report yet: assistant selftest network-down", err=True)


def _say(line: str) -> None:
    click.echo(line, err=True)


def _finish(report, as_json: bool, output: Path | None) -> None:
    from assistant import proofs
    from assistant.selftest.report import EXIT_CODES, to_json, to_text

    raw = to_json(report)
    try:
        kept = proofs.keep(raw, report.finished_at)
        _say(f"kept as {kept}")
    except OSError as error:  # the verdict is worth more than its copy
        _say(f"warning: the report could not be kept: {error}")
    if output:
        output.write_bytes(raw)
    click.echo(raw.decode() if as_json else to_text(report))
    sys.exit(EXIT_CODES[report.verdict])
