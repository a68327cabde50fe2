"""One plan: the question put together from configuration and policy, solved, with everything that explains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assistant.config import Config
from assistant.errors import ConfigError
from assistant.models.store import Store
from assistant.planning import devices
from assistant.planning.calibration import Calibration, Predictor
from assistant.planning.feedback import Feedback
from assistant.planning.reference import cloud
from assistant.planning.survey import Question, survey
from assistant.solver import words
from assistant.solver.choose import Solution, pareto, solve
from assistant.solver.conflicts import Conflict, explain
from assistant.solver.policies import Policy
from assistant.solver.problem import SIMULATED, Limit, Option

FRONT = ("ms_per_token", "joules_per_token", "quality")
AUTO = "auto"


@dataclass(frozen=True)
class Plan:
    """A solved question. `conflict` explains an infeasible one; `front`: what no other option beats in time, energy
    and quality, whatever the limits."""

    policy: Policy
    limits: tuple[Limit, ...]
    options: tuple[Option, ...]
    solution: Solution
    conflict: Conflict | None
    front: tuple[Option, ...]
    calibrated_at: str | None

    @property
    def choice(self) -> Option | None:
        return self.solution.choice

    def required(self) -> Option:
        """The choice. Raises ConfigError with the whole explanation if there is none: the solver fails closed."""
        if self.choice is None:
            raise ConfigError(f"no way to run meets the policy '{self.policy.name}'", why=self.why_not(),
                              hint="`assistant plan` shows every option, and what would help")  # fmt: skip
        return self.choice

    def why_not(self) -> str:
        """Why nothing fits, in one sentence."""
        if self.conflict is None:
            return "; ".join(dict.fromkeys(o.unusable for o in self.options if o.unusable)) or "there is no model"
        held = " and ".join(words.limit(limit) for limit in self.conflict.limits)
        return held + (" cannot hold together" if len(self.conflict.limits) > 1 else " is met by no option")


class Planner:
    """Asks the same machine again and again: surveys are kept until what they rest on changes."""

    def __init__(self, config: Config, store: Store, calibration: Calibration | None, feedback: Feedback | None = None):
        self._config, self._store, self._feedback = config, store, feedback
        self._predictor = Predictor(calibration) if calibration else None
        self.calibrated_at = calibration.measured_at if calibration else None

    def plan(self, policy: Policy, more: Sequence[Limit] = (), *, price_simulated: bool = True,
             without: frozenset[str] = frozenset()) -> Plan:  # fmt: skip
        """`more`: limits beside the policy's. price_simulated: also price chips that the policy forbids, so that they
        are shown among the losers. `without`: backends that were found not to work."""
        config = self._config
        named = None if config.backend.name == AUTO else devices.kind_named(config.backend.name)
        if named and named.info.simulated:  # naming a chip is the permission to simulate it
            policy = policy.with_limits(allow_simulated=True, allow_untested=True, backends=None, max_chips=None)
        names = [m for m in self._store.list() if config.model.name == AUTO or m.name == self._name()]
        if not names:
            self._store.show(config.model.name)  # raises, and says what there is
        question = Question(
            names, prompt_tokens=policy.prompt_tokens, max_batch=config.daemon.max_batch,
            backend=named.info.name if named else None, threads=config.backend.threads or None,
            precision=None if config.model.precision == AUTO else config.model.precision,
            simulated=price_simulated or policy.limits.allow_simulated,
        )  # fmt: skip
        options = [o for o in survey(question, self._predictor, self._feedback)
                   if o.traits["backend"] not in without]  # fmt: skip
        if question.precision:
            policy = policy.with_limits(allow_untested=True)  # naming a precision is the permission too
        limits = (*policy.limits.as_limits(), *more)
        objective = policy.as_objective()
        options += cloud()
        real = [o for o in options if not o.unusable and (policy.limits.allow_simulated or SIMULATED not in o.flags)]
        return Plan(
            policy, limits, tuple(options), solve(options, limits, objective), explain(options, limits, objective),
            tuple(pareto(real, FRONT)), self.calibrated_at,
        )  # fmt: skip

    def _name(self) -> str:
        return self._store.show(self._config.model.name).name
