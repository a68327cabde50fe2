"""What a chip's precision, noise and age cost: perplexity, agreement and KL against float32, on one text."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from backends.base import State, Weights
from backends.cim import AxeleraMetis, MythicM1076
from backends.cim.noise import FRESH, NoiseSettings
from backends.profiles import profile
from backends.rwkv7 import forward
from backends.tensors import rows

HOUR_DAYS, DAY_DAYS, MONTH_DAYS = 1 / 24, 1.0, 30.0


@dataclass(frozen=True, slots=True)
class Variant:
    """One device to try. chip "": float32 without any chip."""

    chip: str
    label: str
    noise: NoiseSettings = FRESH
    adc_bits: int | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """Of one variant over all predicted tokens. All but host_tok_s are simulated."""

    chip: str
    label: str
    perplexity: float
    top1_agreement: float  # with the float reference, 0..1
    kl_nats: float  # mean KL(reference || variant)
    host_tok_s: float  # measured: how fast this machine simulates


def standard_variants(adc_bits: Sequence[int] = (8, 6)) -> list[Variant]:
    """Both chips, levels of noise, ages, and converters with fewer bits."""
    out = [Variant("axelera-metis", "exact int8")]
    out += [Variant("mythic-m1076", f"no noise, {bits}-bit ADC", NoiseSettings(0), bits) for bits in adc_bits]
    out += [Variant("mythic-m1076", f"noise x {level:g}", NoiseSettings(level)) for level in (0.5, 1.0, 2.0)]
    ages = (("1 hour", HOUR_DAYS), ("1 day", DAY_DAYS), ("30 days", MONTH_DAYS))
    return out + [Variant("mythic-m1076", f"noise x 1, after {name}", NoiseSettings(1.0, days)) for name, days in ages]


def score(weights: Weights, tokens: np.ndarray, variants: Sequence[Variant]) -> Iterator[Score]:
    """tokens i32[S, T]: S stretches of a text, each from an empty state; the first of a stretch is given, T - 1 are
    predicted. Yields the float32 reference's Score, then one per variant, as they are done."""
    targets, reference = tokens[:, 1:], None
    for variant in (Variant("", "float32 reference"), *variants):
        device = _device(weights, variant)
        states = [State(weights.config) for _ in tokens]
        started = time.perf_counter()
        logits = np.stack([device(tokens[:, t], states) for t in range(targets.shape[1])], axis=1)
        speed = targets.size / (time.perf_counter() - started)
        log_p = _log_softmax(logits)
        reference = log_p if reference is None else reference
        nll = -np.take_along_axis(log_p, targets[..., None], axis=-1).mean()
        kl = (np.exp(reference) * (reference - log_p)).sum(axis=-1).mean()
        same = (log_p.argmax(axis=-1) == reference.argmax(axis=-1)).mean()
        yield Score(variant.chip, variant.label, float(np.exp(nll)), float(same), float(max(kl, 0.0)), float(speed))


Step = Callable[[np.ndarray, list[State]], np.ndarray]
"""(tokens i32[S], states) -> logits f32[S, V]."""


def _device(weights: Weights, variant: Variant) -> Step:
    """A loaded device: a chip, or the model's definition in float32."""
    if not variant.chip:
        params = {name: weights[name] for name in weights if name != "emb.weight"}
        embed = weights.raw("emb.weight")
        return lambda ids, states: forward(rows(embed, ids[:, None]), states, params, lambda n, x: x @ params[n].T)
    if variant.chip == "axelera-metis":
        device = AxeleraMetis()
    else:
        chip = profile(variant.chip)
        if variant.adc_bits:
            chip = chip.replaced(converters__adc_bits=variant.adc_bits)
        device = MythicM1076(noise=variant.noise, chip=chip)
    device.load(weights)
    return lambda ids, states: device.decode(ids, states).logits


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
