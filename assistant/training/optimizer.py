"""Muon for the weight matrices, Adam for everything else, over flat arrays that the worker processes share.

Muon (Keller Jordan, 2024) turns the momentum of a matrix into the nearest orthogonal one by five Newton-Schulz steps;
at this size it reached the same loss in about half of Adam's steps.
"""

import math
from dataclasses import dataclass

import torch.nn as nn
from torch import Tensor

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
MUON_MOMENTUM = 0.95
ADAM_BETAS = (0.9, 0.98)
MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class Schedule:
    """Learning rates at their peak, weight decay, and the warm-up, the stable phase and the decay that scale them.

    A run has no planned length: it stays at the peak until a branch of it is told to decay from a step on. The decay is
    `1 - sqrt(share done)`, the form that lost least in "Scaling Laws and Compute-Optimal Training Beyond Fixed Training
    Durations" (Haegele et al., 2024).
    """

    decay_from: int | None = None
    decay_steps: int = 0
    warm_up_steps: int = 100
    peak: float = 1.0  # of both rates below: less where a run goes on from a decayed model
    adam_rate: float = 2e-3
    muon_rate: float = 2e-2
    weight_decay: float = 0.1

    def scale(self, step: int) -> float:
        """The factor on both rates at a step (0-based)."""
        warm_up = self.peak * min(1.0, (step + 1) / self.warm_up_steps)
        if self.decay_from is None or step < self.decay_from:
            return warm_up
        return warm_up * (1 - math.sqrt(min(1.0, (step - self.decay_from) / max(1, self.decay_steps))))


@dataclass(frozen=True)
class Slot:
    """Where one parameter lives in the flat arrays."""

    name: str
    start: int
    size: int
    shape: tuple[int, ...]

    @property
    def span(self) -> slice:
        return slice(self.start, self.start + self.size)

    @property
    def uses_muon(self) -> bool:
        return len(self.shape) == 2 and self.name.startswith("blocks.") and self.name.endswith(".weight")


def slots_of(model: nn.Module) -> list[Slot]:
    """The flat layout of a model's parameters, in their own order."""
    slots, start = [], 0
    for name, parameter in model.named_parameters():
        slots.append(Slot(name, start, parameter.numel(), tuple(parameter.shape)))
        start += parameter.numel()
    return slots


def bind(model: nn.Module, flat: Tensor, gradient: Tensor) -> None:
    """Make the parameters of `model` and their gradients views into two flat arrays."""
    for slot, parameter in zip(slots_of(model), model.parameters(), strict=True):
        parameter.data = flat[slot.span].view(slot.shape)
        parameter.grad = gradient[slot.span].view(slot.shape)


def share_of(slots: list[Slot], rank: int, workers: int) -> list[Slot]:
    """The slots one worker updates: greedily balanced, a Muon matrix counted as eight times the work."""
    load, mine = [0] * workers, []
    for slot in sorted(slots, key=lambda slot: -slot.size):
        lightest = min(range(workers), key=lambda worker: load[worker])
        load[lightest] += slot.size * (8 if slot.uses_muon else 1)
        if lightest == rank:
            mine.append(slot)
    return mine


def orthogonalised(matrix: Tensor, iterations: int = 5) -> Tensor:
    """Approximately U V^T of the matrix's singular value decomposition U S V^T."""
    a, b, c = NEWTON_SCHULZ
    x = matrix
    x = x / (x.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


def update(
    slot: Slot,
    step: int,
    clip: float,
    schedule: Schedule,
    flat: Tensor,
    gradient: Tensor,
    momentum: Tensor,
    variance: Tensor,
) -> None:
    """One optimizer step on one parameter, in place; all arrays are flat f32[parameters]."""
    span, scale = slot.span, schedule.scale(step)
    weights, grad, mean = flat[span], gradient[span] * clip, momentum[span]
    if slot.uses_muon:
        mean.mul_(MUON_MOMENTUM).add_(grad)
        direction = orthogonalised((grad + MUON_MOMENTUM * mean).view(slot.shape)).reshape(-1)
        rate = schedule.muon_rate * scale
        weights.mul_(1 - rate * schedule.weight_decay)
        weights.add_(direction, alpha=-rate * max(1.0, slot.shape[0] / slot.shape[1]) ** 0.5)
        return
    beta_mean, beta_variance = ADAM_BETAS
    square = variance[span]
    mean.mul_(beta_mean).add_(grad, alpha=1 - beta_mean)
    square.mul_(beta_variance).addcmul_(grad, grad, value=1 - beta_variance)
    rate = schedule.adam_rate * scale
    if slot.name == "head.weight":
        rate *= 0.3
        weights.mul_(1 - rate * schedule.weight_decay)
    elif slot.name.endswith("att.w0"):
        rate *= 2.0
    corrected_mean = mean / (1 - beta_mean ** (step + 1))
    corrected_root = (square / (1 - beta_variance ** (step + 1))).sqrt_().add_(1e-8)
    weights.addcdiv_(corrected_mean, corrected_root, value=-rate)
