"""The trade-offs of a plan as a plot: time against energy per token, on logarithmic axes."""

from __future__ import annotations

import math
from html import escape

from assistant.planning.plan import Plan
from assistant.solver.problem import Option

KINDS = (("chosen", "#067"), ("best trade-offs", "#c60"), ("others", "#999"), ("simulated", "#83c"))


def points(plan: Plan) -> dict[str, list[tuple[float, float, str]]]:
    """Kind -> (ms per token, J per token, name); one point for options that differ in slots only."""
    found: dict[str, list[tuple[float, float, str]]] = {kind: [] for kind, _ in KINDS}
    front, seen = {o.name.split(", ")[0] for o in plan.front}, set()
    options = ([plan.choice] if plan.choice else []) + list(plan.options)
    for option in options:
        family, ms, joules = (
            option.name.split(", ")[0],
            option.value("ms_per_token"),
            option.value("joules_per_token"),
        )
        if family in seen or not ms or not joules:
            continue
        seen.add(family)
        found[_kind(option, plan, family in front)].append((ms, joules, family))
    return found


def _kind(option: Option, plan: Plan, on_front: bool) -> str:
    if option is plan.choice:
        return "chosen"
    return "simulated" if option.simulated else "best trade-offs" if on_front else "others"


def terminal(plan: Plan, width: int = 78, height: int = 18) -> str:
    """Raises ImportError where plotext is missing."""
    import plotext

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(width, height)
    plotext.title("energy over time per token (modelled, simulated)")
    plotext.xlabel("ms per token")
    plotext.ylabel("mJ per token")
    plotext.xscale("log")
    plotext.yscale("log")
    marks = {"chosen": "●", "best trade-offs": "+", "others": "·", "simulated": "◇"}
    for kind, found in points(plan).items():
        if found:
            xs, ys, _ = zip(*found, strict=True)
            plotext.scatter(list(xs), [y * 1e3 for y in ys], marker=marks[kind], label=f"{marks[kind]} {kind}")
    return plotext.build()


def picture(plan: Plan) -> str:
    """The same as SVG."""
    found, width, height = points(plan), 720, 440
    left, right, top, bottom = 80, width - 20, 40, height - 60
    everything = [p for kind in found.values() for p in kind] or [(1.0, 1.0, "")]
    x = _axis([p[0] for p in everything], left, right)
    y = _axis([p[1] * 1e3 for p in everything], bottom, top)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#333"/>',
    ]
    for value, at in x.ticks:
        out.append(f'<text x="{at:.0f}" y="{bottom + 16}" text-anchor="middle">{value:g}</text>')
    for value, at in y.ticks:
        out.append(f'<text x="{left - 6}" y="{at + 4:.0f}" text-anchor="end">{value:g}</text>')
    for i, (kind, colour) in enumerate(KINDS):
        out.append(f'<circle cx="{left + 150 * i + 10}" cy="18" r="4" fill="{colour}"/>')
        out.append(f'<text x="{left + 150 * i + 20}" y="22">{kind}</text>')
        for ms, joules, name in found[kind]:
            at_x, at_y = x(ms), y(joules * 1e3)
            out.append(f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="4" fill="{colour}"/>')
            if kind != "others":
                out.append(f'<text x="{at_x + 6:.1f}" y="{at_y - 5:.1f}" fill="{colour}">{escape(name)}</text>')
    middle = (left + right) / 2
    out.append(f'<text x="{middle}" y="{height - 16}" text-anchor="middle">ms per token (modelled or simulated)</text>')
    turned = f'transform="rotate(-90 18 {height / 2})"'
    out.append(
        f'<text x="18" y="{height / 2}" text-anchor="middle" {turned}>mJ per token (modelled or simulated)</text>'
    )
    return "\n".join([*out, "</svg>"]) + "\n"


class _axis:
    """A logarithmic scale from values to pixels, a little wider than the values."""

    def __init__(self, values: list[float], start: float, end: float):
        low, high = math.log10(min(values)) - 0.1, math.log10(max(values)) + 0.3
        self._low, self._span, self._start, self._end = low, max(high - low, 1e-9), start, end
        decades = range(math.ceil(low), math.floor(high) + 1)
        steps = (1, 2, 5) if len(decades) < 3 else (1,)
        marks = [m * 10.0**d for d in range(math.floor(low), math.ceil(high) + 1) for m in steps]
        self.ticks = [(m, self(m)) for m in marks if low <= math.log10(m) <= high]

    def __call__(self, value: float) -> float:
        return self._start + (self._end - self._start) * (math.log10(value) - self._low) / self._span
