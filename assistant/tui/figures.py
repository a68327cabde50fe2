"""Figures as people read them: three digits, a unit, and for energy how it is known."""

from __future__ import annotations

from assistant import wire

BASIS_GLYPH: dict[str, str] = {"measured": "", "modelled": "~", "simulated": "◇"}
"""Before a number; the word behind it says the same for those who do not know the glyph."""

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


def cost_parts(cost: wire.Cost) -> list[tuple[int, str]]:
    """The strip's figures in the order shown, each with its rank when room is short."""
    parts: list[tuple[int, str]] = []
    if cost.tok_s is not None:
        parts.append((0, f"{digits(cost.tok_s)} tok/s"))
    if cost.ms_per_token is not None:
        parts.append((2, f"{digits(cost.ms_per_token)} ms/token"))
    if cost.ttft_s is not None:
        parts.append((3, f"TTFT {si(cost.ttft_s, 's')}"))
    tokens = cost.completion_tokens
    parts.append((4, f"{tokens} token" + ("" if tokens == 1 else "s")))
    parts.append((1, energy(cost)))
    if tokens:
        per_token = si(cost.energy_j / tokens if cost.j_per_token is None else cost.j_per_token, "J/token")
        parts.append((6, f"{BASIS_GLYPH[cost.energy_basis]}{per_token}"))
    if cost.wall_share is not None:
        parts.append((7, f"{cost.wall_share:.0%} of the wall"))
    if cost.simulated and tokens:
        chip = si(cost.device_s / tokens, "s/token")
        parts.append((5, f"chip {BASIS_GLYPH[cost.basis]}{chip}"))
    return parts


def fit(parts: list[tuple[int, str]], width: int, separator: str = "  ·  ") -> str:
    """The parts that fit into `width` cells; the least important are dropped whole, none is cut."""
    kept = list(parts)
    while len(kept) > 1 and len(separator.join(text for _, text in kept)) > width:
        kept.remove(max(kept))
    return separator.join(text for _, text in kept)
