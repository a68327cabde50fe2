"""Growing a model in depth in the middle of a run: new layers that at first change nothing.

A new block is a fresh one whose two output matrices are zero, as every block of a new model starts: the residual stream
passes it untouched, so the grown model says exactly what the small one said (compare progressive stacking, Gong et al.,
2019).
"""

import torch
from torch import Tensor

from assistant.training.model import Rwkv7, Shape, shape_of


def deepened(weights: dict[str, Tensor], layers: int, seed: int = 0) -> dict[str, Tensor]:
    """The weights of a model of `layers` layers that computes what the given one does; new layers are spread evenly.

    Raises ValueError if it would have fewer layers than there are.
    """
    shape = shape_of(weights)
    if layers < shape.layers:
        raise ValueError(f"the model has {shape.layers} layers already")
    torch.manual_seed(seed)
    fresh = Rwkv7(Shape(shape.vocabulary, shape.width, layers, shape.lora_ranks)).state_dict()
    # Layer 0 stays first: it holds ln0 and defines v_first.
    places = [round(index * (layers - 1) / max(1, shape.layers - 1)) for index in range(shape.layers)]
    grown = {name: tensor.clone() for name, tensor in fresh.items()}
    for name, tensor in weights.items():
        if not name.startswith("blocks."):
            grown[name] = tensor.clone()
            continue
        _, index, rest = name.split(".", 2)
        grown[f"blocks.{places[int(index)]}.{rest}"] = tensor.clone()
    return grown
