"""The roofline, in the terminal and as SVG: attainable rate over arithmetic intensity, both logarithmic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from assistant.tables import si

X_TICKS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)


@dataclass(frozen=True, slots=True)
class Roof:
    """A machine: rate = min(bandwidth x intensity, peak). peak None: unknown, so the slope goes on."""

    name: str
    bandwidth_bytes_s: float
    peak_macs_s: float | None = None
    measured: bool = False

    def at(self, macs_per_byte: float) -> float:
        slope = self.bandwidth_bytes_s * macs_per_byte
        return min(slope, self.peak_macs_s) if self.peak_macs_s else slope

    @property
    def ridge(self) -> float | None:
        """MAC/byte where memory stops being the limit."""
        return self.peak_macs_s / self.bandwidth_bytes_s if self.peak_macs_s else None


@dataclass(frozen=True, slots=True)
class Point:
    name: str
    macs_per_byte: float
    macs_s: float
    basis: str  # measured | modelled | simulated


MARKS = {"measured": "●", "modelled": "○", "simulated": "◇"}


def _span(roofs: Sequence[Roof], points: Sequence[Point]) -> tuple[float, float, float, float]:
    xs = [p.macs_per_byte for p in points] + [r.ridge for r in roofs if r.ridge]
    low_x, high_x = min([0.3, *(x / 1.5 for x in xs)]), max([30.0, *(x * 2 for x in xs)])
    ys = [p.macs_s for p in points] + [r.at(x) for r in roofs for x in (low_x, high_x if r.peak_macs_s else low_x)]
    return low_x, high_x, min(ys) / 1.5, max(ys) * 3


def _clipped(roof: Roof, low_x: float, high_x: float, high_y: float) -> list[tuple[float, float]]:
    """The corners of a roof inside of the plot."""
    end = min(high_x, high_y / roof.bandwidth_bytes_s) if roof.peak_macs_s is None else high_x
    middle = [roof.ridge] if roof.ridge and low_x < roof.ridge < high_x else []
    return [(x, roof.at(x)) for x in (low_x, *middle, max(end, low_x))]


def terminal(roofs: Sequence[Roof], points: Sequence[Point], width: int = 100, height: int = 24) -> str:
    """Lines of text without colours: the plot and, below it where it hides nothing, its legend."""
    import plotext

    low_x, high_x, low_y, high_y = _span(roofs, points)
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(width, height)
    plotext.xlim(math.log10(low_x), math.log10(high_x))
    plotext.ylim(math.log10(low_y), math.log10(high_y))
    legend, letters = [], iter("abcdefghijklmnopqrstuvwxyz")
    for roof in sorted(roofs, key=lambda r: r.measured):  # what is measured is drawn last, over the others
        mark = "·" if roof.measured else next(letters, "x")
        legend.append(f"{mark} {_label(roof)}")
        for (x0, y0), (x1, y1) in pairwise(_clipped(roof, low_x, high_x, high_y)):
            steps = [k / width for k in range(0, width + 1, 1 if roof.measured else 3)]
            xs = [math.log10(x0) + k * math.log10(x1 / x0) for k in steps]
            ys = [math.log10(y0) + k * math.log10(y1 / y0) for k in steps]
            plotext.scatter(xs, ys, marker=mark)
    for basis, mark in reversed(MARKS.items()):
        if some := [p for p in points if p.basis == basis]:
            xs, ys = ([math.log10(v) for v in values] for values in zip(*((p.macs_per_byte, p.macs_s) for p in some),
                                                                        strict=True))  # fmt: skip
            plotext.scatter(xs, ys, marker=mark)
            legend.append(f"{mark} {basis}: {', '.join(p.name for p in sorted(some, key=lambda p: p.macs_per_byte))}")
    ticks = [x for x in X_TICKS if low_x <= x <= high_x]
    plotext.xticks([math.log10(x) for x in ticks], [f"{x:g}" for x in ticks])
    decades = range(math.ceil(math.log10(low_y)), math.floor(math.log10(high_y)) + 1)
    plotext.yticks(list(decades), [si(10.0**d) for d in decades])
    text = plotext.uncolorize(plotext.build())
    title = "multiply-accumulates per second over multiply-accumulates per byte moved"
    return "\n".join([title, *(line.rstrip() for line in text.splitlines()), *legend])


def _label(roof: Roof) -> str:
    return f"{roof.name}: reads {si(roof.bandwidth_bytes_s, 'B/s')}, {'measured' if roof.measured else 'published'}"


def svg(title: str, roofs: Sequence[Roof], points: Sequence[Point]) -> str:
    """A drawing of its own: no script, no style sheet, nothing fetched."""
    width, height, left, right, top, bottom = 860, 520, 90, 20, 40, 460
    low_x, high_x, low_y, high_y = _span(roofs, points)

    def x(value: float) -> float:
        return left + (width - left - right) * math.log(value / low_x) / math.log(high_x / low_x)

    def y(value: float) -> float:
        return bottom - (bottom - top) * math.log(value / low_y) / math.log(high_y / low_y)

    def text(at_x: float, at_y: float, words: str, anchor: str = "start", colour: str = "#333", more: str = "") -> str:
        return (
            f'<text x="{at_x:.1f}" y="{at_y:.1f}" text-anchor="{anchor}" fill="{colour}"{more}>{escape(words)}</text>'
        )

    size = f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12"'
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        text(left, 22, title),
    ]
    for tick in X_TICKS:
        if low_x <= tick <= high_x:
            out += [f'<path d="M{x(tick):.1f} {top}V{bottom}" stroke="#eee"/>',
                    text(x(tick), bottom + 18, f"{tick:g}", "middle")]  # fmt: skip
    for decade in range(math.ceil(math.log10(low_y)), math.floor(math.log10(high_y)) + 1):
        at = y(10.0**decade)
        out += [f'<path d="M{left} {at:.1f}H{width - right}" stroke="#eee"/>',
                text(left - 8, at + 4, si(10.0**decade), "end")]  # fmt: skip
    slope = math.degrees(math.atan2(y(1.0) - y(10.0), x(10.0) - x(1.0)))  # of every roof: ten times the rate per decade
    for roof in roofs:
        colour, dash = ("#c33", "") if roof.measured else ("#999", ' stroke-dasharray="5 4"')
        corners = _clipped(roof, low_x, high_x, high_y)
        path = " L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in corners)
        at_x, at_y = x(low_x) + 6, y(roof.at(low_x)) - 8
        along = f' transform="rotate({-slope:.1f} {at_x:.1f} {at_y:.1f})"'
        out += [f'<path d="M{path}" fill="none" stroke="{colour}"{dash}/>',
                text(at_x, at_y, _label(roof), colour=colour, more=along)]  # fmt: skip
    colours = {"measured": "#067", "modelled": "#067", "simulated": "#a50"}
    for p in points:
        at_x, at_y, colour = x(p.macs_per_byte), y(p.macs_s), colours[p.basis]
        if p.basis == "simulated":
            out.append(f'<path d="M{at_x:.1f} {at_y - 6:.1f}l6 6l-6 6l-6 -6z" fill="white" stroke="{colour}"/>')
        else:
            fill = colour if p.basis == "measured" else "white"
            out.append(f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="4" fill="{fill}" stroke="{colour}"/>')
        side, anchor = (8, "start") if at_x < 0.75 * width else (-8, "end")
        out.append(text(at_x + side, at_y + 16, f"{p.name}, {p.basis}", anchor, colour))
    out.append(text((left + width) / 2, height - 14, "multiply-accumulates per byte moved", "middle"))
    turned = f' transform="rotate(-90 18 {height / 2})"'
    out.append(text(18, height / 2, "multiply-accumulates per second", "middle", more=turned))
    return "\n".join([*out, "</svg>"]) + "\n"
