"""What a model wrote, as one widget: Markdown of any length that grows at its end and draws only what is seen."""

from __future__ import annotations

from itertools import accumulate
from typing import ClassVar

from textual.content import Content, Span
from textual.geometry import Region, Size
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.visual import Visual
from textual.widget import Widget

from assistant.tui.markdown import Code, Line, blocks
from assistant.tui.messages import LinkClicked


class Prose(Widget):
    HELP = "A reply: Markdown with lists, tables and code. A click on a link copies it; nothing is opened."
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "h1", "h2", "h3", "h4", "h5", "h6",
        "em", "strong", "s", "code_inline", "bullet", "quote", "fence", "th", "rule", "chosen",
    }  # fmt: skip

    def __init__(self, source: str = "") -> None:
        super().__init__()
        self.source = source
        self._blocks = blocks(source)
        self._tail = self._offset(0)  # in the source: where the last block begins, the only one that may change
        self._width = 0
        self._lines: list[Line] = []  # drawn at that width
        self._starts: list[int] = []  # of each block, in the lines
        self._strips: dict[int, Strip] = {}  # of those lines that were on the screen already
        self._chosen: Code | None = None

    def append(self, piece: str) -> None:
        """Add to the end; all before the last block stays as it is drawn."""
        self.source += piece
        before, offset = len(self._lines), self._tail
        last = len(self._blocks[:-1])
        self._blocks[last:] = blocks(self.source[offset:])
        self._tail = self._offset(offset, last)
        if not self._width:
            self.refresh(layout=True)
            return
        began = self._starts[last] if last < len(self._starts) else before
        self._draw(last)
        if len(self._lines) != before:
            self.refresh(layout=True)
        else:  # nothing else on the screen has to move
            self.refresh(Region(0, began, self._width, before - began))

    def _offset(self, base: int, first: int = 0) -> int:
        """Where the last block begins; those from `first` on were read from `base` on."""
        if len(self._blocks) <= first:
            return base
        lines = self.source[base:].split("\n")[: self._blocks[-1].start]
        return base + sum(len(line) + 1 for line in lines)

    def _draw(self, first: int = 0) -> None:
        """Draw the blocks from this one on, each followed by an empty line."""
        begin = self._starts[first] if first < len(self._starts) else len(self._lines)
        drawn = [[*block.lines(self._width), Line(Content(""))] for block in self._blocks[first:]]
        self._starts[first:] = list(accumulate(map(len, drawn[:-1]), initial=begin)) if drawn else []
        self._lines[begin:] = [line for lines in drawn for line in lines]
        self._strips = {y: strip for y, strip in self._strips.items() if y < begin}

    # --- what Textual asks ---

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        if width != self._width:
            self._width = width
            self._strips.clear()
            self._draw()
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        if y >= len(self._lines):
            return Strip.blank(self._width, self.rich_style)
        if self.text_selection is None and (known := self._strips.get(y)):
            return known
        line = self._lines[y]
        text = line.text
        if line.code:
            # By name ("." and the class) a background that lets something through would come out grey.
            fence = self._style("fence")
            spans = [Span(s.start, s.end, fence) if s.style == ".fence" else s for s in text.spans]
            text = Content(text.plain, spans=spans)
            if line.code is self._chosen:
                text = text.stylize(Style(background=self.get_component_styles("chosen").background))
        selection = self.text_selection
        if selection and (span := selection.get_span(y)):
            start, end = span
            chosen = Style.from_styles(self.screen.get_component_styles("screen--selection"))
            text = text.stylize(chosen, start, len(text.plain) if end == -1 else end)
        strips = Visual.to_strips(self, text, self._width, 1, self.visual_style, apply_selection=False, pad=True)
        strip = (strips[0] if strips else Strip.blank(self._width, self.rich_style)).apply_offsets(0, y)
        if not selection:
            self._strips[y] = strip
        return strip

    def _style(self, name: str) -> Style:
        return Style.from_styles(self.get_component_styles(name))

    def notify_style_update(self) -> None:
        self._strips.clear()
        super().notify_style_update()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        return selection.extract("\n".join(line.text.plain.rstrip() for line in self._lines)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()

    def action_link(self, href: str) -> None:
        """A link that a model wrote must not open a browser by a click."""
        self.post_message(LinkClicked(href))

    # --- blocks of code ---

    @property
    def codes(self) -> list[Code]:
        return [code for block in self._blocks for code in block.codes]

    def choose(self, code: Code | None) -> Region | None:
        """Mark a block of code; the lines it takes in this widget."""
        self._chosen = code
        self._strips.clear()
        self.refresh()
        rows = [y for y, line in enumerate(self._lines) if code and line.code is code]
        return Region(0, rows[0], self._width, len(rows)) if rows else None
