"""Rounding weights as the shipped precisions do, for a finish that learns to live with it.

int8: one symmetric scale per row, as `assistant.models.quantize`; int4: one symmetric scale per 32 inputs of a row.
Matrices that stay in float at run time (embedding, LoRA pairs, vectors) are copied as they are.
"""

import torch
from torch import Tensor

from assistant.training.optimizer import Slot

GROUP = 32
LARGEST = {8: 127, 4: 7}


def is_rounded(slot: Slot) -> bool:
    """Whether the program stores this tensor as whole numbers."""
    return slot.uses_muon or slot.name == "head.weight"


def rounded(matrix: Tensor, bits: int) -> Tensor:
    """The f32[rows, inputs] values that a matrix has after quantization to 8 or 4 bits."""
    rows, inputs = matrix.shape
    groups = matrix.view(rows, -1, GROUP) if bits == 4 and inputs % GROUP == 0 else matrix.view(rows, 1, inputs)
    scale = groups.abs().amax(-1, keepdim=True).clamp_min(1e-12) / LARGEST[bits]
    return ((groups / scale).round() * scale).view(rows, inputs)


def round_into(seen: Tensor, flat: Tensor, slots: list[Slot], bits: int) -> None:
    """Fill `seen` f32[parameters] with the weights of `flat` as `bits` would keep them."""
    with torch.no_grad():
        for slot in slots:
            part = flat[slot.span]
            seen[slot.span] = rounded(part.view(slot.shape), bits).view(-1) if is_rounded(slot) else part
