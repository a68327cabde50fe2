"""Everything a daemon holds, built in order and given back in reverse: model, backend, engine, history, sessions."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from assistant import paths, proofs, seccomp, silence, wire
from assistant.config import Config
from assistant.daemon.bell import Bell
from assistant.daemon.replan import Follower
from assistant.daemon.resident import Resident
from assistant.engine import Engine
from assistant.errors import BackendError, ConfigError, HistoryError, ModelFileError, RequestError
from assistant.history import Checkpoints, History
from assistant.meter import Meter, bandwidth
from assistant.meter.energy import EnergyMeter
from assistant.meter.metrics import Metrics
from assistant.models.manifest import record_of
from assistant.models.store import LoadedModel, Store
from assistant.mood.sensor import Sensor, sensor_of
from assistant.planning import devices
from assistant.planning.bandwidth import host_bandwidth
from assistant.session.chats import Chats, Speaker
from assistant.session.completions import Completions
from assistant.session.constrained import Grammars
from assistant.session.responses import Responses
from assistant.session.skill_calls import SkillCalls
from assistant.session.skilled import BACKEND as SKILL
from assistant.skills.registry import REMINDERS, Registry
from assistant.solver.problem import Option
from backends.base import Backend, BackendUnavailable, Workload

VERIFY_LIMIT_BYTES = 512 << 20
"""Larger weights are not hashed at every start: half a second of one core for this much."""
NO_HISTORY = "make it a writable folder of your own; with `[history] enabled = false` nothing is kept"
QUIET_S = 1.0  # without a request before the memory is measured
DRAIN_LOOK_S = 0.05
log = logging.getLogger(__name__)


class Services:
    """The daemon's parts. Constructing opens the files (and fails early); `start` loads the weights."""

    def __init__(self, config: Config):
        self.config = config
        self.started_at, self.last_used_s, self.model_used_s = time.time(), time.monotonic(), time.monotonic()
        self._store = Store()
        self.follower = Follower(config, self._store)
        self.model, self.backend = self._open(self.follower.active)
        keep = config.history.enabled
        if keep:
            try:
                paths.ensure_private_dir(paths.state_dir())
                paths.ensure_private_dir(paths.checkpoints_dir())
            except ConfigError as error:
                raise ConfigError(error.what, where=error.where, why=error.why, hint=NO_HISTORY) from error
        self.history = History(paths.history_file() if keep else None)
        self.history.verify()
        if cut := self.history.mark_interrupted():
            log.warning("%d reply(ies) were cut off by the end of an earlier daemon; what they had is kept", cut)
        self.checkpoints = Checkpoints(
            paths.checkpoints_dir() if keep else None, self.model.weights.config, self._state_key(),
            config.history.checkpoint_cap_mb << 20,
        )  # fmt: skip
        self.skills = Registry(config.skills)
        self.bell = Bell(self.skills.folder(REMINDERS), on=self.skills.is_on(REMINDERS))
        self.sensor = self._sensor()
        self.metrics, self.energy = Metrics(), EnergyMeter()
        self.read_bandwidth: bandwidth.Reading | None = None
        """The memory wall, once it is known: measured while nobody waits, or kept from an earlier measurement."""
        self._background: list[asyncio.Task] = []
        self._ringing: asyncio.Task | None = None
        self._engine: Engine | None = None
        self.damage: str | None = None
        self.stopping = False
        self._ready = asyncio.Event()

    def _open(self, option: Option) -> tuple[LoadedModel, Resident]:
        """What an option names, not loaded yet. Raises AssistantError."""
        wanted = option.settings
        # No threads: the backend measures what is fastest.
        options = {**wanted["options"], "threads": wanted["threads"] or None}
        model = self._store.open(wanted["model"], wanted["precision"])
        return model, Resident(devices.make(wanted["backend"], options))

    def _sensor(self) -> Sensor:
        """What reads moods with the present model."""
        manifest = self.model.manifest
        tuned = manifest.state is not None
        return sensor_of(self._store.folder(manifest.name), manifest.source.sha256, self.model.weights.config, tuned)

    def _state_key(self) -> str:
        """What states belong to. Any real device goes on from another's, at whatever precision; but what a simulated
        chip computed carries its noise, and nothing else may continue from that."""
        manifest, info = self.model.manifest, self.backend.info
        device = f"/{info.name}" if info.simulated else ""
        tuned = f"/{manifest.state.sha256}" if manifest.state else ""
        return f"{manifest.source.sha256}/{manifest.template}{device}{tuned}"

    async def _load(self) -> None:
        """Load the weights without blocking the loop; if the device does not come up, the next best one."""
        while True:
            try:
                return await asyncio.to_thread(self.backend.load, self.model.weights)
            except BackendUnavailable as error:
                log.warning("%s; choosing again", error)
                self.model, self.backend = self._open(self.follower.broken(self.backend.info.name))
                self.checkpoints.belong_to(self._state_key())

    async def start(self) -> None:
        """Load the weights, then open for requests and begin to follow the policy."""
        self._ringing = asyncio.create_task(self.bell.run())  # it needs no model, and something may be due
        await self._load()
        engine = Engine(self.backend, max_batch=self.follower.active.settings["batch"],
                        prefill_chunk=self.config.daemon.prefill_chunk,
                        max_queue=self.config.daemon.max_queue, probe=lambda: self.backend.probe())  # fmt: skip
        speaker = self._speaker()
        tokenizer = self.model.tokenizer
        grammars = Grammars(tokenizer.tokens, self.model.weights.config.vocab, tokenizer.encode)
        by_model = self.config.skills.by_model
        calls = SkillCalls(self.skills, grammars, speaker.template) if by_model else None
        self.chats = Chats(engine, self.history, self.checkpoints, speaker, self.config.sampling, self._chat_answered,
                           self.skills, self.status, calls,
                           (lambda: self.sensor) if self.config.mood.enabled else None)  # fmt: skip
        self.completions = Completions(engine, speaker, self.config.sampling, grammars, self._api_answered)
        self.responses = Responses(self.chats, self.history)
        self._engine = engine
        self._ready.set()
        self._background = [asyncio.create_task(self._learn_the_wall()),
                            asyncio.create_task(self.follower.watch(self._go_over, engine.passes)),
                            asyncio.create_task(asyncio.to_thread(self.skills.warm))]  # fmt: skip

    async def _go_over(self, option: Option) -> None:
        """Make another option run: loaded beside the present one, exchanged between two replies. Raises AssistantError,
        and then everything is as before."""
        before, wanted = self.follower.active.settings, option.settings
        if _same_weights(before, wanted):
            model, backend = self.model, self.backend

            def change() -> Backend:
                backend.set_threads(wanted["threads"] or os.cpu_count() or 1)
                return backend
        else:
            model, backend = await asyncio.to_thread(self._open, option)
            try:
                await asyncio.to_thread(backend.load, model.weights)
            except BackendUnavailable as error:
                raise BackendError(f"the backend '{wanted['backend']}' cannot be used", why=error.reason) from error

            def change() -> Backend:
                self.model, self.backend = model, backend
                self.sensor = self._sensor()
                if self.checkpoints.belong_to(self._state_key()):
                    self.completions.forget()
                return backend

        await asyncio.wrap_future(self._engine.exchange(change, wanted["batch"]))
        await self.verify_weights()
        self.read_bandwidth = None
        self._background[0].cancel()
        self._background[0] = asyncio.create_task(self._learn_the_wall())

    async def _chat_answered(self, cost: wire.Cost, finish_reason: wire.FinishReason) -> None:
        if cost.backend == SKILL:
            self.bell.look()
        self.metrics.answer(cost, "chat", finish_reason)  # its message keeps the cost, and its day is told by that

    async def _api_answered(self, cost: wire.Cost, finish_reason: wire.FinishReason) -> None:
        self.metrics.answer(cost, "api", finish_reason)
        try:
            await asyncio.to_thread(self.history.add_cost, cost)
        except HistoryError as error:  # the answer is worth more than its bill
            log.warning("the cost of an answer was not kept: %s", error)

    async def _learn_the_wall(self) -> None:
        """The host's read bandwidth over as many bytes as a pass moves; measured when nobody waits, if not known."""
        if self.backend.info.simulated:
            return
        config, precision = self.model.weights.config, self.model.weights.precision
        size = self.backend.estimate(config, Workload(1, 1, precision)).bytes_moved
        self.read_bandwidth = host_bandwidth(size, measure=False)
        while self.read_bandwidth is None:
            before = self._engine.tokens_total
            await asyncio.sleep(QUIET_S)
            if any(self._engine.load) or self._engine.tokens_total != before:
                continue
            try:
                found = await asyncio.to_thread(host_bandwidth, size, fresh=True)
            except OSError as error:
                log.warning("the read bandwidth could not be measured: %s", error)
                return
            if self._engine.tokens_total == before:  # else the reading shared the memory with somebody
                self.read_bandwidth = found
                log.info("this host reads %.1f GB/s: the memory wall", found.bytes_s / 1e9)

    def energy_notes(self) -> list[str]:
        """How joules of answers are known here, and why not better."""
        info = self.backend.info
        if info.simulated:
            return [f"joules now: {info.energy_model}"]
        self.energy.look()
        sensor = self.energy.sensor
        if sensor:
            return [f"joules now: measured by {sensor.name}: {sensor.covers}, other programs included"]
        return [f"joules now: {info.energy_model}", *(f"not measured by {why}" for why in self.energy.reasons)]

    async def verify_weights(self) -> None:
        """Hash the mapped file once, after the first requests may come: a flipped bit must not go on answering."""
        manifest, precision = self.model.manifest, self.model.weights.precision
        record = manifest.weights.get(precision)
        if record is None or record.bytes > VERIFY_LIMIT_BYTES:
            return
        path = self._store.folder(manifest.name) / record.file
        try:
            now = await asyncio.to_thread(record_of, path)
            damage = None if now.sha256 == record.sha256 else "its content has changed since it was added"
        except ModelFileError as error:
            damage = error.why or error.what
        if damage:
            self.damage = f"the weights are damaged ({path}): {damage}"
            log.error("%s; `assistant models verify %s` tells more, adding the model again repairs it", self.damage,
                      manifest.name)  # fmt: skip

    def _speaker(self) -> Speaker:
        weights = self.model.weights
        tokenizer, template = self.model.tokenizer, self.model.template
        return Speaker(
            config=weights.config, template=template, bos=template.bos, encode=tokenizer.encode,
            decode_bytes=tokenizer.decode_bytes,
            meter=self._meter, initial=self.model.initial, name=self.model.manifest.name,
            max_prompt_tokens=self.config.daemon.max_prompt_tokens,
            max_reply_tokens=self.config.daemon.max_reply_tokens,
        )  # fmt: skip

    def _meter(self, cached_tokens: int) -> Meter:
        info, wall = self.backend.info, self.read_bandwidth
        return Meter(info.name, self.model.weights.precision, info.simulated, cached_tokens,
                     energy_model=info.energy_model, wall_bytes_s=wall and wall.bytes_s,
                     claim=None if info.simulated else self.energy.claim(), observer=self.metrics)  # fmt: skip

    @property
    def is_ready(self) -> bool:
        return self._engine is not None and not self.damage

    async def alive(self) -> None:
        """Returns when the engine has come round; raises what it finds wrong with itself."""
        if self._engine:
            await asyncio.wrap_future(self._engine.check())

    async def until_ready(self, limit_s: float) -> None:
        """Returns when the model is loaded, or when the time is over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ready.wait(), limit_s)

    def require_ready(self) -> None:
        """Raises RequestError 503 while the model is being loaded or the daemon stops, and for damaged weights."""
        if self.stopping:
            raise RequestError("the daemon is stopping", status=503, code="stopping", hint="try again in a moment")
        if self.damage:
            raise RequestError(self.damage, status=503, code="damaged_model",
                               hint="add the model again from its source file")  # fmt: skip
        if not self.is_ready:
            raise RequestError("the model is being loaded", status=503, code="loading", hint="try again in a moment")

    @property
    def engine(self) -> Engine:
        self.require_ready()
        return self._engine

    def touch(self) -> None:
        """Somebody is here: the idle clock starts anew."""
        self.last_used_s = time.monotonic()

    def touch_model(self) -> None:
        """Somebody may want the model: its clock starts anew. A client that only watches does not keep it awake."""
        self.model_used_s = time.monotonic()

    def idle_s(self) -> float:
        """Seconds without a request and without a reply being written."""
        if self._engine and any(self._engine.load):
            self.touch()
        return time.monotonic() - self.last_used_s

    def model_idle_s(self) -> float:
        """Seconds without a request that may want the model and without a reply being written."""
        if self._engine and any(self._engine.load):
            self.touch_model()
        return time.monotonic() - self.model_used_s

    async def drain(self, limit_s: float, hurry: Callable[[], bool]) -> None:
        """Take no new work; return when all replies under way are finished, the time is over or `hurry` says so."""
        self.stopping = True
        await self.bell.close()
        until = time.monotonic() + limit_s
        while self._engine and any(self._engine.load) and time.monotonic() < until and not hurry():
            await asyncio.sleep(DRAIN_LOOK_S)

    async def close(self) -> None:
        """Stop writing, store what there is, give everything back."""
        for task in (*self._background, *filter(None, [self._ringing])):
            task.cancel()
        self.follower.feedback.save()
        if self._engine:
            await self.chats.settle()
            await asyncio.to_thread(self._engine.close)
        await asyncio.to_thread(self.checkpoints.close)
        self.history.close()

    def status(self) -> wire.Ready:
        manifest, info = self.model.manifest, self.backend.info
        weights = self.model.weights
        threads = self.config.backend.threads or getattr(self.backend, "threads", None)
        ready = wire.Ready(
            ready=self.is_ready, version=version("rwkv-assistant"), pid=os.getpid(), started_at=self.started_at,
            model=wire.ModelStatus(
                name=manifest.name, parameters=_parameters(weights.config), layers=weights.config.layers,
                width=weights.config.width, vocab=weights.config.vocab, bytes=weights.nbytes,
                template=manifest.template, sha256=manifest.source.sha256,
            ),
            backend=wire.BackendStatus(name=info.name, description=info.description, simulated=info.simulated,
                                       precision=weights.precision, threads=threads or None),
            plan=self.follower.brief(),
            reason=None if self.is_ready else self.damage or "the model is being loaded",
            weights_in_memory=self.is_ready and not self.backend.asleep, network=network_status(),
            selftest=proofs.last(),
        )  # fmt: skip
        if self._engine:
            live, queued = self._engine.load
            ready.engine = wire.EngineStatus(live=live, queued=queued, max_batch=self._engine.max_batch,
                                             tokens_total=self._engine.tokens_total)  # fmt: skip
        return ready


def _same_weights(a: Mapping[str, object], b: Mapping[str, object]) -> bool:
    """Whether two options differ in threads and slots only."""
    return all(a[key] == b[key] for key in ("source", "backend", "precision")) and (
        {**a["options"], "threads": 0} == {**b["options"], "threads": 0})  # fmt: skip


def network_status() -> wire.NetworkStatus:
    """Asked of the kernel, and tried, at this moment."""
    fields, namespace = seccomp.kernel_fields(), str(Path("/proc/self/ns/net").readlink())
    return wire.NetworkStatus(denied=seccomp.network_denied(), seccomp=fields.get("Seccomp", 0),
                              no_new_privs=fields.get("NoNewPrivs", 0), namespace=namespace,
                              reason=silence.reason)  # fmt: skip


def _parameters(config) -> int:
    return sum(math.prod(shape) for shape in config.tensor_shapes().values())
