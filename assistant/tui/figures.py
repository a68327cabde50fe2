"""Figures as people read them: three digits, a unit, and for energy how it is known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from assistant import wire
from assistant.wire import BASIS_GLYPH

Part = tuple[int, str]
"""A figure, after its rank: the highest ranks go first when room is short."""

GAUGE_CELLS, SPARK_CELLS = 10, 16
_EIGHTHS, _BARS = " ▏▎▍▌▋▊▉", "▁▂▃▄▅▆▇█"

_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


def digits(value: float) -> str:
    """Three significant digits, never in exponent form."""
    size = abs(value)
    return f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def si(value: float, unit: str) -> str:
    if value == 0:
        return f"0 {unit}"
    factor, prefix = next((p for p in _PREFIXES if abs(value) >= p[0] * 0.9995), _PREFIXES[-1])
    return f"{digits(value / factor)} {prefix}{unit}"


def count(value: float) -> str:
    """3.1M for 3,100,000."""
    factor, suffix = next(((f, s) for f, s in ((1e9, "B"), (1e6, "M"), (1e3, "k")) if value >= f), (1, ""))
    return f"{value / factor:.3g}{suffix}"


def energy(cost: wire.Cost) -> str:
    return f"{BASIS_GLYPH[cost.energy_basis]}{si(cost.energy_j, 'J')} {cost.energy_basis}"


def joules(by_basis: Mapping[str, float]) -> str:
    """Joules of each basis by themselves: a modelled joule is not added to a measured one."""
    return " + ".join(f"{BASIS_GLYPH[basis]}{si(j, 'J')}" for basis, j in by_basis.items()) or "0 J"


def money(low: float, high: float, currency: str) -> str:
    """A band of prices, in cents' fractions if need be."""
    sign = "$" if currency == "USD" else f"{currency} "
    if high <= 0:
        return f"{sign}0"
    places = max(2, 1 - math.floor(math.log10(high)))
    ends = [f"{value:.{places}f}" for value in (low, high)]
    return f"{sign}{ends[0]}" if ends[0] == ends[1] else f"{sign}{ends[0]}–{ends[1]}"


def gauge(share: float, cells: int) -> str:
    """A bar of `cells` characters, exact to an eighth of one; an arrow at its end where the share is above 1."""
    if share > 1:
        return "█" * (cells - 1) + "▶"
    eighths = round(max(share, 0) * cells * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(cells, "░")


def sparkline(values: Sequence[float], cells: int) -> str:
    """The last `cells` values from zero to their maximum."""
    shown = [max(v, 0.0) for v in values][-cells:]
    top = max(shown, default=0.0)
    return "".join(_BARS[round(v / top * 7)] for v in shown) if top else ""


def rate_parts(cost: wire.Cost, history: Sequence[float] = (), short: bool = False) -> list[Part]:
    """The first line of the strip: how fast, and against which wall."""
    parts: list[Part] = []
    if cost.tok_s is not None:
        parts.append((0, f"{digits(cost.tok_s)} tok/s"))
    if len(history) > 2:
        parts.append((6, sparkline(history, SPARK_CELLS)))
    if cost.wall_share is not None and cost.wall_gb_s is not None:
        bar = f"▕{gauge(cost.wall_share, GAUGE_CELLS)}▏"
        top = "" if short else f" of {digits(cost.wall_gb_s)} GB/s"
        parts.append((2, f"wall {bar}{cost.wall_share:.0%}{top}"))
    elif cost.simulated:
        parts.append((5, "wall: not for a simulated device"))
    if cost.ms_per_token is not None:
        spread = ""
        if cost.ms_per_token_p50 is not None and cost.ms_per_token_p95 is not None:
            spread = f" p50 {digits(cost.ms_per_token_p50)} p95 {digits(cost.ms_per_token_p95)}"
        parts.append((3, f"{digits(cost.ms_per_token)} ms/token{spread}"))
    if cost.ttft_s is not None:
        parts.append((4, f"TTFT {si(cost.ttft_s, 's')}"))
    return parts


def cost_parts(cost: wire.Cost) -> list[Part]:
    """The second line: what this answer has taken."""
    tokens, parts = cost.completion_tokens, []
    parts.append((4, f"{tokens} token" + ("" if tokens == 1 else "s")))
    parts.append((1, energy(cost)))
    if tokens:
        per_token = cost.j_per_token if cost.j_per_token is not None else cost.energy_j / tokens
        parts.append((5, f"{BASIS_GLYPH[cost.energy_basis]}{si(per_token, 'J/token')}"))
    if cost.bytes_per_token:
        flow = f" at {digits(cost.gb_s)} GB/s" if cost.gb_s is not None else ""
        parts.append((6, f"{si(cost.bytes_per_token, 'B/token')}{flow}"))
    if cost.simulated and tokens:
        chip = si(cost.device_s / tokens, "s/token")
        parts.append((3, f"chip {BASIS_GLYPH[cost.basis]}{chip}"))
    return parts


def fit(parts: Sequence[Part], width: int, separator: str = " · ") -> str:
    """The parts that fit into `width` cells; the least important are dropped whole, none is cut."""
    kept = list(parts)
    airy = f" {separator} ".join(text for _, text in kept)
    if separator.strip() and len(airy) <= width:
        return airy
    while len(kept) > 1 and len(separator.join(text for _, text in kept)) > width:
        kept.remove(max(kept))
    return separator.join(text for _, text in kept)
