"""How fast this host's memory can be read: the wall, measured by the native core without a model."""

from __future__ import annotations

import ctypes

from backends.cpu.library import Shape, instruction_sets, load_library

READINGS = 7
_TINY = Shape(layers=1, width=64, heads=1, head_size=64, vocab=64, ffn=64,
              decay_rank=32, iclr_rank=32, value_rank=0, gate_rank=32)  # fmt: skip


def host_read_bandwidth(size: int, threads: int) -> float:
    """Bytes per second (measured) of reading `size` bytes in order with `threads` threads; the memory is given back.

    The best of seven readings after one that warms the caches: what other programs take away meanwhile is not a limit
    of the memory. Raises OSError where the native core or the memory is missing.
    """
    lib = load_library()
    usable = [name for name, here in instruction_sets().items() if here]
    if not usable:
        raise OSError("the native core knows no instruction set of this machine")
    model = lib.rwkv7_new(ctypes.byref(_TINY), 0, usable[0].encode())
    if not model:
        raise OSError("there is not enough memory")
    try:
        lib.rwkv7_threads(model, threads)
        readings = [lib.rwkv7_read_seconds(model, size) for _ in range(READINGS + 1)][1:]
    finally:
        lib.rwkv7_free(model)
    if min(readings) <= 0:
        raise OSError(f"there is not enough memory to read {size} bytes")
    return size / min(readings)
