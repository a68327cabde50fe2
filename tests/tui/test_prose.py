"""Markdown as lines, and as one widget that grows: whatever the pieces, the end is the same as in one go."""

from __future__ import annotations

import random

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.geometry import Offset
from textual.selection import Selection

from assistant.tui import markdown
from assistant.tui.markdown import Code, blocks
from assistant.tui.messages import LinkClicked
from assistant.tui.widgets.prose import Prose

TEXT = """# Title

Some **bold** and `code`, *em*, ~~gone~~ and a [link](http://example.com/) that is wrapped
over two lines.

- one item that is so long that it has to go on
- two
  1. nested
  2. list

     ```sh
     ls
     ```
- [x] done

> quoted words that are wrapped as well
> - with a list

```python
def f(x):
    return x  # a comment that goes beyond the edge
```

| a | right |
|---|------:|
| 1 | 22 |
| longer | 3 |

---
<b>shown</b> &amp; as it is

<div>
so is this
</div>

3. three
4. four
"""


def drawn(source: str, width: int = 40) -> list[str]:
    return [line.text.plain.rstrip() for block in blocks(source) for line in block.lines(width)]


def test_every_kind_of_block() -> None:
    assert drawn(TEXT) == [
        "                 Title",
        "Some bold and code, em, gone and a link",
        "that is wrapped over two lines.",
        "• one item that is so long that it has",
        "  to go on",
        "• two",
        "   1. nested",
        "   2. list",
        "",
        "        ls",
        "",
        "• [x] done",
        "▌ quoted words that are wrapped as well",
        "▌ • with a list",
        "",
        "  def f(x):",
        "      return x  # a comment that goes",
        "  beyond the edge",
        "",
        "a      │ right",
        "───────┼──────",
        "1      │    22",
        "longer │     3",
        "─" * 40,
        "<b>shown</b> & as it is",
        "<div>",
        "so is this",
        "</div>",
        " 3. three",
        " 4. four",
    ]


@pytest.mark.parametrize("width", [1, 8, 23, 40, 200])
def test_no_line_is_wider_than_there_is_room(width: int) -> None:
    room = max(width, 24)  # lists in lists get a least width each
    assert max(line.text.cell_length for block in blocks(TEXT) for line in block.lines(width)) <= room


def test_a_table_that_is_too_wide_wraps_its_cells_by_their_width() -> None:
    lines = drawn("| 漢字漢字 | b |\n|---|---|\n| x | y |", 10)
    assert max(map(cell_len, lines)) <= 10
    assert "".join("".join(lines).split()).count("漢") == 2


def test_a_language_is_never_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pygments tries all that it knows: a second, in which no key is answered."""
    from textual import highlight

    monkeypatch.setattr(highlight, "guess_language", lambda *_: pytest.fail("guessed"))
    assert not markdown.highlighted(Code("def f(): pass")).spans
    assert not markdown.highlighted(Code("def f(): pass", "unheard-of")).spans
    assert markdown.highlighted(Code("def f(): pass", "python")).spans


class Page(App[None]):
    CSS = "Prose { width: 1fr; height: auto; }"

    def __init__(self, source: str = "") -> None:
        super().__init__()
        self.prose, self.links = Prose(source), []

    def compose(self) -> ComposeResult:
        yield self.prose

    def on_link_clicked(self, event: LinkClicked) -> None:
        self.links.append(event.href)


async def test_pieces_become_what_the_whole_is() -> None:
    dice = random.Random(1)
    whole = Page(TEXT)
    async with whole.run_test(size=(44, 60)):
        expected = [line.text for line in whole.prose._lines]
        assert len(expected) > 30
    app = Page()
    async with app.run_test(size=(44, 60)) as pilot:
        for _ in range(4):
            rest = TEXT
            await app.prose.remove()
            app.prose = Prose()
            await app.mount(app.prose)
            while rest:
                cut = dice.randint(1, 30)
                app.prose.append(rest[:cut])
                rest = rest[cut:]
            await pilot.pause()
            assert app.prose.source == TEXT
            assert [line.text.plain for line in app.prose._lines] == [text.plain for text in expected]
            assert [code.text for code in app.prose.codes] == [code.text for code in whole.prose.codes]
            assert app.prose.size.height == len(expected)


async def test_it_follows_the_width_the_mouse_and_the_selection() -> None:
    app = Page("See [here](http://example.com/) for words that are long enough to be wrapped.\n\n```\nls\n```")
    async with app.run_test(size=(60, 20)) as pilot:
        prose = app.prose
        high = len(prose._lines)
        await pilot.resize_terminal(30, 20)
        await pilot.pause()
        assert len(prose._lines) > high
        assert prose.size.height == len(prose._lines)
        await pilot.click(prose, offset=(5, 0))
        await pilot.pause()
        assert app.links == ["http://example.com/"]
        found = prose.get_selection(Selection(Offset(0, 0), Offset(8, 0)))
        assert found == ("See here", "\n")
        rows = prose.choose(prose.codes[0])
        assert rows
        assert prose._lines[rows.y + 1].text.plain.strip() == "ls"
