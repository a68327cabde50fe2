"""What is kept between starts: the built graph, and the number of threads that was measured to be best."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import tempfile
import time
from pathlib import Path

from backends.base import Weights
from backends.processor import processor_name

FORMAT = 1
"""Raise it whenever the graph changes: a graph of an older program is then not found any more."""

THREADS_VALID_S = 24 * 3600  # a machine that was busy when the threads were measured must not be slow for ever
KEPT = 8  # entries; a graph takes about 1 MB, because its matrices stay in the model store


class Cache:
    """The entry of one model at one precision, for one version of the runtime on one kind of CPU.

    Whatever goes wrong with it costs a rebuild and nothing else: unreadable is absent, unwritable is not written.
    """

    def __init__(self, root: Path | None, weights: Weights, runtime_version: str):
        machine = [runtime_version, platform.machine(), processor_name(), len(os.sched_getaffinity(0))]
        key = [FORMAT, *machine, weights.precision, weights.source_hash]
        name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
        # Without a source hash nothing tells one model's weights from another's.
        self.folder = root / name if root and weights.source_hash else None

    def read_graph(self) -> bytes | None:
        return self._read("graph.onnx")

    def write_graph(self, graph: bytes) -> None:
        self._write("graph.onnx", graph)
        if self.folder:
            self._prune(self.folder.parent)

    def read_threads(self) -> int | None:
        """None if they were not measured within the last day."""
        try:
            note = json.loads(self._read("threads.json") or b"{}")
            fresh = 0 <= time.time() - note["measured_at"] < THREADS_VALID_S
            return int(note["threads"]) if fresh and int(note["threads"]) > 0 else None
        except (ValueError, TypeError, KeyError):
            return None

    def write_threads(self, threads: int, seconds_per_token: dict[int, float]) -> None:
        measured = {str(n): round(s, 6) for n, s in seconds_per_token.items()}
        note = {"threads": threads, "measured_at": time.time(), "seconds_per_token": measured}
        self._write("threads.json", json.dumps(note).encode())

    def _read(self, name: str) -> bytes | None:
        try:
            return (self.folder / name).read_bytes() if self.folder else None
        except OSError:
            return None

    def _write(self, name: str, content: bytes) -> None:
        if not self.folder:
            return
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, temporary = tempfile.mkstemp(dir=self.folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                Path(temporary).replace(self.folder / name)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise

    def _prune(self, root: Path) -> None:
        with contextlib.suppress(OSError):
            entries = sorted(root.iterdir(), key=lambda p: p.stat().st_mtime, reverse=True)
            for old in entries[KEPT:]:
                for file in old.iterdir():
                    file.unlink()
                old.rmdir()
