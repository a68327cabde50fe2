"""Follows a policy: the plan at start, and another one when power, memory, policy or measured speed change."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from assistant import wire
from assistant.config import Config
from assistant.errors import AssistantError
from assistant.models.recommend import free_memory_bytes
from assistant.models.store import Store
from assistant.planning import calibration
from assistant.planning.feedback import Feedback
from assistant.planning.machine import Power, power_source
from assistant.planning.plan import Plan, Planner
from assistant.planning.view import plan_view
from assistant.solver import policies
from assistant.solver.policies import Policy
from assistant.solver.problem import Limit, Option

log = logging.getLogger(__name__)

CHECK_S = 1.0
AGREEING_CHECKS = 2  # in a row that want the same change: a plug that is pulled by accident is back by then
DWELL_S = 30.0  # between two changes for speed's sake; power, memory and a person's wish do not wait
DRIFT = 1.25  # measured / predicted has to move by this factor before it is a reason
MEMORY_RELIEF = 2.0  # pressure is over when this many times `keep_free_mb` is free
KEPT_CHANGES = 20


@dataclass(frozen=True)
class Facts:
    """What a plan rests on besides configuration: seen once a second."""

    power: Power
    memory_limit_mb: float | None  # under pressure: what the model may take


class Follower:
    """Owns the question "what should run?"; `go_over` (the services') makes it run. All methods on the event loop."""

    def __init__(self, config: Config, store: Store, free_bytes: Callable[[], int] = free_memory_bytes,
                 clock_s: Callable[[], float] = time.monotonic):  # fmt: skip
        self._config, self._free_bytes, self._clock_s = config, free_bytes, clock_s
        self.feedback = Feedback()
        self._planner = Planner(config, store, calibration.load(), self.feedback)
        self._asked: tuple[str, dict] | None = None  # what a person asked for; void when the power source changes
        self._mains: tuple[str, dict] = (config.plan.policy, {})
        self._broken: frozenset[str] = frozenset()
        self._facts = Facts(power_source_of(config), None)
        self._due = False  # a person has asked: no second look is needed
        self._seen: tuple[str, int] = ("", 0)  # a reason, and for how many looks in a row
        self._planned_ratio = 1.0
        self.changes: deque[wire.PlanChange] = deque(maxlen=KEPT_CHANGES)
        self.since, self.reason, self.pending, self.note = time.time(), "start", None, None
        self.plan = self._solve(self._facts, free=True)
        self.active: Option = self.plan.required()
        self._changed_s = self._clock_s()

    # --- questions ---

    def policy(self, facts: Facts | None = None) -> Policy:
        """The one to follow now."""
        name, limits = self._asked or self._mains
        on_battery = self._config.plan.on_battery
        if (facts or self._facts).power == "battery" and on_battery and not self._asked:
            name, limits = on_battery, {}
        return policies.changed(policies.policy(name), limits)

    def _solve(self, facts: Facts, free: bool = False) -> Plan:
        """`free`: nothing runs yet, so what is free now is all that a model may take."""
        more: list[Limit] = []
        bound = facts.memory_limit_mb
        if free:
            bound = max(0.0, self._free_bytes() / 1e6 - self._config.plan.keep_free_mb)
        if bound is not None:
            more.append(Limit("memory free now", "max", bound, "memory_mb"))
        return self._planner.plan(self.policy(facts), more, price_simulated=False, without=self._broken)

    def what_if(self, request: wire.PlanRequest) -> wire.PlanView:
        """Solve for somebody who wonders. Raises ConfigError."""
        name = request.policy or self.plan.policy.name
        return plan_view(self._planner.plan(policies.changed(policies.policy(name), request.limits)))

    def status(self) -> wire.PlanStatus:
        full = self._planner.plan(self.policy(), without=self._broken)
        return wire.PlanStatus(
            plan=plan_view(full), active=self.active.name, since=self.since, reason=self.reason,
            power=self._facts.power, pending=self.pending, note=self.note, prediction=self._prediction(),
            policies=policies.names(), changes=list(self.changes),
        )  # fmt: skip

    def brief(self) -> wire.PlanBrief:
        return wire.PlanBrief(policy=self.plan.policy.name, active=self.active.name, power=self._facts.power,
                              pending=self.pending, note=self.note)  # fmt: skip

    # --- what a person asks ---

    def ask(self, request: wire.PlanRequest) -> None:
        """Follow another policy from the next check on. Raises ConfigError, and then nothing changes."""
        name = request.policy or self.plan.policy.name
        self._planner.plan(policies.changed(policies.policy(name), request.limits), price_simulated=False).required()
        self._asked = (name, dict(request.limits))
        if self._facts.power != "battery":
            self._mains = self._asked
        self._due = True

    def broken(self, backend: str) -> Option:
        """The chosen backend does not come up: choose again without it. Raises ConfigError when none is left."""
        self._broken |= {backend}
        self.plan = self._solve(self._facts, free=True)
        self.active = self.plan.required()
        return self.active

    # --- what was measured ---

    def learn(self, passes: list[tuple[int, float]]) -> None:
        """Passes with one sequence, against what was predicted for them."""
        alone = [seconds for batch, seconds in passes if batch == 1]
        if alone and not self.active.simulated and self.active.settings["predicted_s"]:
            self.feedback.add(self._key(), self.active.settings["predicted_s"], sum(alone) / len(alone),
                              len(alone))  # fmt: skip

    def _key(self) -> str:
        s = self.active.settings
        return Feedback.key(s["source"], s["backend"], s["precision"], s["threads"] or 0)

    def _prediction(self) -> wire.PredictionView:
        if self.active.simulated or not self.active.settings["predicted_s"]:
            return wire.PredictionView(predicted_ms=None, measured_ms=None, error=None, replies=0)
        track, predicted_s = self.feedback.track(self._key()), self.active.settings["predicted_s"]
        measured_ms = predicted_s * track.ratio * 1e3 if track.replies else None
        return wire.PredictionView(predicted_ms=predicted_s * 1e3, measured_ms=measured_ms,
                                   error=track.error if track.replies else None, replies=track.replies)  # fmt: skip

    # --- the watch ---

    async def watch(self, go_over: Callable[[Option], Awaitable[None]],
                    measured: Callable[[], list[tuple[int, float]]]) -> None:  # fmt: skip
        """Look once a second, for ever."""
        while True:
            await asyncio.sleep(CHECK_S)
            try:
                self.learn(measured())
                await self.check(go_over)
            except AssistantError as error:
                self.note = str(error)
                log.warning("the plan cannot be followed: %s", error)
            except Exception:  # the watch must not end with one bad look
                log.exception("a look at the plan failed")

    async def check(self, go_over: Callable[[Option], Awaitable[None]]) -> None:
        """One look: what changed, whether that is a reason, and if it stays one, the change."""
        facts = self._look()
        reason = "asked for" if self._due else self._reason(facts)
        self._seen = (reason, self._seen[1] + 1 if self._seen[0] == reason else 1) if reason else ("", 0)
        if reason is None or (self._seen[1] < AGREEING_CHECKS and not self._due):
            return
        if facts.power != self._facts.power:
            self._asked = None
        self._seen, self._due, self._facts = ("", 0), False, facts
        plan = self._solve(facts)
        self.plan, self._planned_ratio = plan, self._ratio()
        if plan.choice is None:  # a reply that is dearer than wanted is worth more than none
            self.note = f"{reason}, but {plan.why_not()}; {self.active.name} goes on"
            log.warning("%s", self.note)
            return
        self.note = None
        if plan.choice.name == self.active.name:
            self.reason = reason
            log.info("%s: %s stays the best under the policy '%s'", reason, self.active.name, plan.policy.name)
            return
        await self._go(plan, reason, go_over)

    async def _go(self, plan: Plan, reason: str, go_over: Callable[[Option], Awaitable[None]]) -> None:
        before, self.pending = self.active.name, plan.choice.name
        log.info("%s: going over from %s to %s (policy '%s')", reason, before, self.pending, plan.policy.name)
        try:
            await go_over(plan.choice)
        except AssistantError as error:
            self._broken |= {plan.choice.settings["backend"]} - {self.active.settings["backend"]}
            self.note = f"{plan.choice.name} does not come up: {error}; {before} goes on"
            log.warning("%s", self.note)
            return
        finally:
            self.pending = None
        self.active, self.since, self.reason = plan.choice, time.time(), reason
        self._changed_s = self._clock_s()
        self.changes.append(wire.PlanChange(at=self.since, policy=plan.policy.name, before=before,
                                            after=self.active.name, reason=reason))  # fmt: skip

    def _look(self) -> Facts:
        keep, free_mb = self._config.plan.keep_free_mb, self._free_bytes() / 1e6
        pressed = self._facts.memory_limit_mb
        if pressed is None and free_mb < keep:
            pressed = max(0.0, self.active.value("memory_mb") - (keep - free_mb))
        elif pressed is not None and free_mb > MEMORY_RELIEF * keep:
            pressed = None
        return Facts(power_source_of(self._config), pressed)

    def _reason(self, facts: Facts) -> str | None:
        """Why to plan anew, in words; None: nothing has changed."""
        if facts.power != self._facts.power:
            return {"battery": "running on the battery now", "mains": "on mains power now"}.get(
                facts.power, "the power source is not known any more")  # fmt: skip
        if facts.memory_limit_mb != self._facts.memory_limit_mb:
            return "memory is short" if facts.memory_limit_mb is not None else "memory is free again"
        ratio = self._ratio()
        moved = max(ratio, self._planned_ratio) / min(ratio, self._planned_ratio)
        if moved > DRIFT and self._clock_s() - self._changed_s > DWELL_S:
            return f"replies are {'slower' if ratio > self._planned_ratio else 'faster'} than planned"
        return None

    def _ratio(self) -> float:
        return 1.0 if self.active.simulated else self.feedback.ratio(self._key())


def power_source_of(config: Config) -> Power:
    return power_source(Path(config.plan.power_supply))
