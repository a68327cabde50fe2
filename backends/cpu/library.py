"""The native library: where it is, its functions with their types, and why it is missing where it is."""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from pathlib import Path

NAME = "librwkv7.so"
OVERRIDE = "RWKV7_LIBRARY"
"""Environment variable that names another build of the library (the tests' sanitizer builds)."""


class Shape(ctypes.Structure):
    """`Shape` of native/rwkv7.h."""

    _fields_ = [(name, ctypes.c_int32) for name in (
        "layers", "width", "heads", "head_size", "vocab", "ffn", "decay_rank", "iclr_rank", "value_rank", "gate_rank",
    )]  # fmt: skip


@lru_cache(maxsize=1)
def load_library() -> ctypes.CDLL:
    """The library with its types declared. ctypes lets go of the GIL during calls. Raises OSError with the reason."""
    path = os.environ.get(OVERRIDE) or _find()
    lib = ctypes.CDLL(str(path))
    p, i, s = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    for name, result, arguments in (
        ("rwkv7_isa", s, (i, ctypes.POINTER(i))),
        ("rwkv7_isa_used", s, (p,)),
        ("rwkv7_new", p, (ctypes.POINTER(Shape), i, s)),
        ("rwkv7_put", i, (p, s, i, i, i, p, p)),
        ("rwkv7_threads", i, (p, i)),
        ("rwkv7_pass", ctypes.c_int64, (p, i, i, i, p, p, p, p)),
        ("rwkv7_read_seconds", ctypes.c_double, (p, ctypes.c_size_t)),
        ("rwkv7_free", None, (p,)),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def instruction_sets() -> dict[str, bool]:
    """What the library was built for, best first, and whether this machine has it. Raises OSError."""
    lib, found, usable = load_library(), {}, ctypes.c_int()
    while name := lib.rwkv7_isa(len(found), ctypes.byref(usable)):
        found[name.decode()] = bool(usable.value)
    return found


def _find() -> Path:
    import backends.cpu

    for folder in backends.cpu.__path__:  # an editable install keeps what is built apart from the sources
        if (path := Path(folder) / "lib" / NAME).is_file():
            return path
    raise OSError("it was not built, because no C compiler was found when the assistant was installed")
