"""`assistant bench --calibrate`: measure this machine so that plans rest on it and not on assumptions."""

from __future__ import annotations

import sys
import time

import click

from assistant.models.store import Store
from assistant.planning import calibration
from assistant.planning.calibrate import QUICK_SHAPES, SHAPES, Task, calibrate, tasks
from assistant.planning.calibration import Calibration
from assistant.tables import table

USUAL = ("int8", "int4")


@click.command("bench")
@click.option("--calibrate", "keep", is_flag=True, help="Keep the measurements: plans then rest on them.")
@click.option("--quick", is_flag=True, help="Two small shapes instead of four; predictions of large models suffer.")
@click.option("--all-precisions", is_flag=True, help="Also fp32, bf16 and fp16, which takes three times as long.")
@click.option("--backend", "backends", multiple=True, help="Only this one; may be repeated.  [default: all real ones]")
@click.option("--threads", multiple=True, type=click.IntRange(min=1), help="Only this many; may be repeated.")
def command(keep: bool, quick: bool, all_precisions: bool, backends: tuple[str, ...], threads: tuple[int, ...]) -> None:
    """Measure read bandwidth, and time per token by backend, precision and threads.

    Takes about a minute, and the machine should have nothing else to do. Models of the store are measured themselves;
    random weights of a few shapes give the laws for all others.
    """
    store = Store()
    manifests = store.list()
    open_as = [lambda precision, name=m.name: store.open(name, precision) for m in manifests]
    precisions = () if all_precisions else tuple(dict.fromkeys((*USUAL, *(p for m in manifests for p in m.weights))))
    wanted = tasks(open_as, manifests, QUICK_SHAPES if quick else SHAPES, backends, precisions)
    found = calibrate(wanted, _Progress(wanted), threads or None)
    _tell(found, {m.source.sha256: m.name for m in manifests})
    if keep:
        click.echo(f"kept in {calibration.save(found)}", err=True)
    else:
        click.echo("not kept: --calibrate keeps it for plans", err=True)


class _Progress:
    """A line that is rewritten in a terminal, one line per task elsewhere."""

    def __init__(self, wanted: list[Task]):
        self._left, self._began = len(wanted), time.monotonic()
        self._done = 0

    def __call__(self, text: str) -> None:
        line = f"[{self._done}/{self._left}] {text}"
        self._done += not text.startswith("left out")
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[K{line}", nl=False, err=True)
            if self._done == self._left:
                click.echo("", err=True)
        else:
            click.echo(line, err=True)


def _tell(found: Calibration, names: dict[str, str]) -> None:
    click.echo(f"{found.machine}; medians, {found.measured_at}")
    rows = []
    for p in found.points:
        what = "prefill" if p.tokens > 1 else "decode" if p.batch == 1 else f"{p.batch} at once"
        tok_s = p.tokens * p.batch / p.seconds
        model = names.get(p.model, f"{p.layers} layers, {p.bytes_moved / 1e6:.0f} MB")
        rows.append((p.backend, p.precision, model, what,
                     str(p.threads), f"{p.seconds * 1e3:.3f}", f"{tok_s:.0f}",
                     f"{p.bytes_moved / p.seconds / 1e9:.1f}" if what == "decode" else ""))  # fmt: skip
    table(("backend", "precision", "model", "what", "threads", "ms a pass", "tok/s", "GB/s"), rows, right=(4, 5, 6, 7))
    for threads, reads in sorted(found.read_bytes_s.items()):
        for size, rate in reads:
            click.echo(f"reading {size / 1e6:.0f} MB on {threads} thread(s): {rate / 1e9:.1f} GB/s")
