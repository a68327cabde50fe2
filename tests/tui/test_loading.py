"""What opening the terminal app loads, and how soon it can be seen."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

SHOWN = b"Type a message"


def test_no_part_of_the_app_loads_the_engine_side() -> None:
    code = """if True:
        import pkgutil, sys, importlib, assistant.tui
        for module in pkgutil.walk_packages(assistant.tui.__path__, "assistant.tui."):
            importlib.import_module(module.name)
        import assistant.ask, assistant.client, assistant.launch
        print(*sys.modules)"""
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    forbidden = ("session", "engine", "solver", "history", "models", "daemon")
    roots = {f"assistant.{room}" for room in forbidden} | {"backends", "numpy", "onnxruntime"}
    assert "assistant.tui.screens.help" in loaded
    assert [m for m in loaded if m in roots or m.startswith(tuple(f"{r}." for r in roots))] == []


def test_the_first_paint_waits_for_no_client_and_no_markdown() -> None:
    code = "import assistant.tui.app, sys; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert not {"httpx", "markdown_it", "textual.widgets._markdown"} & set(loaded)


def first_paint(home: Path) -> tuple[float, float]:
    """Seconds from the start of the process to the input on the screen, and to a key's echo."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    began_s = time.perf_counter()
    app = subprocess.Popen(
        [sys.executable, "-c", "from assistant.tui import run; run()"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"ASSISTANT_HOME": str(home), "TERM": "xterm-256color"},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        paint_s = _seen(ours, SHOWN, began_s)
        os.write(ours, b"Zq")
        return paint_s, _seen(ours, b"Zq", began_s)
    finally:
        app.kill()
        app.wait()
        os.close(ours)


def _seen(terminal: int, text: bytes, began_s: float) -> float:
    shown = b""
    while text not in shown:
        readable, _, _ = select.select([terminal], [], [], 30)
        assert readable, shown[-2000:]
        shown += os.read(terminal, 65536)
    return time.perf_counter() - began_s


@pytest.mark.bench
def test_bench_first_paint(home: Path) -> None:
    first_paint(home)  # fills the byte code and file caches
    runs = [first_paint(home) for _ in range(10)]
    paint_s, echo_s = map(statistics.median, zip(*runs, strict=True))
    print(f"\nfirst paint {paint_s:.3f} s, first key echoed {echo_s:.3f} s (medians of {len(runs)})")
    assert len(runs) == 10
