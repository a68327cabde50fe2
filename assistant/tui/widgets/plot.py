"""A plot that is drawn anew for the room it gets."""

from __future__ import annotations

from collections.abc import Callable

from textual.content import Content
from textual.widget import Widget

Draw = Callable[[int, int], Content]
"""(width, height) in cells -> the picture."""


class Plot(Widget):
    def __init__(self, draw: Draw | None = None, **options) -> None:
        super().__init__(**options)
        self._draw = draw
        self._drawn: tuple[Draw | None, int, int] | None = None
        self._picture = Content("")

    def show(self, draw: Draw) -> None:
        self._draw = draw
        self.refresh()

    def render(self) -> Content:
        asked = (self._draw, self.size.width, self.size.height)
        if asked != self._drawn:
            self._drawn = asked
            self._picture = self._draw(*asked[1:]) if self._draw else Content("")
        return self._picture
