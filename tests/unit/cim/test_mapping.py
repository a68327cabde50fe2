"""Weights on tiles: every weight once, no cell twice, and the published capacity truths."""

from __future__ import annotations

import itertools

import pytest

from backends.cim import mythic
from backends.cim.mapping import Grid, ideal_chips, naive_tiles, place
from backends.cim.shapes import Matrix, known, matrices
from backends.profiles import profile
from tests.synthetic import TINY

CHIP = profile("mythic-m1076")
GRID = mythic.grid(CHIP)


def check(mapping, wanted):
    """Each weight of what is placed has one cell, inside of its tile, and no cell has two."""
    placed = {p.matrix.name for p in mapping.placements}
    assert placed | {m.name for m in mapping.host} == {m.name for m in wanted}
    assert not placed & {m.name for m in mapping.host}
    assert mapping.weights == sum(m.weights for m in wanted if m.name in placed)
    by_tile: dict[int, list] = {}
    for p in mapping.placements:
        assert p.row + p.inputs <= mapping.grid.rows
        assert p.column + p.outputs <= mapping.grid.columns
        assert p.input + p.inputs <= p.matrix.inputs
        assert p.output + p.outputs <= p.matrix.outputs
        by_tile.setdefault(p.tile, []).append(p)
    assert set(by_tile) == set(range(mapping.tiles))
    for blocks in by_tile.values():
        for a, b in itertools.combinations(blocks, 2):
            apart = a.row + a.inputs <= b.row or b.row + b.inputs <= a.row
            assert apart or a.column + a.outputs <= b.column or b.column + b.outputs <= a.column


@pytest.mark.parametrize("policy", ["packed", "spread", "naive"])
@pytest.mark.parametrize("size", ["0.1b", "0.4b"])
def test_every_weight_once(size, policy):
    wanted = matrices(known(size))
    mapping = place(wanted, GRID, policy)
    check(mapping, wanted)
    if policy == "naive":
        assert mapping.tiles == naive_tiles(wanted, GRID)
        assert mapping.serial_products == 5 * known(size).layers + 1


@pytest.mark.parametrize("chips", [1, 2])
def test_what_does_not_fit_stays_on_the_host_whole(chips):
    config = known("0.1b")
    mapping = mythic.lay_out(config, CHIP, chips=chips)
    check(mapping, matrices(config))
    assert mapping.chips <= chips
    assert "head.weight" in {m.name for m in mapping.host}
    assert (len(mapping.host) == 1) == (chips == 2)


@pytest.mark.parametrize(
    ("size", "ideal", "packed", "naive"),
    [("0.1b", 2, 3, 4), ("0.4b", 5, 5, 8), ("1.5b", 18, 18, 22), ("2.9b", 35, 36, 53), ("7.2b", 87, 88, 98)],
)
def test_chips_needed(size, ideal, packed, naive):
    need = mythic.chips_needed(known(size), CHIP)
    assert (need["ideal"], need["packed"], need["naive"]) == (ideal, packed, naive)
    assert need["ideal"] == ideal_chips(matrices(known(size)), GRID)


def test_the_01b_without_its_head_fits_two():
    assert mythic.chips_needed(known("0.1b"), CHIP)["head on host"] == 2


def test_a_chip_holds_what_is_published():
    assert GRID.weights == 79_691_776


def test_more_chips_than_packing_needs_are_used_for_speed():
    config = known("0.1b")
    assert mythic.lay_out(config, CHIP, chips=4).serial_products == 5 * config.layers + 1
    assert mythic.lay_out(TINY, CHIP).serial_products == 5 * TINY.layers + 1


def test_blocks_of_one_stage_on_one_tile_run_one_after_the_other():
    two = (Matrix("blocks.0.a", 8, 8, 0), Matrix("blocks.0.b", 8, 8, 0), Matrix("blocks.0.c", 8, 8, 1))
    mapping = place(two, Grid(1, 16, 16))
    assert mapping.tiles == 1
    assert mapping.depth == {0: 2, 1: 1}
    assert (mapping.serial_products, mapping.busiest, mapping.hops) == (3, 3, 0)
    assert place(two, Grid(1, 16, 16), "naive").hops == 1


def test_a_failed_matrix_leaves_no_trace():
    wanted = (Matrix("blocks.0.a", 16, 12, 0), Matrix("blocks.0.b", 40, 12, 1), Matrix("blocks.0.c", 16, 4, 2))
    mapping = place(wanted, Grid(2, 16, 16), chips=1)
    check(mapping, wanted)
    assert [m.name for m in mapping.host] == ["blocks.0.b"]
