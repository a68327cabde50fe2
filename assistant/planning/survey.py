"""Every way to run a model on this machine, with its figures, as options for the solver."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import msgspec

from assistant.models.manifest import Manifest
from assistant.models.results import quality
from assistant.planning import devices
from assistant.planning.calibration import Predictor
from assistant.planning.feedback import Feedback
from assistant.solver.placement import front
from assistant.solver.problem import SIMULATED, UNTESTED, Figure, Option
from backends.base import Cost, ModelConfig, Workload
from backends.deployment import Deployment, Placeable
from backends.precisions import BITS, stored_bytes
from backends.profiles import profile

ELSEWHERE = "measured only with all weights on chips"
NOT_MEASURED = "not measured: assistant bench --calibrate"
NOT_CALIBRATED = "assumed constants of a host: assistant bench --calibrate"
SCALES_TO = 4  # threads; assumed where nothing is measured: the constants are of one, a few share a memory bus well


@dataclass(frozen=True)
class Question:
    """What is asked. None: everything there is. `simulated`: whether chips that are not here are priced at all."""

    models: Sequence[Manifest]
    prompt_tokens: int = 256
    max_batch: int = 8
    backend: str | None = None
    precision: str | None = None
    threads: int | None = None
    simulated: bool = True
    cores: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))


def survey(question: Question, predictor: Predictor | None, feedback: Feedback | None = None) -> list[Option]:
    """Options in a stable order: model, backend, precision, threads or chips, conversations."""
    found: list[Option] = []
    for manifest in question.models:
        for name, kind in devices.kinds().items():
            if question.backend not in (None, name) or (kind.info.simulated and not question.simulated):
                continue
            for precision in _precisions(manifest, kind.info.precisions, question.precision):
                machine = _Device(manifest, name, precision, question, predictor, feedback)
                found += machine.options()
    return found


def config_of(manifest: Manifest) -> ModelConfig:
    return ModelConfig(**msgspec.structs.asdict(manifest.config))


def _precisions(manifest: Manifest, offered: Sequence[str], asked: str | None) -> list[str]:
    """As stored, and narrower ones made from that. A wider one adds nothing: only who asks for it gets it, or a backend
    that offers none of the stored ones."""
    if asked is not None:
        return [p for p in offered if p == asked]
    widest = max(BITS[p] for p in manifest.weights)
    found = [p for p in offered if BITS[p] <= widest or p in manifest.weights]
    if not set(found) & set(manifest.weights):
        found += sorted((p for p in offered if BITS[p] > widest), key=BITS.get)[:1]
    return found


def memory_bytes(config: ModelConfig, precision: str, batch: int) -> int:
    """Weights as they are stored, and two states per conversation (its own, and a snapshot to go back to)."""
    weights = sum(stored_bytes(name, shape, precision) for name, shape in config.tensor_shapes().items())
    return int(weights + batch * 2 * config.state_floats * 4)


class _Device:
    """One model on one kind of backend at one precision."""

    def __init__(self, manifest: Manifest, backend: str, precision: str, question: Question,
                 predictor: Predictor | None, feedback: Feedback | None):  # fmt: skip
        self.manifest, self.backend, self.precision, self.question = manifest, backend, precision, question
        self.predictor, self.feedback = predictor, feedback
        self.kind, self.config = devices.kinds()[backend], config_of(manifest)
        self.info, self.sha = self.kind.info, manifest.source.sha256
        value, note = quality(manifest.name, self.sha, backend, precision, simulated=self.info.simulated)
        self.quality = Figure(value, "measured" if value is not None else "modelled", note)
        narrower = BITS[precision] < max(BITS[p] for p in manifest.weights)
        self.untested = value is None and precision not in manifest.weights and narrower
        self.unusable = devices.unavailable(backend)

    def options(self) -> Iterator[Option]:
        if self.unusable:
            yield self._option({}, 1, self.unusable)
        elif isinstance(self.kind, Placeable) and self.question.backend is None:
            for options, label in placements(self.backend, self.config, self.precision):
                yield from self._batches(options, label)
        elif devices.takes_threads(self.kind):
            for threads in self._threads():
                yield from self._batches({"threads": threads}, _threads(threads))
        else:  # who names a chip gets it whole: as many as hold the model, nothing left to the host that fits
            yield from self._batches({}, "")

    def _threads(self) -> list[int]:
        """Those that were measured; else as many as a short measurement at load finds useful (0), and one."""
        if self.question.threads:
            return [self.question.threads]
        measured = self.predictor.calibration.threads(self.backend, self.precision) if self.predictor else []
        return [t for t in measured if t <= self.question.cores] or [0, 1]

    def _batches(self, options: dict, label: str) -> Iterator[Option]:
        batch, batches = 1, []
        while batch < self.question.max_batch:
            batches.append(batch)
            batch *= 2
        batches.append(self.question.max_batch)
        alone = self._option(options, 1, None, label)
        for n in batches:
            yield alone if n == 1 else self._busier(alone, options, n)

    def _option(self, options: dict, batch: int, unusable: str | None, label: str = "") -> Option:
        threads = options.get("threads")
        figures: dict[str, Figure] = {} if unusable else self._alone(options)
        figures |= {"quality": Figure(None, "modelled", ELSEWHERE) if options.get("host") else self.quality,
                    "retention_days": Figure(0.0, "measured", "nothing leaves the machine"),
                    "usd_per_mtok": Figure(0.0, "measured", "electricity aside"),
                    "threads": Figure(self._busy_threads(threads), "measured"),
                    "chips": Figure(options.get("chips", 1 if self.info.simulated else 0), "measured")}  # fmt: skip
        flags = {SIMULATED} if self.info.simulated else set()
        flags |= {UNTESTED} if self.untested else set()
        traits = {"model": self.manifest.name, "backend": self.backend, "precision": self.precision, "where": label}
        settings = {"model": self.manifest.name, "backend": self.backend, "precision": self.precision,
                    "threads": threads, "options": options, "batch": batch, "source": self.sha,
                    "predicted_s": None if unusable else self._predicted(options, 1, 1)[0]}  # fmt: skip
        name = " ".join(p for p in (self.manifest.name, self.backend, self.precision, label) if p)
        option = Option(name, figures, traits, flags=frozenset(flags), preference=64 * self.info.preference,
                        unusable=unusable, settings=settings)  # fmt: skip
        return option if unusable else self._busier(option, options, 1)

    def _busy_threads(self, threads: int | None) -> int:
        if threads is None:
            return 0 if self.info.simulated else 1
        return threads or self.question.cores

    def _busier(self, option: Option, options: dict, batch: int) -> Option:
        """The same with room for `batch` conversations; of equals the one with more room is preferred."""
        seconds = self._pass(options, 1, batch)
        figures = {
            **option.figures,
            "ms_per_token_busy": Figure(_ms(seconds[0]), *seconds[2:]),
            "memory_mb": Figure(memory_bytes(self.config, self.precision, batch) / 1e6, "modelled",
                                "weights as stored, two states per conversation"),
            "conversations": Figure(batch, "measured"),
        }  # fmt: skip
        return replace(option, name=option.name.split(", ")[0] + f", {batch} at once", figures=figures,
                       preference=64 * self.info.preference + batch, settings={**option.settings, "batch": batch},
                       traits={**option.traits, "conversations": str(batch)})  # fmt: skip

    def _alone(self, options: dict) -> dict[str, Figure]:
        median_s, p95_s, basis, note = self._pass(options, 1, 1)
        ttft_s, _, prefill_basis, prefill_note = self._pass(options, self.question.prompt_tokens, 1)
        energy = self._energy(options, median_s)
        return {
            "ms_per_token": Figure(_ms(median_s), basis, note),
            "ms_per_token_p95": Figure(_ms(p95_s), basis, note),
            "ttft_s": Figure(ttft_s, prefill_basis, prefill_note),
            "joules_per_token": energy,
            "watts": Figure(energy.value and energy.value / median_s, energy.basis, energy.note),
        }

    def _energy(self, options: dict, seconds: float | None) -> Figure:
        """Per token. A host also keeps its cores busy for as long as a token takes; without that, slower would look
        thriftier."""
        cost = self._estimate(options, 1, 1)
        if self.info.simulated:
            return Figure(cost.energy_j, cost.basis, "chip and links")
        if seconds is None:
            return Figure(None, "modelled", NOT_MEASURED)
        threads = options.get("threads", 1) or self.question.cores
        if self.predictor and (watts := self.predictor.calibration.watts(self.backend, self.precision, threads)):
            return Figure(
                watts * seconds, "modelled", f"power measured here ({self.predictor.calibration.sensor}) x time"
            )
        cores_w = profile("host").value("power.core_active_w") * threads
        note = f"memory traffic, arithmetic and {cores_w:.0f} W for busy cores; without the machine's idle power"
        return Figure(cost.energy_j + cores_w * seconds, "modelled", note)

    def _pass(self, options: dict, tokens: int, batch: int) -> tuple[float | None, float | None, str, str]:
        """(median, 95th percentile) seconds of a pass, basis, and what it rests on. Never "measured": a prediction."""
        median_s, p95_s, basis, note = self._predicted(options, tokens, batch)
        if self.feedback and tokens == 1 and basis != "simulated" and median_s is not None:
            key = Feedback.key(self.sha, self.backend, self.precision, options.get("threads") or 0)
            ratio = self.feedback.ratio(key)
            note += f", x {ratio:.2f} by recent replies" if abs(ratio - 1) > 0.005 else ""
            median_s, p95_s = median_s * ratio, p95_s * ratio
        return median_s, p95_s, basis, note

    def _predicted(self, options: dict, tokens: int, batch: int) -> tuple[float | None, float | None, str, str]:
        """The same without what recent replies teach."""
        threads = options.get("threads", 1) or self.question.cores
        if self.predictor and not self.info.simulated:
            found = self.predictor.pass_s(self.backend, self.precision, threads, self.config, tokens, batch, self.sha)
            if found:
                median_s, p95_s, same = found
                note = "this model as measured here" if same else "law fitted to measurements here"
                return median_s, p95_s, "modelled", note
            return None, None, "modelled", NOT_MEASURED  # assumptions must not compete with measurements
        cost = self._estimate(options, tokens, batch)
        if self.info.simulated:
            return cost.latency_s, cost.latency_s, "simulated", "middle of the band"
        seconds = cost.latency_s / min(threads, SCALES_TO)
        return seconds, seconds, "modelled", NOT_CALIBRATED

    def _estimate(self, options: dict, tokens: int, batch: int) -> Cost:
        return _backend(self.backend, tuple(sorted(options.items()))).estimate(
            self.config, Workload(tokens, batch, self.precision))  # fmt: skip


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


def _threads(count: int) -> str:
    return "all useful threads" if not count else "1 thread" if count == 1 else f"{count} threads"


@lru_cache(maxsize=256)
def _backend(name: str, options: tuple[tuple[str, object], ...]):
    """An unloaded backend to ask for estimates: cheap to make and it holds nothing."""
    return devices.make(name, dict(options))


@lru_cache(maxsize=64)
def placements(backend: str, config: ModelConfig, precision: str) -> tuple[tuple[dict, str], ...]:
    """(constructor options, words) of each deployment's best placements, as the backend itself prices them."""
    found: dict[str, tuple[dict, str]] = {}
    for deployment in devices.kinds()[backend].deployments(config, precision):
        best = front(deployment)
        for i in sorted({0, len(best) // 2, len(best) - 1}) if best else ():
            options = dict(deployment.realise(best[i].places))
            found.setdefault(repr(sorted(options.items())), (options, _words(deployment, best[i].places)))
    return _best_priced(backend, config, precision, found.values())


def _best_priced(backend: str, config: ModelConfig, precision: str, found: Iterable[tuple[dict, str]]
                 ) -> tuple[tuple[dict, str], ...]:  # fmt: skip
    """Without those that another one beats in time and energy with no more chips, by the backend's own price."""
    priced = []
    for options, label in found:
        cost = _backend(backend, tuple(sorted(options.items()))).estimate(config, Workload(1, 1, precision))
        priced.append((cost.latency_s, cost.energy_j, options.get("chips", 0), options, label))
    keep = [p for p in priced if not any(
        q[0] <= p[0] and q[1] <= p[1] and q[2] <= p[2] and (q[:3] < p[:3] or priced.index(q) < priced.index(p))
        for q in priced if q is not p)]  # fmt: skip
    return tuple((options, label) for *_, options, label in keep)


def _words(deployment: Deployment, places: Sequence[int]) -> str:
    """`2 chips; host: head, 4 x time-mix`."""
    away: dict[str, int] = {}
    for group, site in zip(deployment.groups, places, strict=True):
        if site:
            kind = group.name.split()[-1]
            away[kind] = away.get(kind, 0) + 1
    held = " + ".join(kind if n == 1 and kind == "head" else f"{n} x {kind}" for kind, n in away.items())
    return deployment.title + (f"; on {deployment.sites[1].name}: {held}" if held else "")
