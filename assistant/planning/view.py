"""A plan as wire types: for `/v1/plan`, the TUI and `assistant plan --json`."""

from __future__ import annotations

from assistant import wire
from assistant.planning.plan import Plan
from assistant.solver import words
from assistant.solver.choose import Loser
from assistant.solver.conflicts import Relaxation
from assistant.solver.problem import METRICS, UNTESTED, Limit, Option


def plan_view(plan: Plan) -> wire.PlanView:
    conflict = plan.conflict
    return wire.PlanView(
        policy=plan.policy.name, title=plan.policy.title, prompt_tokens=plan.policy.prompt_tokens,
        limits=[limit_view(limit) for limit in plan.limits],
        feasible=plan.choice is not None,
        choice=option_view(plan.choice) if plan.choice else None,
        losers=[loser_view(loser) for loser in plan.solution.losers],
        why_not=None if plan.choice else plan.why_not(),
        conflict=[limit_view(limit) for limit in conflict.limits] if conflict else [],
        relaxations=[relaxation_view(r) for r in conflict.single] if conflict else [],
        together=[relaxation_view(r) for r in conflict.together] if conflict else [],
        front=[option.name for option in plan.front],
        calibrated_at=plan.calibrated_at,
    )  # fmt: skip


def option_view(option: Option) -> wire.OptionView:
    return wire.OptionView(
        name=option.name, model=option.traits.get("model", ""), backend=option.traits.get("backend", ""),
        precision=option.traits.get("precision", ""), where=option.traits.get("where", ""), privacy=option.privacy,
        simulated=option.simulated, untested=UNTESTED in option.flags, executable=option.unusable is None,
        figures={
            name: wire.FigureView(value=figure.value, unit=METRICS[name].unit, basis=figure.basis, note=figure.note)
            for name, figure in option.figures.items()
        },
    )  # fmt: skip


def limit_view(limit: Limit) -> wire.LimitView:
    bound = list(limit.bound) if isinstance(limit.bound, tuple) else limit.bound
    return wire.LimitView(key=limit.key, bound=bound, words=words.limit(limit))


def loser_view(loser: Loser) -> wire.LoserView:
    return wire.LoserView(
        option=option_view(loser.option), words=words.loser(loser),
        breaches=[
            wire.BreachView(limit=limit_view(b.limit), value=b.value, known=b.value is not None, words=words.breach(b))
            for b in loser.breaches
        ],
        outranked_by=loser.outranked.metric if loser.outranked else None,
    )  # fmt: skip


def relaxation_view(relaxation: Relaxation) -> wire.RelaxationView:
    return wire.RelaxationView(
        limit=limit_view(relaxation.limit), needed=relaxation.needed, option=relaxation.option.name,
        words=words.relaxation(relaxation),
    )  # fmt: skip
