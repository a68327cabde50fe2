"""Growing a model in the middle of a run: new layers that at first change nothing, and whole words for split ones.

A new block is a fresh one whose two output matrices are zero, as every block of a new model starts: the residual stream
passes it untouched, so the grown model says exactly what the small one said (compare progressive stacking, Gong et al.,
2019). A new token starts as the mean of the pieces it was read as, and is expected where the first of them was.
"""

import torch
from torch import Tensor

from assistant.training.model import Rwkv7, Shape, shape_of
from assistant.training.optimizer import slots_of
from assistant.training.vocabulary import END_OF_TEXT, Tokenizer


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


def with_vocabulary(weights: dict[str, Tensor], old: dict[int, bytes], new: dict[int, bytes]) -> dict[str, Tensor]:
    """The weights for another vocabulary (token id -> bytes): rows of tokens that stay are kept, new ones composed."""
    kept = {data: token for token, data in old.items()}
    tokenizer = Tokenizer(old)
    rows = {name: weights[name] for name in ("emb.weight", "head.weight")}
    grown = {name: torch.empty(len(new) + 1, tensor.shape[1]) for name, tensor in rows.items()}
    for name, tensor in rows.items():
        grown[name][END_OF_TEXT] = tensor[END_OF_TEXT]
    for token, data in new.items():
        pieces = [kept[data]] if data in kept else tokenizer.encode_bytes(data)
        grown["emb.weight"][token] = rows["emb.weight"][pieces].mean(0)
        grown["head.weight"][token] = rows["head.weight"][pieces[0]]
    return weights | grown


def grown_checkpoint(saved: dict, weights: dict[str, Tensor]) -> dict:
    """The checkpoint `saved` with grown `weights`.

    The optimizer forgets what it knew of parameters of another shape, and of all layers when their number changes.
    """
    before, after = (slots_of(Rwkv7(shape_of(w))) for w in (saved["weights"], weights))
    places = {(slot.name, slot.shape): slot for slot in before}
    deeper = shape_of(saved["weights"]).layers != shape_of(weights).layers
    arrays = {}
    for name in ("momentum", "variance"):
        arrays[name] = torch.zeros(sum(slot.size for slot in after))
        for slot in after:
            place = places.get((slot.name, slot.shape))
            if place and not (deeper and slot.name.startswith("blocks.")):
                arrays[name][slot.span] = saved[name][place.span]
    return saved | arrays | {"weights": weights}
