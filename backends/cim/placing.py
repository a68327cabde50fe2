"""Which weight groups lie on the chips and which on the host: the linear model that a solver optimises over.

Each group's part of a token follows the laws of `mythic.cost` (its serial tile products, or its bytes on the host), at
the middle of the bands. What is not linear there (blocks that share a tile, transfers between chips) is left out, so a
placement found here is priced again by `mythic.cost`, and that price counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backends.base import ModelConfig
from backends.census import census
from backends.cim import mythic
from backends.cim.operations import rwkv7_operations
from backends.cim.shapes import matrices
from backends.deployment import Deployment, Group, Site, weight_groups
from backends.profiles import Profile

COUNTS = (1, 2, 4, 8, 16)  # chips worth asking about; 16 are one card
SERIAL = {"time-mix": 2, "LoRA": 1, "channel-mix": 2, "head": 1}  # stages of a group that nothing else shares
UNITS = 512  # room is counted in this many parts, each group rounded up
CHIPS, HOST = 0, 1


def deployments(config: ModelConfig, chip: Profile) -> list[Deployment]:
    """For each number of chips up to one that holds the whole model; where it does not, also with the room that the
    packing really leaves."""
    found, need = [], mythic.chips_needed(config, chip)
    enough = need["naive"]
    for chips in sorted({*COUNTS, need["packed"]}):
        found.append(_deployment(config, chip, chips, 1.0))
        if chips < need["packed"]:
            packed = mythic.lay_out(config, chip)
            found.append(_deployment(config, chip, chips, packed.weights / (packed.tiles * packed.grid.rows
                                                                            * packed.grid.columns)))  # fmt: skip
        if chips >= enough:
            break
    return found


def _deployment(config: ModelConfig, chip: Profile, chips: int, fill: float) -> Deployment:
    sizes = {m.name: m.weights for m in matrices(config)}
    groups, ops, c = weight_groups(config), rwkv7_operations(config), census(config)
    room = mythic.grid(chip).weights * chips * fill
    unit = room / UNITS
    idle_w = (chip.band("power.idle_fraction") * chip.band("power.nameplate_w")).mid * chips
    product_s = mythic.tile_product_s(chip).mid
    pair_j = 2 / chip.value("power.efficiency_ops_j")
    whole = chip.band("link.hop_s").mid
    vector = config.width * chip.value("link.element_bytes")
    bandwidth = chip.value("link.bandwidth_bytes_s")
    crossing_s = whole + vector / bandwidth

    def group(name: str) -> Group:
        weights = sum(sizes[m] for m in groups[name])
        on_chips_s = SERIAL[name.split()[-1]] * product_s
        on_host_s = weights / min(chip.value("link.host_bandwidth_bytes_s"), chip.value("link.host_macs_s"))
        return Group(
            name, (-int(-weights // unit), 0), (on_chips_s, on_host_s),
            (weights * pair_j + idle_w * on_chips_s, weights * chip.value("link.host_j_per_byte") + idle_w * on_host_s),
        )  # fmt: skip

    rate = chip.value("digital.simd_ops_s_per_tile") * chips * mythic.grid(chip).tiles
    logits = config.vocab * chip.value("link.element_bytes")
    base_s = ops.digital_ops / rate + (vector + logits) / bandwidth + chip.band("link.host_call_s").mid
    sram_bytes = 4 * c.vector_weights + 2 * ops.memory_bytes
    base_j = (idle_w * base_s + chip.value("power.simd_op_j") * ops.digital_ops
              + chip.value("power.sram_j_per_byte") * sram_bytes
              + chip.value("power.link_j_per_byte") * (vector + logits))  # fmt: skip

    def realise(places: Sequence[int]) -> Mapping[str, object]:
        away = [m for name, site in zip(groups, places, strict=True) if site == HOST for m in groups[name]]
        return {"chips": chips, "host": tuple(away)}

    return Deployment(
        title=f"{chips} chip{'s' if chips > 1 else ''}", sites=(Site("chips", UNITS), Site("host", None)),
        groups=tuple(map(group, groups)), crossing_s=crossing_s,
        crossing_j=idle_w * crossing_s + chip.value("power.link_j_per_byte") * vector,
        base_s=base_s, base_j=base_j, realise=realise,
    )  # fmt: skip
