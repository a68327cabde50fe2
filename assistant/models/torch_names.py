"""What a pickle of tensors may mention: torch's names, as texts, and the plain values they stand for.

Source: `torch/_utils.py` (`_rebuild_tensor_v2`, `_v3`, `_rebuild_parameter`), `torch/serialization.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import ml_dtypes
import numpy as np


class Name(NamedTuple):
    """A global that the file mentions; only ever compared, never imported."""

    module: str
    name: str


class StorageRef(NamedTuple):
    """A storage of the archive; dtype None: bytes whose type each tensor states."""

    dtype: np.dtype | None
    key: str
    numel: int


class TensorRef(NamedTuple):
    """A strided view of a storage; offset and stride count elements."""

    storage: StorageRef
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


FLOATS = {
    "Float": np.dtype(np.float32),
    "Half": np.dtype(np.float16),
    "BFloat16": np.dtype(ml_dtypes.bfloat16),
}
STORAGES: dict[Name, np.dtype | None] = {
    **{Name("torch", f"{kind}Storage"): dtype for kind, dtype in FLOATS.items()},
    Name("torch.storage", "UntypedStorage"): None,
}
DTYPES = {
    Name("torch", "float32"): FLOATS["Float"],
    Name("torch", "float16"): FLOATS["Half"],
    Name("torch", "bfloat16"): FLOATS["BFloat16"],
}
ORDERED_DICT = Name("collections", "OrderedDict")
TENSOR_V2 = Name("torch._utils", "_rebuild_tensor_v2")
TENSOR_V3 = Name("torch._utils", "_rebuild_tensor_v3")
PARAMETER = Name("torch._utils", "_rebuild_parameter")
KNOWN = {ORDERED_DICT, TENSOR_V2, TENSOR_V3, PARAMETER, *STORAGES, *DTYPES}
