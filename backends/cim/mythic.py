"""Mythic M1076: how many chips a model needs, and what a pass over them costs.

Dataflow: every weight stays in its flash cell, vectors travel. One token takes `Mapping.serial_products` tile products
one after the other; further tokens (of a batch or a prompt) follow in a pipeline at the interval of the busiest tile.
"""

from __future__ import annotations

from functools import lru_cache

from backends.base import ModelConfig
from backends.census import census, pass_macs
from backends.cim.cost import ChipCost
from backends.cim.mapping import Grid, Mapping, Policy, ideal_chips, naive_tiles, place
from backends.cim.operations import rwkv7_operations
from backends.cim.shapes import Matrix, matrices
from backends.profiles import Band, Profile

HEAD = "head.weight"
ROOMY = 0.8  # share of the cells below which it is worth trying to use more of the tiles that the chips have


def grid(chip: Profile) -> Grid:
    return Grid(int(chip.value("chip.tiles")), int(chip.value("chip.tile_rows")), int(chip.value("chip.tile_columns")))


def tile_product_s(chip: Profile) -> Band:
    """Time of one product of a whole tile: 2 x all cells / peak rate (mid), and the published band around it."""
    g = grid(chip)
    return Band(
        low=g.rows * g.columns / chip.value("chip.fast_tile_macs_s"),
        mid=2 * g.weights / chip.value("chip.peak_ops_s"),
        high=2 * g.weights / chip.value("chip.isscc_ops_s"),
    )


def lay_out(config: ModelConfig, chip: Profile, policy: Policy = "packed", chips: int | None = None,
            host: tuple[str, ...] = ()) -> Mapping:  # fmt: skip
    """Place a model. With a number of chips: a tile per block if they suffice for that, because no two products then
    wait for each other; with fewer than it needs, the head goes to the host first, then the last matrices.
    With `host` these matrices go there, and of the others only what finds no room.
    """
    wanted, g = matrices(config), grid(chip)
    if host:
        packed, spread = (place(wanted, g, way, chips, host) for way in ("packed", "spread"))
        return packed if len(spread.host) > len(packed.host) else spread
    if chips is not None and naive_tiles(wanted, g) <= chips * g.tiles:
        return _placed(wanted, g, "naive")
    mapping = _placed(wanted, g, policy)
    if policy == "packed" and mapping.weights < ROOMY * mapping.chips * g.weights:
        spread = place(wanted, g, "spread", mapping.chips)  # the tiles are there anyway
        mapping = mapping if spread.host else spread
    if chips is None or mapping.chips <= chips:
        return mapping
    return place(wanted, grid(chip), "packed", chips, host=(HEAD,))


@lru_cache(maxsize=16)
def _placed(wanted: tuple[Matrix, ...], g: Grid, policy: Policy) -> Mapping:
    return place(wanted, g, policy)


def chips_needed(config: ModelConfig, chip: Profile) -> dict[str, int]:
    """Chips by way of counting: every cell used, packed, a tile per block, and packed with the head on the host."""
    wanted, g = matrices(config), grid(chip)
    packed = _placed(wanted, g, "packed")
    # The head is placed last, so that without it the placement is the same up to there.
    body_tiles = 1 + max(p.tile for p in packed.placements if p.matrix.name != HEAD)
    return {
        "ideal": ideal_chips(wanted, g),
        "packed": packed.chips,
        "naive": -(-naive_tiles(wanted, g) // g.tiles),
        "head on host": -(-body_tiles // g.tiles),
    }


def cost(config: ModelConfig, chip: Profile, mapping: Mapping, tokens: int = 1, batch: int = 1) -> ChipCost:
    """One pass of `tokens` for each of `batch` sequences. See the profile for the source of every constant."""
    n, c, ops = tokens * batch, census(config), rwkv7_operations(config)
    product, chips = tile_product_s(chip), max(1, mapping.chips)

    # Digital side: all SIMD units of the chips in use share the work of a token.
    rate = chip.band("digital.simd_ops_s_per_tile") * (chips * mapping.grid.tiles)
    digital = Band.of(ops.digital_ops) / rate
    interval = (product * mapping.busiest).larger(digital)

    host_bytes = sum(m.weights for m in mapping.host)  # int8, read once a pass
    host_macs = sum(m.weights * (batch if m.name == HEAD else n) for m in mapping.host)
    element = chip.value("link.element_bytes")
    vector, logits = config.width * element, config.vocab * element
    hop_bytes = mapping.hops * vector
    link_bytes = n * (vector + hop_bytes) + batch * logits
    bandwidth = chip.value("link.bandwidth_bytes_s")
    latency = {
        "array products": product * mapping.serial_products,
        "digital side": digital,
        "pipeline of further tokens": interval * (n - 1),
        "transfers between chips": chip.band("link.hop_s") * mapping.hops + hop_bytes / bandwidth,
        "link to the host": Band.of((n * vector + batch * logits) / bandwidth) + chip.band("link.host_call_s"),
    }
    if mapping.host:
        read_s = host_bytes / chip.value("link.host_bandwidth_bytes_s")
        latency["matrices on the host"] = Band.of(max(read_s, host_macs / chip.value("link.host_macs_s")))
    spent = sum(latency.values(), Band(0, 0, 0))

    macs = pass_macs(config, tokens, batch)
    array_macs = macs - n * (c.state_macs + c.decay_macs) - host_macs
    vectors = sum(m.inputs + m.outputs for m in matrices(config)) * n
    sram_bytes = 4 * c.vector_weights + n * 2 * ops.memory_bytes + vectors
    idle = chip.band("power.idle_fraction") * chip.band("power.nameplate_w") * chips
    energy = {
        "array products": Band.of(2 * array_macs / chip.value("power.efficiency_ops_j")),
        "digital side": chip.band("power.simd_op_j") * (n * ops.digital_ops),
        "SRAM": Band.of(sram_bytes * chip.value("power.sram_j_per_byte")),
        "links": chip.band("power.link_j_per_byte") * link_bytes,
        "waiting": idle * spent,
    }
    if mapping.host:
        energy["matrices on the host"] = Band.of(host_bytes * chip.value("link.host_j_per_byte"))
    return ChipCost(latency, energy, macs, int(sram_bytes + link_bytes + host_bytes))
