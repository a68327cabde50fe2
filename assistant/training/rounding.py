"""Rounding weights as the shipped precisions store them, for a finish that learns to live with it.

The rules are those of `backends.precisions` and `backends.tensors`: int8 with a scale per row, int4 with a scale per
group of 32 inputs, chosen among a few for the least squared error; under int4 the embedding and the LoRA pairs stay at
int8.
"""

import torch
from torch import Tensor

from assistant.training.optimizer import Slot
from backends.tensors import GROUP, SCALE_STEPS


def int8_rounded(matrix: Tensor) -> Tensor:
    """The f32[out, in] values that a matrix has after quantization to 8 bits."""
    scale = matrix.abs().amax(1, keepdim=True) / 127
    return (matrix / scale.clamp_min(1e-30)).round() * scale


def int4_rounded(matrix: Tensor) -> Tensor:
    """The same for 4 bits; the number of inputs must divide into groups."""
    groups = matrix.view(len(matrix), -1, GROUP)
    largest = groups.gather(-1, groups.abs().argmax(-1, keepdim=True))
    best, least = torch.zeros_like(groups), torch.full_like(largest, torch.inf)
    for step in SCALE_STEPS.tolist():
        scale = (largest * (-step / 8)).half().float()
        inverse = torch.where(scale == 0, 0.0, 1 / scale)
        tried = (groups * inverse).round().clamp(-8, 7) * scale
        error = (groups - tried).square().sum(-1, keepdim=True)
        best, least = torch.where(error < least, tried, best), torch.minimum(error, least)
    return best.view_as(matrix)


def round_into(seen: Tensor, flat: Tensor, slots: list[Slot], bits: int) -> None:
    """Fill `seen` f32[parameters] with the weights of `flat` as `bits` (8 or 4) would keep them."""
    with torch.no_grad():
        for slot in slots:
            part = flat[slot.span]
            if len(slot.shape) != 2 or slot.name.endswith(".r_k"):
                seen[slot.span] = part
                continue
            matrix = part.view(slot.shape)
            if not slot.name.endswith(".weight"):  # a LoRA factor, [in, out] here and [out, in] when it is stored
                seen[slot.span] = int8_rounded(matrix.T).T.reshape(-1)
            elif bits == 4 and slot.name != "emb.weight" and slot.shape[1] % GROUP == 0:
                seen[slot.span] = int4_rounded(matrix).view(-1)
            else:
                seen[slot.span] = int8_rounded(matrix).view(-1)
