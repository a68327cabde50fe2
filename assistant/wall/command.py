"""`assistant wall`: how fast a model can be at all, on this host, on others, and on chips that are not here."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import msgspec

from assistant.errors import AssistantError, UsageError
from assistant.tables import pairs, si, table
from assistant.wall.host import Host, last_level_cache_bytes, measure
from assistant.wall.machines import HOST, SMALL, SMALL_BYTES, Row, rows
from assistant.wall.plot import Point, Roof, svg, terminal
from assistant.wall.subject import Subject, subject
from assistant.wire import BASIS_GLYPH

GLYPH = BASIS_GLYPH | {"reference": "†"}
LEGEND = "no mark: measured here and now; ~ modelled; ◇ simulated chip; † published by others, a reference only."
PLOTTED = ("raspberry-pi-5", "apple-m4-mini", "rtx-3060", "rtx-4090")  # if nobody says which
PLOT_WIDTH = 100
MODEL_HELP = "MODEL is a model in the store, a file, or a published size: 0.1B, 0.4B, 1.5B, 2.9B, 7.2B."


@click.command(
    "wall", epilog="MODEL is a model in the store, a file, or a published size: 0.1B, 0.4B, 1.5B, 2.9B, 7.2B."
)
@click.option("--model", "name", default="embedded", show_default=True, metavar="MODEL")
@click.option("--precision", metavar="NAME", help="fp32, bf16, fp16, int8 or int4; as stored if not given.")
@click.option("--device", "devices", multiple=True, metavar="NAME", help="host, a machine or a chip; may be repeated.")
@click.option(
    "--measure/--no-measure", "run", default=None, help="Run the model here; by default if it is under 2 GiB."
)
@click.option("--fresh", is_flag=True, help="Measure the read bandwidth anew.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Write the roofline as FILE.svg as well.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def command(name: str, precision: str | None, devices: tuple[str, ...], run: bool | None, fresh: bool,
            plot_file: Path | None, as_json: bool) -> None:  # fmt: skip
    """Show the memory wall: bytes per token, bandwidth, and the tokens per second they allow.

    A language model reads all its weights for each token. What a machine can read per second divided by that is the
    most it can write, however fast it computes.
    """
    if plot_file and plot_file.suffix.lower() != ".svg":
        raise UsageError(f"cannot write '{plot_file}'", why="only SVG is drawn",
                         hint="Name a file that ends in .svg; most programs turn that into what you need")  # fmt: skip
    model = subject(name, precision)
    rows(model, None, devices)  # a misspelt device is told before anything is measured
    host = measure(model, run=run, fresh=fresh) if not devices or HOST in devices else None
    found = rows(model, host, devices)
    roofs, points = _drawing(model, host, found, devices)
    if plot_file:
        _write(plot_file, svg(f"{model.name} {model.precision}", roofs, points))
    if as_json:
        value = _value(model, host, found)
        click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
        return
    _print(model, host, found)
    if roofs:
        click.echo("\n" + terminal(roofs, points, PLOT_WIDTH))
    if plot_file:
        click.echo(f"\nwritten: {plot_file}", err=True)


def _print(model: Subject, host: Host | None, found: list[Row]) -> None:
    one = model.one("", 1, 1)
    click.echo(f"{model.name}, {model.precision}: a token moves {si(one.bytes_moved, 'B')} for {si(one.macs)} MAC.\n")
    table(("machine", "reads", "MB/token", "at most", "tok/s", "of its bandwidth", "J/token", ""), [
        (r.name, si(r.bandwidth_bytes_s, "B/s") if r.bandwidth_bytes_s else "-",
         f"{r.bytes_per_token / 1e6:.1f}" if r.bytes_per_token else "-",
         _rate(r.ideal_tok_s), GLYPH[r.basis] + _rate(r.tok_s) if r.tok_s else "-",
         f"{r.share:.0%}" if r.share else "-", GLYPH[r.energy_basis] + si(r.j_per_token, "J") if r.j_per_token else "-",
         r.note) for r in found
    ], right=range(1, 7))  # fmt: skip
    click.echo(f"\n{LEGEND}")
    if one.bytes_moved < SMALL_BYTES and any(r.basis == "modelled" for r in found):
        click.echo(SMALL[0].upper() + SMALL[1:] + ".")
    if host:
        _print_host(model, host)


def _print_host(model: Subject, host: Host) -> None:
    reading, ran = host.reading, {m.what.name: m for m in host.passes}
    when = time.strftime("%Y-%m-%d", time.localtime(reading.measured_at))
    click.echo("\nthis host")
    facts = [("read bandwidth", f"{si(reading.bytes_s, 'B/s')} over {si(reading.size_bytes, 'B')}, {reading.threads} "
              f"threads, measured {when} by {reading.source}")]  # fmt: skip
    cache = last_level_cache_bytes()
    if cache and reading.size_bytes < cache:
        facts.append(("", f"a last-level cache of {si(cache, 'B')} can hold that, so it may be faster than the memory"))
    if reading.busy:
        facts.append(("", "the machine had other work: it may read faster, `assistant wall --fresh` tries again"))
    if host.peak_macs_s:
        ridge = host.peak_macs_s / reading.bytes_s
        facts += [("highest rate seen", f"{si(host.peak_macs_s)} MAC/s, measured: a lower bound of what it could"),
                  ("ridge", f"{ridge:.1f} MAC/byte: below it memory is the limit, above it arithmetic")]  # fmt: skip
    pairs(facts)
    click.echo()
    roof, shown = _host_roof(host), []
    for p in model.passes():
        m, limit = ran.get(p.name), "arithmetic" if roof.ridge and p.macs_per_byte > roof.ridge else "memory"
        most = "~" + _rate(roof.at(p.macs_per_byte) / p.macs * p.tokens_out)
        seconds = dict(host.predicted_s).get(p.name)
        if m:
            here = (_rate(m.tok_s), si(m.bytes_s, "B/s"), f"{m.bytes_s / reading.bytes_s:.0%}")
        elif seconds:
            rate = p.bytes_moved / seconds
            here = ("~" + _rate(p.tokens_out / seconds), "~" + si(rate, "B/s"), f"~{rate / reading.bytes_s:.0%}")
        else:
            here = ("-", "-", "-")
        shown.append((p.name, f"{p.macs_per_byte:.2f}", limit, most, *here))
    head = ("pass", "MAC/byte", "limit", "roof, tok/s", "tok/s", "moves", "of the wall")
    table(head, shown, right=(1, 3, 4, 5, 6))
    if ran and (first := host.passes[0]).bytes_moved < 0.98 * first.what.bytes_moved:
        saved = 1 - first.bytes_moved / first.what.bytes_moved
        click.echo(f"{saved:.0%} of a token's bytes were not read at all: rows of weights whose input is zero.")


def _drawing(
    model: Subject, host: Host | None, found: list[Row], devices: tuple[str, ...]
) -> tuple[list[Roof], list[Point]]:
    """What the plot shows: this host and a few machines, or those asked for; every chip."""
    shown = devices or (HOST, *PLOTTED)
    roofs, points = [], []
    if host:
        roofs.append(roof := _host_roof(host))
        points += [Point(m.what.name, m.what.macs_per_byte, m.macs_s, "measured") for m in host.passes]
        if not host.passes:
            known = dict(host.predicted_s)
            rates = [
                (p, p.macs / known[p.name] if p.name in known else roof.at(p.macs_per_byte)) for p in model.passes()
            ]
            points += [Point(f"{p.name} here", p.macs_per_byte, rate, "modelled") for p, rate in rates]
    for r in found:
        if r.name == HOST or (r.basis != "simulated" and r.name not in shown):
            continue
        if r.basis == "modelled":
            roofs.append(Roof(r.name, r.bandwidth_bytes_s))
        if r.macs_s and r.bytes_per_token:
            points.append(Point(r.name, r.macs_s / r.tok_s / r.bytes_per_token, r.macs_s, r.basis))
    return roofs, points


def _host_roof(host: Host) -> Roof:
    return Roof("this host", host.reading.bytes_s, host.peak_macs_s, measured=True)


def _value(model: Subject, host: Host | None, found: list[Row]) -> dict[str, Any]:
    ran = {m.what.name: m for m in (host.passes if host else ())}
    value: dict[str, Any] = {
        "model": model.name, "precision": model.precision, "machines": [asdict(r) for r in found],
        "passes": [asdict(p) | {"macs_per_byte": p.macs_per_byte} for p in model.passes()],
    }  # fmt: skip
    if host:
        value["host"] = {
            "backend": host.backend, "read_bandwidth": msgspec.to_builtins(host.reading), "why_not_run": host.why_not,
            "peak_macs_s": host.peak_macs_s, "ridge_macs_per_byte": _host_roof(host).ridge,
            "predicted_s": dict(host.predicted_s),
            "measured": {n: {"tok_s": m.tok_s, "bytes_s": m.bytes_s, "macs_s": m.macs_s, "seconds": m.seconds,
                             "bytes_moved": m.bytes_moved} for n, m in ran.items()},
        }  # fmt: skip
    return value


def _rate(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise AssistantError("cannot write the plot", where=file, why=error.strerror) from error
