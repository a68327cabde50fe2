"""Prints the peak resident bytes of this process after a decode step, and the packed bytes of the weights."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from assistant.models.packed import load_packed, save_packed
from assistant.models.quantize import pack
from backends.base import State
from backends.cpu import CpuBackend
from tests.synthetic import RWKV7_0B1, TINY, synthetic_weights

CONFIGS = {"tiny": TINY, "large": replace(RWKV7_0B1, layers=4)}


def main(size: str, folder: Path, make: str = "") -> None:
    path = folder / f"{size}.safetensors"
    if make:  # in a process of its own, whose float32 tensors do not count
        save_packed(path, pack(synthetic_weights(CONFIGS[size]), "int4"))
        return
    subprocess.run([sys.executable, "-m", __spec__.name, size, folder, "make"], check=True)
    weights = load_packed(path)
    backend = CpuBackend(threads=2)
    backend.load(weights)
    backend.decode(np.zeros(1, np.int32), [State(weights.config)])
    peak_kb = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]
    print(int(peak_kb) << 10, weights.nbytes)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
