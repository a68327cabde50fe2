"""Which weight lies on which tile of which chip: matrices are cut to the tile's size and packed in order of execution.

A tile computes one product at a time. Blocks that share no cell may share a tile; if they belong to the same stage
they then run one after the other, which `depth` counts.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

from backends.cim.shapes import Matrix

Policy = Literal["packed", "spread", "naive"]
"""packed: as few tiles as it finds; spread: opens another tile rather than let two products of a stage share one;
naive: every block of a matrix has a tile of its own."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The tiles of one chip: each holds inputs x outputs weights."""

    tiles: int
    rows: int  # inputs
    columns: int  # outputs

    @property
    def weights(self) -> int:
        return self.tiles * self.rows * self.columns


class Placement(NamedTuple):
    """A block of a matrix on a tile. `row`, `column`: its corner on the tile; `input`, `output`: within the matrix."""

    matrix: Matrix
    input: int
    output: int
    inputs: int
    outputs: int
    tile: int  # counted through all chips
    row: int
    column: int


@dataclass(frozen=True)
class Mapping:
    """Where everything is. `host` holds the matrices that found no room."""

    grid: Grid
    policy: Policy
    placements: tuple[Placement, ...]
    host: tuple[Matrix, ...] = ()
    tiles: int = field(default=0)  # used

    @property
    def chips(self) -> int:
        return math.ceil(self.tiles / self.grid.tiles)

    @property
    def weights(self) -> int:
        return sum(p.inputs * p.outputs for p in self.placements)

    @property
    def fill(self) -> float:
        """Share of the cells of the used tiles that hold a weight."""
        return self.weights / max(1, self.tiles * self.grid.rows * self.grid.columns)

    @cached_property
    def depth(self) -> dict[int, int]:
        """stage -> products that run one after the other because they share a tile (1: all at once)."""
        shared = Counter((p.matrix.stage, p.tile) for p in self.placements)
        out: dict[int, int] = {}
        for (stage, _), count in shared.items():
            out[stage] = max(out.get(stage, 0), count)
        return out

    @property
    def serial_products(self) -> int:
        """Tile products one after the other for one token: the latency ceiling in units of a tile's time."""
        return sum(self.depth.values())

    @cached_property
    def busiest(self) -> int:
        """Products of the busiest tile for one token: the interval of a full pipeline in units of a tile's time."""
        return max(Counter(p.tile for p in self.placements).values(), default=0)

    @cached_property
    def hops(self) -> int:
        """Steps between stages of one token that need a transfer between chips (or to the host and back); transfers
        of one step go in parallel."""
        homes: dict[int, set[int]] = defaultdict(set)
        for p in self.placements:
            homes[p.matrix.stage].add(p.tile // self.grid.tiles)
        for m in self.host:
            homes[m.stage].add(-1)
        stages = [homes[s] for s in sorted(homes)]
        return sum(len(a | b) > 1 for a, b in itertools.pairwise(stages))

    def chip_contents(self) -> list[tuple[int, int, float, str]]:
        """(chip, tiles used, fill, what it holds in words) per chip."""
        cells = self.grid.rows * self.grid.columns
        out = []
        for chip in range(self.chips):
            here = [p for p in self.placements if p.tile // self.grid.tiles == chip]
            tiles = len({p.tile for p in here})
            out.append((chip, tiles, sum(p.inputs * p.outputs for p in here) / max(1, tiles * cells), _words(here)))
        return out


def ideal_chips(matrices: Iterable[Matrix], grid: Grid) -> int:
    """Chips if every cell could be used."""
    return math.ceil(sum(m.weights for m in matrices) / grid.weights)


def naive_tiles(matrices: Iterable[Matrix], grid: Grid) -> int:
    """Tiles if every block has one of its own."""
    return sum(-(-m.inputs // grid.rows) * -(-m.outputs // grid.columns) for m in matrices)


def place(matrices: Sequence[Matrix], grid: Grid, policy: Policy = "packed", chips: int | None = None,
          host: Sequence[str] = ()) -> Mapping:  # fmt: skip
    """Lay the matrices out. `chips` limits the room; a matrix that does not fit in what is left goes to the host, as do
    those named in `host`.
    """
    limit = None if chips is None else chips * grid.tiles
    room, placements, left = _Room(grid, limit), [], []
    by_layer: dict[int, list[Matrix]] = defaultdict(list)
    for m in matrices:
        by_layer[m.stage // 5].append(m)
    for layer in sorted(by_layer):
        # Large ones first: the small low-rank pairs then fill the gaps that they leave.
        for m in sorted(by_layer[layer], key=lambda m: -m.weights):
            placed = None if m.name in host else room.take(m, policy)
            if placed is None:
                left.append(m)
            else:
                placements += placed
    return Mapping(grid, policy, tuple(placements), tuple(left), room.tiles)


class _Room:
    """Free rectangles of the tiles opened so far, by shape; guillotine cuts."""

    def __init__(self, grid: Grid, limit: int | None):
        self.grid, self.limit, self.tiles = grid, limit, 0
        self.free: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        self.busy: set[tuple[int, int]] = set()  # (tile, stage); only a preference, so an undo may leave some behind
        self.journal: list[tuple[tuple[int, int], tuple[int, int, int] | None, list[tuple[int, int, int, int]]]] = []

    def take(self, m: Matrix, policy: Policy) -> list[Placement] | None:
        """Place all blocks of a matrix, or none."""
        out, self.journal = [], []
        for i in range(0, m.inputs, self.grid.rows):
            rows = min(self.grid.rows, m.inputs - i)
            for o in range(0, m.outputs, self.grid.columns):
                columns = min(self.grid.columns, m.outputs - o)
                corner = self._corner(rows, columns, m.stage, policy)
                if corner is None:
                    self._undo()
                    return None
                out.append(Placement(m, i, o, rows, columns, *corner))
        return out

    def _corner(self, rows: int, columns: int, stage: int, policy: Policy) -> tuple[int, int, int] | None:
        """(tile, row, column) of a free rectangle, the tightest that fits, else of a new tile."""
        may_open, gap = self.limit is None or self.tiles < self.limit, None
        if policy != "naive" and (rows < self.grid.rows or columns < self.grid.columns):
            gap = self._gap(rows, columns, stage)
        if gap and may_open and policy == "spread" and (self.free[gap][-1][0], stage) in self.busy:
            gap = None
        if gap:
            shape = gap
            tile, row, column = spot = self._pop(gap)
        elif may_open:
            tile, row, column, shape = self.tiles, 0, 0, (self.grid.rows, self.grid.columns)
            self.tiles, spot = self.tiles + 1, None
        else:
            return None
        below, beside = shape[0] - rows, shape[1] - columns
        # Of the two ways to cut the rest in two, the one that leaves the larger piece whole.
        if below * shape[1] >= beside * shape[0]:
            pieces = ((below, shape[1], row + rows, column), (rows, beside, row, column + columns))
        else:
            pieces = ((below, columns, row + rows, column), (shape[0], beside, row, column + columns))
        pieces = [piece for piece in pieces if piece[0] and piece[1]]
        for h, w, r, c in pieces:
            self.free.setdefault((h, w), []).append((tile, r, c))
        self.busy.add((tile, stage))
        self.journal.append((shape, spot, pieces))
        return tile, row, column

    def _pop(self, shape: tuple[int, int]) -> tuple[int, int, int]:
        spots = self.free[shape]
        if len(spots) == 1:
            del self.free[shape]
        return spots.pop()

    def _gap(self, rows: int, columns: int, stage: int) -> tuple[int, int] | None:
        """Shape of the best gap: on a tile that works at another time, on the chip being filled, and tight."""
        chip = (self.tiles - 1) // self.grid.tiles

        def price(shape: tuple[int, int]) -> tuple[bool, bool, int]:
            tile = self.free[shape][-1][0]
            return (tile, stage) in self.busy, tile // self.grid.tiles != chip, shape[0] * shape[1]

        shapes = (s for s in self.free if s[0] >= rows and s[1] >= columns)
        return min(shapes, key=price, default=None)

    def _undo(self) -> None:
        """Take back the corners handed out since the matrix began; every list is used as a stack, so this is exact."""
        for shape, spot, pieces in reversed(self.journal):
            for h, w, _, _ in reversed(pieces):
                self._pop((h, w))
            if spot is None:
                self.tiles -= 1
            else:
                self.free.setdefault(shape, []).append(spot)


def _words(placements: Sequence[Placement]) -> str:
    """`layers 0-6, head`, with partial ones in brackets."""
    layers = sorted({int(p.matrix.name.split(".")[1]) for p in placements if p.matrix.name.startswith("blocks.")})
    words = []
    if layers:
        words.append(f"layer {layers[0]}" if len(layers) == 1 else f"layers {layers[0]}-{layers[-1]}")
    if any(p.matrix.name == "head.weight" for p in placements):
        words.append("head")
    return ", ".join(words) or "nothing"
