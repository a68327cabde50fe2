"""What `assistant eval` found of each model, as the solver's quality floor reads it.

Results lie in <data>/evaluations/<model>.json, by backend and precision. Those of the embedded model as it is stored
ship beside it; of its conversions none do, so that nothing is converted at the first start before a person has measured
it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from assistant import paths
from assistant.models.store import EMBEDDED, RESERVED, SHIPPED

SHIPPED_FILE = "evaluations.json"
ENOUGH_PROBES = 50  # a quick look at a few probes is no measurement


class _Share(msgspec.Struct):
    asked: int
    answered: int


class _Result(msgspec.Struct):
    """The few fields of an evaluation that matter here; others are ignored."""

    source_sha256: str
    backend: str
    precision: str
    simulated: bool
    battery: dict[str, _Share] = {}

    @property
    def greedy(self) -> _Share:
        return self.battery.get("greedy", _Share(0, 0))


def results_file(model: str, folder: Path | None = None) -> Path:
    return (folder or paths.data_dir() / "evaluations") / f"{model}.json"


def quality(model: str, source_sha256: str, backend: str, precision: str, *, simulated: bool = False,
            folder: Path | None = None) -> tuple[float | None, str]:  # fmt: skip
    """(share of the probes answered well with greedy choice, what it rests on), or (None, why it is not known).

    Only a measurement of exactly these weights counts. Real backends are held to one reference within a budget per
    precision, so for them another real one at the same precision will do; a simulated chip must have been measured.
    """
    model = EMBEDDED if model in RESERVED else model
    found = {**_read(SHIPPED / SHIPPED_FILE if model == EMBEDDED else None), **_read(results_file(model, folder))}
    fits = [r for r in found.values() if r.source_sha256 == source_sha256 and r.precision == precision
            and r.simulated == simulated and r.greedy.asked >= ENOUGH_PROBES]  # fmt: skip
    own = [r for r in fits if r.backend == backend]
    for result in own or ([] if simulated else fits):
        battery = result.greedy
        return battery.answered / battery.asked, f"{battery.asked} probes on {result.backend}/{precision}"
    return None, f"not measured: assistant eval {model} --backend {backend} --precision {precision}"


def _read(file: Path | None) -> dict[str, _Result]:
    """By `backend/precision`; a file that cannot be read counts as none."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, _Result]) if file else {}
    except (OSError, msgspec.MsgspecError):
        return {}
