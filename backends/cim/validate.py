"""Every published figure beside what the simulator says: calibrated or held out, error, source. Nothing is refitted."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backends.cim import metis, mythic
from backends.cim.shapes import known
from backends.profiles import Profile, profile, read

CHIPS = ("mythic-m1076", "axelera-metis")
CANNOT_KNOW = (
    "any RWKV on either chip: no measurement exists, and Metis' SDK cannot compile one",
    "M1076: frames per second, energy or accuracy of any whole network; the noise of its cells; the time to reprogram",
    "Metis: power while it runs a language model; the host's share for RWKV (assumed to be Llama's)",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One published figure. `band`: relative error that is tolerated; None for calibrated ones."""

    chip: str
    what: str
    role: str  # calibrated | held out | not modelled
    predicted: float
    published: float
    unit: str
    source: str
    confidence: str
    band: float | None = None
    note: str = ""

    @property
    def error(self) -> float:
        return self.predicted / self.published - 1

    @property
    def within(self) -> bool:
        return self.band is None or abs(self.error) <= self.band


@dataclass(frozen=True, slots=True)
class Summary:
    """Many like figures in one line; errors are absolute and relative. `limits`: statistic -> tolerated."""

    chip: str
    what: str
    count: int
    median: float
    p95: float
    worst: float
    limits: dict[str, float]
    source: str

    @property
    def within(self) -> bool:
        return all(getattr(self, name) <= limit for name, limit in self.limits.items())


def rows() -> list[Row]:
    """All single figures of all chips, in the order of their files."""
    out = []
    for chip in CHIPS:
        laws = LAWS[chip]
        for f in read(f"published/{chip}.toml")["figure"]:
            predicted = laws[f["law"]](profile(chip), **f.get("with", {}))
            out.append(Row(chip, f["what"], f["role"], predicted, f["published"], f["unit"], f["source"],
                           f["confidence"], f.get("band"), f.get("note", "")))  # fmt: skip
    return out


def products() -> list[Row]:
    """Metis: every measured single product (GEMV) and block of tokens (GEMM)."""
    chip, table = profile("axelera-metis"), read("published/axelera-metis.toml")
    gemv, gemm = table["gemv"], table["gemm"]
    fitted = [*gemv["fit_on"], *gemv["spill_fit_on"]]
    knee = chip.value("gemv.knee_weights")
    out = []
    for inputs, outputs, us in gemv["points"]:
        what = f"product {inputs} x {outputs}" + (", spilled" if inputs * outputs > knee else "")
        role = "calibrated" if [inputs, outputs] in fitted else "held out"
        out.append(Row(chip.name, what, role, metis.gemv_s(inputs * outputs, chip) * 1e6, us, "us", gemv["source"],
                       gemv["confidence"]))  # fmt: skip
    weights = int(chip.value("gemm.fit_weights"))
    for tokens, us in gemm["points"]:
        role = "calibrated" if tokens in gemm["fit_on"] else "held out"
        predicted_us = metis.gemm_s(weights, tokens, chip) * 1e6
        out.append(Row(chip.name, f"2048 x 2048 with {tokens} tokens", role, predicted_us, us, "us", gemm["source"],
                       gemm["confidence"]))  # fmt: skip
    return out


def summaries() -> list[Summary]:
    """The held-out products in three lines: resident, spilled, blocks of tokens."""
    table, held = read("published/axelera-metis.toml"), [r for r in products() if r.role == "held out"]
    gemv, gemm = table["gemv"], table["gemm"]
    groups = (
        ("resident products", lambda r: "product" in r.what and "spilled" not in r.what,
         {"median": gemv["median_band"], "p95": gemv["p95_band"]}, gemv),
        ("spilled products", lambda r: "spilled" in r.what, {"worst": gemv["spill_band"]}, gemv),
        ("blocks of tokens", lambda r: "tokens" in r.what, {"median": gemm["median_band"]}, gemm),
    )  # fmt: skip
    return [_summary(what, [r for r in held if mine(r)], limits, t["source"]) for what, mine, limits, t in groups]


def _summary(what: str, group: list[Row], limits: dict[str, float], source: str) -> Summary:
    errors = sorted(abs(r.error) for r in group)
    p95 = statistics.quantiles(errors, n=20, method="inclusive")[-1]
    return Summary("axelera-metis", what, len(errors), statistics.median(errors), p95, errors[-1], limits, source)


# --- the laws behind the figures ---


def _mythic_peak(chip: Profile, tiles: int | None = None, chips: int = 1) -> float:
    g = mythic.grid(chip)
    return 2 * (tiles or g.tiles) * chips * g.rows * g.columns / mythic.tile_product_s(chip).mid


def _mythic_tile_rate(chip: Profile) -> float:
    g = mythic.grid(chip)
    return g.rows * g.columns / mythic.tile_product_s(chip).mid


def _decode_s(chip: Profile, model: str) -> float:
    shape = known(model)
    device = metis.decode_device_s(shape.stationary_weights, chip)
    return (device + metis.host_s(shape.layers, chip)).mid


def _sample_rate(chip: Profile, model: str, tokens: int, ttft_s: float) -> float:
    return tokens / (ttft_s + (tokens - 1) * _decode_s(chip, model))


def dense_bytes(network: dict[str, Any]) -> int:
    """int8 weights as the array holds them: grouped convolutions are filled up with zeros, depth-wise ones are not."""
    total = 0
    for inputs, outputs, kernel_h, kernel_w, groups, _, _, times in network["layers"]:
        total += times * outputs * kernel_h * kernel_w * (1 if groups == inputs else inputs)
    return total


def frame_rate(chip: Profile, network: str, card: str) -> float:
    """Frames/s of an image network: its weights pass at the on-chip rate if it is plain and fits, else at the DRAM's.

    That only plain networks are kept on the chip is a rule read off the published rates (one bit per network); both
    rates come from ResNet-50 and ResNet-152 alone.
    """
    found = next(n for n in read("networks/image.toml")["network"] if n["name"] == network)
    size = dense_bytes(found)
    on_chip = found["plain"] and size <= chip.value("chip.on_chip_bytes")
    return chip.value(f"cnn.{card}_{'on_chip' if on_chip else 'stream'}_bytes_s") / size


LAWS: dict[str, dict[str, Callable[..., float]]] = {
    "mythic-m1076": {
        "peak": _mythic_peak,
        "capacity": lambda chip, chips=1: float(chips * mythic.grid(chip).weights),
        "tile_rate": _mythic_tile_rate,
        "mac_energy": lambda chip: 2 / chip.value("power.efficiency_ops_j"),
        "nameplate": lambda chip, chips=1: chips * chip.value("power.nameplate_w"),
    },
    "axelera-metis": {
        "peak": metis.peak_ops_s,
        "chip_peak": lambda chip: metis.peak_ops_s(chip) * chip.value("chip.cores"),
        "decode_device": lambda chip, model: metis.decode_device_s(known(model).stationary_weights, chip).mid,
        "decode_rate": lambda chip, model: 1 / _decode_s(chip, model),
        "sample_rate": _sample_rate,
        "frame_rate": frame_rate,
    },
}
