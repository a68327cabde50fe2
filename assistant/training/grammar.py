"""The dialogue grammar: a tiny text format with alternation and slots, its parser and its expander.

A grammar file holds blocks. A line that starts with a space continues the line above it; `#` opens a comment line.

    %animal: dog=puppy | cat=kitten      a table: rows by `|`, fields by `=`
    @baby_animal                         a block
    user: What is a baby {animal} called? | (What's|Tell me) the name for a baby {animal}
    reply: A baby {animal} is called a {animal.1}.
    next: Thanks | Cool                  a follow-up of the user ...
    answer: You're welcome!              ... and what is answered to it
    turn: And a baby cow?                the next turn of a dialogue told from its first turn to its last ...
    back: A calf.                        ... and what is answered to it

`|` separates alternatives, `(a|b|)` chooses inside one, `{table}` is a row's first field and `{table.1}` its second.
A row is drawn once per exchange, so a slot keeps its value over turns; `{table2}` draws a second, other row. A row may
hold slots itself. In a facts file a line `? question | question => answer | answer` is a whole block of its own.
`facts.txt` and `facts-more.txt` are one file in two parts: a block or table that stands in both gets the lines of both.
"""

import random
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

GRAMMAR_DIR = Path(__file__).parent / "grammar"
HELD_OUT_ONE_IN = 10
HELD_OUT_MIN_PHRASINGS = 6
ROWS_PER_WEIGHT = 8
REDRAWS = 20
FIRST_ROWS_POWER = 1.7  # 1: all rows alike; at 1.7 the first tenth of a table is a quarter of the draws

_INNERMOST_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
_A_BEFORE_VOWEL = re.compile(r"\b([Aa]) (?!one\b|once|eu|uni|use|usu)(?=[aeiou])")
_SLOT = re.compile(r"\{([a-z_]+)(\d*)(?:\.(\d))?\}")

Row = tuple[str, ...]
Bindings = dict[str, Row]


class GrammarError(ValueError):
    """A grammar file breaks the format; the message names the file and the line."""


@dataclass(frozen=True)
class Block:
    """One `@name` block: its lines in order, each a key with its alternatives."""

    name: str
    lines: tuple[tuple[str, tuple[str, ...]], ...]

    def all(self, key: str) -> tuple[str, ...]:
        """Every alternative of every line with this key."""
        return tuple(text for line_key, texts in self.lines if line_key == key for text in texts)

    def pairs(self, first: str, second: str) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Each `first:` line with the `second:` line right below it."""
        following = zip(self.lines, self.lines[1:], strict=False)
        return [(a[1], b[1]) for a, b in following if a[0] == first and b[0] == second]


@dataclass
class Grammar:
    """All blocks by file stem, and all tables (rows, or a function that draws a row)."""

    blocks: dict[str, list[Block]] = field(default_factory=dict)
    tables: dict[str, list[Row] | Callable[[random.Random], Row]] = field(default_factory=dict)

    def block_weight(self, block: Block) -> float:
        """How often a block is drawn beside its neighbours: more where it stands for many rows of a table."""
        texts = " ".join(block.all("user") + block.all("reply"))
        lengths = [
            len(self.tables.get(name, ())) for name, *_ in _SLOT.findall(texts) if not callable(self.tables.get(name))
        ]
        return max([1.0, *(length / ROWS_PER_WEIGHT for length in lengths)])

    def _row(self, table: str, rng: random.Random, bindings: Bindings) -> Row:
        """A row of a table that no other slot of the same table holds; columns of it may be choices or slots."""
        source = self.tables[table]
        taken = {row[0] for name, row in bindings.items() if name.rstrip("0123456789") == table}
        for _ in range(REDRAWS):
            # The rows that come first are drawn most: tables open with what people ask for.
            row = source(rng) if callable(source) else source[int(len(source) * rng.random() ** FIRST_ROWS_POWER)]
            if row[0] not in taken:
                break
        return tuple(self._choose(column, rng) for column in row)

    @staticmethod
    def _choose(text: str, rng: random.Random) -> str:
        while match := _INNERMOST_CHOICE.search(text):
            text = text[: match.start()] + rng.choice(match[1].split("|")) + text[match.end() :]
        return text

    def expand(self, template: str, rng: random.Random, bindings: Bindings) -> str:
        """One random expansion of a template; new slots are drawn and added to `bindings`."""
        text = self._choose(template, rng)

        def fill(slot: re.Match) -> str:
            table, draw, column = slot.groups()
            if table + draw not in bindings:
                bindings[table + draw] = self._row(table, rng, bindings)
            return bindings[table + draw][int(column or 0)]

        while _SLOT.search(text):
            text = _SLOT.sub(fill, text)
        text = re.sub(r"\s+", " ", text).strip()
        text = _A_BEFORE_VOWEL.sub(r"\1n ", text)
        return text[:1].upper() + text[1:]


def split_alternatives(text: str) -> tuple[str, ...]:
    """Split at the `|` signs that stand outside parentheses."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "|" and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    return tuple(part.strip() for part in parts if part.strip())


@cache
def count_expansions(template: str) -> int:
    """How many texts a template can become, slots counted as one; nested choices are summed."""
    text, counts = template, []
    while match := _INNERMOST_CHOICE.search(text):
        total = 0
        for option in match[1].split("|"):
            product = 1
            for index in re.findall(r"\x00(\d+)\x00", option):
                product *= counts[int(index)]
            total += product
        counts.append(total)
        text = text[: match.start()] + f"\x00{len(counts) - 1}\x00" + text[match.end() :]
    product = 1
    for index in re.findall(r"\x00(\d+)\x00", text):
        product *= counts[int(index)]
    return product


def is_held_out(template: str) -> bool:
    """Whether a phrasing is kept out of training; decided by its text, so it never moves between runs."""
    return zlib.crc32(template.encode()) % HELD_OUT_ONE_IN == 0


def phrasings(templates: tuple[str, ...], held_out: bool) -> tuple[str, ...]:
    """The training or the held-out part of an alternatives list; short lists are never split."""
    if len(templates) < HELD_OUT_MIN_PHRASINGS:
        return templates
    chosen = tuple(text for text in templates if is_held_out(text) == held_out)
    return chosen or templates


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    number, current = 0, ""
    for line_number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        if line[0] == " " and current:
            current += " " + line.strip()
            continue
        if current:
            yield number, current
        number, current = line_number, line.rstrip()
    if current:
        yield number, current


def parse(text: str, part: str, grammar: Grammar) -> None:
    """Add the tables and blocks of one grammar file (such as `facts` or its further part `facts-more`) to `grammar`."""
    name = part.partition("-")[0]
    blocks = grammar.blocks.setdefault(name, [])
    for number, line in _logical_lines(text):
        where = f"{part}.txt line {number}"
        if line.count("(") != line.count(")"):
            raise GrammarError(f"{where}: parentheses do not match: {line[:60]}")
        if line[0] == "@":
            full_name = f"{name}.{line[1:].strip()}"
            earlier = next((index for index, block in enumerate(blocks) if block.name == full_name), None)
            # A block that another part of the file began goes to the end, where the coming lines are added to it.
            blocks.append(Block(full_name, ()) if earlier is None else blocks.pop(earlier))
            continue
        if line[0] == "?":
            question, arrow, answer = line[1:].partition("=>")
            if not arrow:
                raise GrammarError(f"{where}: a fact needs `=>`: {line[:60]}")
            pair = (("user", split_alternatives(question)), ("reply", split_alternatives(answer)))
            blocks.append(Block(f"{name}.{part}:{number}", pair))
            continue
        key, colon, rest = line.partition(":")
        if not colon or (line[0] != "%" and not blocks):
            raise GrammarError(f"{where}: not a `key: text` line: {line[:60]}")
        if key[0] == "%":
            rows = [tuple(row.split("=")) for row in split_alternatives(rest)]
            grammar.tables[key[1:]] = [*grammar.tables.get(key[1:], []), *rows]
        else:
            last = blocks[-1]
            blocks[-1] = Block(last.name, (*last.lines, (key, split_alternatives(rest))))


def load_grammar(folder: Path = GRAMMAR_DIR, data: Path | None = None) -> Grammar:
    """The grammar of every `*.txt` file in a folder, with the drawn tables of `invented` and `pools` added.

    `data`: the folder of the permissive sets; with it the `{some_...}` slots draw from thousands of real words as well.
    """
    from assistant.training.invented import DRAWN_TABLES
    from assistant.training.pools import pools

    grammar = Grammar()
    for path in sorted(folder.glob("*.txt"), key=lambda path: path.stem):
        parse(path.read_text(encoding="utf-8"), path.stem, grammar)
    grammar.tables |= DRAWN_TABLES
    grammar.tables |= pools(grammar.tables, data)
    return grammar
