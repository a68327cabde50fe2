"""Plots made of characters: bars by basis, and options in a plane; the mark says what a point is, not its colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.content import Content

BAR_MARKS = {"measured": "█", "modelled": "▒", "simulated": "◇", "": "█"}
"""By basis; the empty one is for counts."""


def bars(labels: Sequence[str], series: Mapping[str, Sequence[float]], width: int, height: int) -> Content:
    """Groups of bars side by side, the oldest left; one series for each basis that occurs."""
    import plotext

    shown = {basis: values for basis, values in series.items() if any(values)}
    if not labels or not shown or height < 4:
        return Content("")
    _begin(plotext, width, height)
    share = 0.8 / len(shown)
    for n, (basis, values) in enumerate(shown.items()):
        places = [x + (n - (len(shown) - 1) / 2) * share for x in range(len(labels))]
        plotext.bar(places, list(values), marker=BAR_MARKS[basis], width=share)
    every = max(1, -(-len(labels) * 8 // max(width - 8, 1)))  # a label takes about eight cells
    plotext.xticks(list(range(0, len(labels), every)), list(labels)[::every])
    return _finish(plotext, {BAR_MARKS[basis]: "$primary" if basis == "measured" else "$accent" for basis in shown})


def plane(
    points: Mapping[str, Sequence[tuple[float, float]]], marks: Mapping[str, tuple[str, str]],
    x_words: str, y_words: str, width: int, height: int,
) -> Content:  # fmt: skip
    """Points by kind on two logarithmic axes; `marks` gives each kind its character and colour, the last on top."""
    import plotext

    if not any(points.values()) or height < 5:
        return Content("")
    _begin(plotext, width, height)
    plotext.xscale("log")
    plotext.yscale("log")
    for kind, (mark, _) in marks.items():
        if found := points.get(kind):
            plotext.scatter([x for x, _ in found], [y for _, y in found], marker=mark)
    plotext.xlabel(x_words)
    plotext.ylabel(y_words)
    return _finish(plotext, dict(marks.values()))


def _begin(plotext, width: int, height: int) -> None:
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(width, height)


def _finish(plotext, colours: Mapping[str, str]) -> Content:
    text = plotext.uncolorize(plotext.build())
    lines = [line.rstrip() for line in text.splitlines()]
    content = Content("\n".join(lines))
    for index, character in enumerate(content.plain):
        if character in colours:
            content = content.stylize(colours[character], index, index + 1)
    return content
