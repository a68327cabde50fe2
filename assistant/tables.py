"""Plain tables and numbers for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

import click

PREFIXES = (
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
    (1e-12, "p"),
)


def si(value: float, unit: str = "") -> str:
    """Three digits and a prefix: 24.1 GB/s, and 79.7 M weights where the unit is a word."""
    if value == 0:
        return f"0 {unit}".rstrip()
    factor, prefix = next((p for p in PREFIXES if abs(value) >= p[0] * 0.9995), PREFIXES[-1])
    scaled = value / factor
    digits = 0 if abs(scaled) >= 100 else 1 if abs(scaled) >= 10 else 2
    word = len(unit.partition("/")[0]) > 4
    return f"{scaled:.{digits}f} {prefix}{' ' if word and prefix else ''}{unit}".rstrip()


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Print aligned columns; `right`: indices of columns that are aligned to the right."""
    widths = [max(len(str(r[i])) for r in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        cells = (f"{c:>{w}}" if i in right else f"{c:<{w}}" for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        click.echo("  ".join(cells).rstrip())


def pairs(items: Sequence[tuple[str, str]], indent: str = "  ") -> None:
    width = max((len(key) for key, _ in items), default=0)
    for key, value in items:
        click.echo(f"{indent}{key:<{width}}  {value}")
