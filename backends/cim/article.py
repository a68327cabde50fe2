"""The claims of the article that started this project, each recomputed, with a verdict and the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from backends.base import ModelConfig
from backends.cim import metis, mythic
from backends.cim.operations import rwkv7_operations, transformer_operations
from backends.cim.shapes import known
from backends.profiles import profile

Verdict = Literal["holds", "half right", "false", "unknown"]
CARD_CHIPS = 16  # the largest published M1076 card


@dataclass(frozen=True, slots=True)
class Claim:
    """`said`: the article; `computed`: our figures, simulated where a chip is named."""

    said: str
    computed: str
    verdict: Verdict
    why: str


def claims() -> list[Claim]:
    """In the article's order. Every number is computed here; only the words of the verdicts are written down."""
    return [_bytes_per_token(), _wall(), _speed(), _power_gain(), _mythic_power(), _mythic_reach(), _metis_reach(),
            _sizes(), _softmax()]  # fmt: skip


def _bytes_per_token() -> Claim:
    gb = 7e9 * 2 / 1e9
    return Claim("a 7B model in fp16 moves 14 GB per token", f"7e9 x 2 B = {gb:.0f} GB", "holds",
                 "for a dense model at batch 1; a batch shares the bytes, sparse rows need not move")  # fmt: skip


def _wall() -> Claim:
    gpu = profile("a100-80gb")
    ideal, eff = 2e12 / 14e9, gpu.band("decode.efficiency")
    real = f"{ideal * eff.high:.0f}-{ideal * eff.low:.0f}"
    return Claim("at 2 TB/s that is about 140 tokens/s",
                 f"2 TB/s / 14 GB = {ideal:.0f}; at the measured 0.4-0.8 of peak {real}", "half right",
                 "the arithmetic is right, and an upper bound: real decoding reaches 40 to 80 % of it")  # fmt: skip


def _speed() -> Claim:
    config, gpu = known("7.2b"), profile("a100-80gb")
    gpu_s = 14e9 / (gpu.value("memory.bandwidth_bytes_s") * gpu.value("decode.efficiency"))
    analog, chips = _on_mythic(config)
    digital_s = metis.cost(config, profile("axelera-metis")).latency_s.mid
    return Claim("compute-in-memory is 10-100 times faster",
                 f"RWKV-7 7.2B against a GPU's {gpu_s * 1e3:.1f} ms/token: {chips} M1076 "
                 f"{gpu_s / analog.latency_s.mid:.1f}x, one Metis {gpu_s / digital_s:.2f}x",
                 "half right", "no memory wall if ALL weights stay on chips, which takes very many; Metis streams its "
                 "weights from DRAM and is slower than the GPU")  # fmt: skip


def _power_gain() -> Claim:
    config, gpu = known("7.2b"), profile("a100-80gb")
    gpu_s = 14e9 / (gpu.value("memory.bandwidth_bytes_s") * gpu.value("decode.efficiency"))
    gpu_j = gpu_s * gpu.value("power.board_w")
    analog, chips = _on_mythic(config)
    metis_j = metis.cost(config, profile("axelera-metis")).energy_j
    low, high = gpu_j / analog.energy_j.high, gpu_j / analog.energy_j.low
    return Claim("with a tenth of the power",
                 f"per token against {gpu_j:.1f} J: {chips} M1076 {low:.1f}-{high:.0f}x less, "
                 f"Metis {gpu_j / metis_j.high:.2f}-{gpu_j / metis_j.low:.1f}x less",
                 "unknown", f"the products alone are cheap, but {chips} chips of which each works a fraction of the "
                 "time are decided by what they draw while waiting, and that is unpublished")  # fmt: skip


def _mythic_power() -> Claim:
    chip = profile("mythic-m1076")
    isscc_w = chip.value("chip.isscc_ops_s") / chip.value("power.efficiency_ops_j")
    return Claim("the M1076 draws 3.5 W", f"ISSCC 2022: 16.6 TOPS at 3.3 TOPS/W = {isscc_w:.2f} W", "half right",
                 "3.5 W is the nameplate; the conference figures imply more at less speed")  # fmt: skip


def _mythic_reach() -> Claim:
    chip, config = profile("mythic-m1076"), known("0.1b")
    need, holds = mythic.chips_needed(config, chip), mythic.grid(chip).weights / 1e6
    weights = rwkv7_operations(config).stationary_macs / 1e6
    return Claim("one M1076 handles models below 1B",
                 f"it holds {holds:.1f} M weights; RWKV-7 0.1B has {weights:.1f} M: {need['ideal']} chips if every "
                 f"cell were used, {need['packed']} packed, {need['naive']} with a tile per block", "false",
                 "it has no DRAM to stream weights from: what does not fit needs another chip or the host")  # fmt: skip


def _metis_reach() -> Claim:
    chip = profile("axelera-metis")
    rates = {size: 1 / metis.cost(known(size), chip).latency_s.mid for size in ("1.5b", "2.9b", "7.2b")}
    text = ", ".join(f"{size.upper()} {rate:.1f}" for size, rate in rates.items())
    return Claim("Metis runs 1B to 7B", f"RWKV-7, tokens/s: {text}; measured Llama 1B 14.8, 8B 2.9", "half right",
                 "it runs them, bound by its DRAM; its SDK cannot compile an RWKV today")  # fmt: skip


def _sizes() -> Claim:
    chip, out = profile("mythic-m1076"), []
    for size in ("0.1b", "1.5b", "2.9b"):
        bill, chips = _on_mythic(known(size))
        out.append(f"{size.upper()} {chips} M1076 ({bill.latency_s.mid * 1e3:.1f} ms/token)")
    most = CARD_CHIPS * mythic.grid(chip).weights / 1e9
    out.append(f"a card of {CARD_CHIPS} holds {most:.2f} B")
    return Claim("0.1B feasible, 1.5B borderline, 2.9B not", "; ".join(out), "holds",
                 "on one card the line runs just below 1.5B (its head on the host would fit); with more "
                 "cards it is a matter of price, not of physics")  # fmt: skip


def _softmax() -> Claim:
    rwkv, small = rwkv7_operations(known("0.1b")), known("smollm2-135m")
    at = {t: transformer_operations(small, t).dynamic_share for t in (1024, 8192)}
    return Claim("RWKV has no softmax, so it suits compute-in-memory",
                 f"dynamic MACs: RWKV-7 0.1B {rwkv.dynamic_share:.1%} at any length; SmolLM2-135M {at[1024]:.0%} at "
                 f"1,024 tokens, {at[8192]:.0%} at 8,192; exp, sigmoid, tanh and roots per RWKV token: "
                 f"{rwkv.transcendental_ops:,}", "half right",
                 "softmax is not the point (v7 still needs exp, sigmoid, tanh and norms): what counts is a "
                 "state of constant size and hardly any product that an array cannot hold")  # fmt: skip


def _on_mythic(config: ModelConfig):
    chip = profile("mythic-m1076")
    mapping = mythic.lay_out(config, chip)
    return mythic.cost(config, chip, mapping), mapping.chips
