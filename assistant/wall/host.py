"""This host, measured now: read bandwidth over a pass's bytes, rates of three passes, and the highest MAC rate seen."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assistant.errors import BackendError
from assistant.evaluation.command import make_backend
from assistant.meter.bandwidth import Reading
from assistant.models.store import Store
from assistant.planning import calibration
from assistant.planning.bandwidth import host_bandwidth
from assistant.wall.subject import Pass, Subject
from backends.base import Backend, BadWeights, Cost, State, Weights, Workload
from backends.networks import rwkv7
from backends.tensors import quantize_int8

BUDGET_S = 0.25  # for one kind of pass
LEAST_PASSES, MOST_PASSES = 5, 200
RUN_UP_TO_BYTES = 2 << 30
"""Larger models are not loaded only to be measured, unless asked for."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One kind of pass as it ran. bytes_moved: as the backend billed it, without rows it did not have to read."""

    what: Pass
    seconds: float  # median
    bytes_moved: int

    @property
    def tok_s(self) -> float:
        return self.what.tokens_out / self.seconds

    @property
    def bytes_s(self) -> float:
        return self.bytes_moved / self.seconds

    @property
    def macs_s(self) -> float:
        """Of the dense network, skipped rows included."""
        return self.what.macs / self.seconds


@dataclass(frozen=True, slots=True)
class Host:
    """What was measured. `why_not`: why the model was not run, if it was not."""

    backend: str
    threads: int | None
    reading: Reading
    peak_macs_s: float | None
    passes: tuple[Measured, ...]
    why_not: str = ""
    energy_j_per_token: float | None = None  # modelled by the backend
    predicted_s: tuple[tuple[str, float], ...] = ()  # modelled: pass -> seconds, where this machine is calibrated


def measure(model: Subject, *, run: bool | None = None, fresh: bool = False) -> Host:
    """`run`: None runs the model where its weights are here and not huge. Raises BackendError."""
    backend = make_backend("auto")
    try:
        passes, why_not = (), "no weights of it here"
        if model.stored:
            weights = Store().open(model.stored, model.precision).weights
            if run is False:
                why_not = "not asked for"
            elif run is None and weights.nbytes > RUN_UP_TO_BYTES:
                why_not = f"it has {weights.nbytes / 1e9:.1f} GB: --measure runs it all the same"
            elif model.precision not in backend.info.precisions:
                why_not = f"the backend '{backend.info.name}' does not run {model.precision}"
            else:
                passes, why_not = _run(backend, weights, model), ""
        threads = getattr(backend, "threads", None) or None if passes else None
        reading = _read(model, fresh)
        peak = _peak(backend) if run is not False else None
        if passes:
            peak = max(peak or 0.0, *(m.macs_s for m in passes))
        joules = backend.estimate(model.config, Workload(1, 1, model.precision)).energy_j
        predicted = _predicted(backend, model, threads) if not passes else ()
        return Host(backend.info.name, threads, reading, peak, passes, why_not, joules, predicted)
    finally:
        backend.close()


def _read(model: Subject, fresh: bool) -> Reading:
    try:
        return host_bandwidth(model.one("", 1, 1).bytes_moved, fresh=fresh)
    except OSError as error:
        raise BackendError("the read bandwidth cannot be measured", why=error) from error


def last_level_cache_bytes(root: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> int | None:
    """Size of the largest cache that the first processor sees; None where the kernel does not tell."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    sizes = []
    for file in root.glob("index*/size"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            text = file.read_text().strip()
            sizes.append(int(text[:-1]) * units[text[-1]])
    return max(sizes, default=None)


def _predicted(backend: Backend, model: Subject, threads: int | None) -> tuple[tuple[str, float], ...]:
    """By the laws of `assistant bench --calibrate`, with the fastest number of threads."""
    kept, name = calibration.load(), backend.info.name
    if kept is None:
        return ()
    laws, found = calibration.Predictor(kept), []
    for what in model.passes():
        seconds = [laws.pass_s(name, model.precision, n, model.config, what.tokens, what.batch)
                   for n in ([threads] if threads else kept.threads(name, model.precision))]  # fmt: skip
        if known := [s[0] for s in seconds if s]:
            found.append((what.name, min(known)))
    return tuple(found)


def _run(backend: Backend, weights: Weights, model: Subject) -> tuple[Measured, ...]:
    try:
        backend.load(weights)
    except BadWeights as error:
        raise BackendError(f"'{model.name}' does not run on '{backend.info.name}'", why=error) from error
    rng, found = np.random.default_rng(0), []
    for what in model.passes():
        states = [State(model.config) for _ in range(what.batch)]

        def one(states: list[State] = states, what: Pass = what) -> Cost:
            tokens = rng.integers(0, model.config.vocab, what.tokens_out).astype(np.int32)
            step = backend.prefill(tokens, states[0]) if what.tokens > 1 else backend.decode(tokens, states)
            return step.cost

        seconds, moved = _median(one)
        found.append(Measured(what, seconds, moved))
    return tuple(found)


def _median(one: Callable[[], Cost]) -> tuple[float, int]:
    """(seconds, bytes moved) of the median pass; the first two warm up."""
    times, moved, deadline = [], [], time.perf_counter() + BUDGET_S
    for _ in range(2):
        one()
    while len(times) < LEAST_PASSES or (time.perf_counter() < deadline and len(times) < MOST_PASSES):
        started = time.perf_counter()
        cost = one()
        times.append(time.perf_counter() - started)
        moved.append(cost.bytes_moved)
    return statistics.median(times), int(statistics.median(moved))


def _peak(backend: Backend) -> float | None:
    """MAC/s that the backend reaches on a prompt with matrices that suit it: 1,024 wide, int8, random."""
    if "int8" not in backend.info.precisions:
        return None
    config, rng = rwkv7(2, 1024, (64, 64, 32, 128), vocab=64), np.random.default_rng(0)
    tensors = {}
    for name, shape in config.tensor_shapes().items():
        values = rng.standard_normal(shape, np.float32) * 0.02
        matrix = len(shape) == 2 and not name.endswith(".r_k")
        tensors[name] = quantize_int8(values) if matrix else values
    model = Subject("", config, "int8")
    what = model.one("", 64, 1)
    backend.load(Weights(tensors, "int8"))
    state, tokens = State(config), rng.integers(0, config.vocab, 64).astype(np.int32)
    seconds, _ = _median(lambda: backend.prefill(tokens, state).cost)
    return what.macs / seconds
