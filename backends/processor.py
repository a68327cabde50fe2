"""What the kernel calls this machine's processor."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

KEYS = ("model name", "Model", "CPU part", "uarch")
"""Of /proc/cpuinfo, best first: x86 tells a name, boards of other architectures a model or at least a part."""


@cache
def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The name, or at least the architecture; nothing that names a person or this one machine."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    pairs = [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines)]
    for wanted in KEYS:
        for key, value in pairs:
            if key == wanted and value:
                return value
    return platform.machine()
