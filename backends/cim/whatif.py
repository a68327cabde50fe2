"""Questions without weights: a model's shape on a chip, and what one number would have to be to meet a target."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from backends.base import ModelConfig
from backends.cim import metis, mythic
from backends.cim.cost import ChipCost
from backends.cim.shapes import matrices
from backends.profiles import Profile, profile

CHIPS = ("mythic-m1076", "axelera-metis")


@dataclass(frozen=True, slots=True)
class Answer:
    """A model on a chip. `facts`: what runs where, in words; all numbers are simulated."""

    chip: str
    cost: ChipCost
    facts: dict[str, str]


@dataclass(frozen=True, slots=True)
class Lever:
    """One number that could be changed alone: `needed` is None where no value of it meets the target."""

    name: str
    unit: str
    now: float
    needed: float | None
    note: str = ""

    @property
    def met(self) -> bool:
        return self.needed == self.now


def whatif(config: ModelConfig, chip: Profile, chips: int | None = None, tokens: int = 1, batch: int = 1) -> Answer:
    """Cost and placement of one pass."""
    if chip.name == "mythic-m1076":
        return _on_mythic(config, chip, chips, tokens, batch)
    where = metis.residency(matrices(config), chip)
    holds = f"the chip holds {where.on_chip_bytes / 1e6:.1f} MB"
    place = "all on the chip" if where.resident else f"{where.streamed_bytes / 1e6:.1f} MB stream from DRAM per pass"
    facts = {
        "weights": f"{where.weight_bytes / 1e6:.1f} MB of int8; {holds}: {place}",
        "arrays": f"{where.arrays} blocks of {int(chip.value('chip.array_rows'))} x "
        f"{int(chip.value('chip.array_columns'))} on {int(chip.value('chip.cores'))} cores",
        "not on the arrays": "state, norms, activations: on the host, float32",
        "law of one product": _law_of_one_product(chip),
        "law of the host": f"{chip.value('host.per_layer_s') * 1e6:.0f} us a layer (Llama's, assumed for RWKV)",
    }
    return Answer(chip.name, metis.cost(config, chip, tokens, batch), facts)


def _law_of_one_product(chip: Profile) -> str:
    base_us, weight_ps = chip.value("gemv.base_s") * 1e6, chip.value("gemv.per_weight_s") * 1e12
    knee_m, spill_gb_s = chip.value("gemv.knee_weights") / 1e6, chip.value("gemv.spill_bytes_s") / 1e9
    return f"{base_us:.2f} us + {weight_ps:.2f} ps a weight up to {knee_m:.1f} M weights, {spill_gb_s:.1f} GB/s above"


def _on_mythic(config: ModelConfig, chip: Profile, chips: int | None, tokens: int, batch: int) -> Answer:
    mapping, need = mythic.lay_out(config, chip, chips=chips), mythic.chips_needed(config, chip)
    depth = len(mapping.depth)
    facts = {
        "chips needed": ", ".join(f"{n} {way}" for way, n in need.items()),
        "chips used": f"{mapping.chips}: {mapping.tiles} tiles, {mapping.fill:.0%} of their cells",
        "serial products": f"{mapping.serial_products} per token ({depth} stages; more where a stage shares a tile)",
        "transfers": f"{mapping.hops} between chips per token",
        "not on the arrays": "state, norms, activations: on the SIMD units, float32 (assumed)",
    }
    if mapping.host:
        left = sum(m.weights for m in mapping.host)
        facts["on the host"] = f"{len(mapping.host)} matrices, {left / 1e6:.1f} M weights: they do not fit"
    return Answer(chip.name, mythic.cost(config, chip, mapping, tokens, batch), facts)


def levers(config: ModelConfig, chip: Profile, target_s: float, chips: int | None = None) -> list[Lever]:
    """What each number alone would have to be so that one token takes at most `target_s` (middle of the band)."""
    return (_mythic_levers if chip.name == "mythic-m1076" else _metis_levers)(config, chip, target_s, chips)


def _metis_levers(config: ModelConfig, chip: Profile, target_s: float, _chips: int | None) -> list[Lever]:
    def at(**values: float) -> float:
        return metis.cost(config, chip.replaced(**values)).latency_s.mid

    weight_bytes = float(metis.residency(matrices(config), chip).weight_bytes)
    now_s, capacity = at(), chip.value("chip.on_chip_bytes")
    holds = now_s <= target_s
    resident_s = at(chip__on_chip_bytes=weight_bytes)
    enough = weight_bytes if resident_s <= target_s else None
    return [
        _solve("DRAM bandwidth", "B/s", chip.value("stream.bandwidth_bytes_s"), target_s,
               lambda v: at(stream__bandwidth_bytes_s=v)),
        Lever("on-chip capacity", "B", capacity, capacity if holds else enough,
              f"with all weights on the chip: {resident_s * 1e3:.3g} ms"),
        _solve("host time per layer", "s", chip.value("host.per_layer_s"), target_s, lambda v: at(host__per_layer_s=v)),
    ]  # fmt: skip


def _mythic_levers(config: ModelConfig, chip: Profile, target_s: float, chips: int | None) -> list[Lever]:
    mapping = mythic.lay_out(config, chip, chips=chips)

    def at(**values: float) -> float:
        return mythic.cost(config, chip.replaced(**values), mapping).latency_s.mid

    need = mythic.chips_needed(config, chip)["packed"]
    enough_s = mythic.cost(config, chip, mythic.lay_out(config, chip)).latency_s.mid
    holds, bits, peak = at() <= target_s, chip.value("converters.adc_bits"), chip.value("chip.peak_ops_s")

    def with_bits(n: int) -> float:
        return at(chip__peak_ops_s=peak * bits / n)

    fitting = [n for n in range(int(bits), 1, -1) if with_bits(n) <= target_s]
    return [
        Lever("chips", "chip", mapping.chips, mapping.chips if holds else need if enough_s <= target_s else None,
              f"with all weights on chips: {enough_s * 1e3:.3g} ms"),
        Lever("ADC bits", "bit", bits, fitting[0] if fitting else None,
              "assumed: conversion time is proportional to the bits; `assistant cim accuracy` shows what fewer cost"),
        _solve("peak rate of the arrays", "OPS", peak, target_s, lambda v: at(chip__peak_ops_s=v)),
        _solve("bandwidth of the host", "B/s", chip.value("link.host_bandwidth_bytes_s"), target_s,
               lambda v: at(link__host_bandwidth_bytes_s=v)),
    ]  # fmt: skip


def _solve(name: str, unit: str, now: float, target_s: float, latency_s: Callable[[float], float]) -> Lever:
    """The value nearest to `now` that meets the target, by bisection over 12 decades of a monotone law."""
    if latency_s(now) <= target_s:
        return Lever(name, unit, now, now)
    better = now * (1e6 if latency_s(now * 1e6) < latency_s(now) else 1e-6)
    best_s = latency_s(better)
    if best_s > target_s:
        return Lever(name, unit, now, None, f"at best {best_s * 1e3:.3g} ms: the rest of the time is elsewhere")
    worse = now
    for _ in range(45):
        middle = math.sqrt(worse * better)
        worse, better = (worse, middle) if latency_s(middle) <= target_s else (middle, better)
    return Lever(name, unit, now, better)


def plain_bandwidth_bytes_s(config: ModelConfig, target_s: float, bytes_per_weight: float = 1.0) -> float:
    """What any machine must read per second if every weight crosses its memory bus once per token."""
    return sum(m.weights for m in matrices(config)) * bytes_per_weight / target_s


def chip_named(name: str) -> Profile:
    """Raises UnknownProfile, also for a profile that is no simulated chip."""
    found = profile(name)
    if name not in CHIPS:
        from backends.profiles import UnknownProfile

        raise UnknownProfile(f"'{name}' is no simulated chip; there are: {', '.join(CHIPS)}")
    return found
