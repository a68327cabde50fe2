"""HTML as blocks, by the standard library's parser: nothing is loaded, run or followed."""

from __future__ import annotations

from html.parser import HTMLParser

from assistant.documents.passages import Block

SILENT = {"script", "style", "template", "noscript", "svg", "head", "nav", "iframe", "object"}
BREAKS = {
    "p", "div", "li", "ul", "ol", "dl", "dt", "dd", "tr", "table", "thead", "tbody", "section", "article", "main",
    "header", "footer", "aside", "blockquote", "pre", "figure", "figcaption", "body", "html", "form", "hr", "title",
}  # fmt: skip
HEADINGS = {f"h{level}": level for level in range(1, 7)}


class _Reader(HTMLParser):
    """Collects text by blocks. Tags that hide text are counted, so that a page that never closes one loses the rest of
    it and no more."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self._lines: dict[int, list[str]] = {}
        self._hidden: list[str] = []
        self._level, self._in_title, self._titled = 0, False, False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title" and not self._titled:
            self.end_block()
            self._in_title = True
        elif tag == "body":
            self._hidden.clear()  # a head need not be closed
        elif tag in SILENT:
            self._hidden.append(tag)
        elif tag in HEADINGS:
            self.end_block()
            self._level = HEADINGS[tag]
        elif tag in BREAKS:
            self.end_block()
        elif tag in ("br", "td", "th"):
            self._add(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            if self._in_title:
                self._level, self._titled = 1, True
                self.end_block()
            self._in_title = False
        elif tag in self._hidden:
            del self._hidden[self._hidden.index(tag) :]
        elif tag in HEADINGS or tag in BREAKS:
            self.end_block()

    def handle_data(self, data: str) -> None:
        if self._in_title or not self._hidden:
            number = self.getpos()[0]
            for offset, part in enumerate(data.split("\n")):
                self._add(part, number + offset)

    def _add(self, text: str, number: int | None = None) -> None:
        if self._in_title or not self._hidden:
            self._lines.setdefault(number or self.getpos()[0], []).append(text)

    def end_block(self) -> None:
        lines = {number: " ".join("".join(parts).split()) for number, parts in self._lines.items()}
        lines = {number: text for number, text in lines.items() if text}
        title = self.blocks[0] if self.blocks and self.blocks[0].level == 1 else None
        if lines and not (self._level == 1 and title and title.lines == tuple(lines.values())):
            self.blocks.append(Block(tuple(lines.values()), tuple(lines), self._level))
        self._lines, self._level = {}, 0


def html(text: str) -> list[Block]:
    """Visible text of a page; line numbers are those of the source."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    reader.end_block()
    return reader.blocks
