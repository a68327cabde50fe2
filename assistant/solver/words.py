"""The solver's reasons as sentences a person reads."""

from __future__ import annotations

from assistant.solver.choose import Loser, Outranked
from assistant.solver.conflicts import Relaxation
from assistant.solver.problem import METRICS, UNTESTED, Breach, Limit


def amount(metric: str, value: float | None) -> str:
    """`1.23 ms`, `47 %`, `not known`."""
    if value is None:
        return "not known"
    unit = METRICS[metric].unit
    if unit == "share":
        return f"{100 * value:.0f} %"
    if metric in ("conversations", "threads", "chips"):
        return f"{value:.0f}"
    if unit == "J" and abs(value) < 1:
        return f"{value * 1e3:.3g} mJ"
    return f"{value:.3g} {unit}".strip() if abs(value) < 1000 else f"{value:,.0f} {unit}"


def limit(which: Limit) -> str:
    """A limit as it was written: `max_ms_per_token = 200 ms`."""
    match which.kind:
        case "max" | "min":
            return f"{which.key} = {amount(which.subject, which.bound)}"
        case "one-of":
            return f"{which.key} = {', '.join(which.bound)}"
        case "allow":
            return f"{which.key} = {'true' if which.bound else 'false'}"
    return f"{which.key} = {which.bound}"


def breach(which: Breach) -> str:
    """Value and bound of a broken limit."""
    rule, value = which.limit, which.value
    match rule.kind:
        case "privacy":
            return f"text would go to the {value}, and only {rule.bound} is allowed"
        case "allow" if rule.subject == UNTESTED:
            return "what these fewer bits cost in quality was never measured (allow_untested)"
        case "allow":
            return "simulated: this chip is not here (allow_simulated)"
        case "one-of":
            return f"{rule.subject} {value} is not among {', '.join(rule.bound)}"
    words = METRICS[rule.subject].words
    if value is None:
        return f"{words} not known, and {rule.key} asks for {_at(rule)} {amount(rule.subject, rule.bound)}"
    return f"{words} {amount(rule.subject, value)}, {_at(rule)} {amount(rule.subject, rule.bound)} allowed"


def _at(rule: Limit) -> str:
    return "at most" if rule.kind == "max" else "at least"


def outranked(why: Outranked) -> str:
    if why.metric == "preference":
        return "as good by the objective; a tie was broken"
    if why.metric == "weighted sum":
        return f"weighted sum {why.value:.3g}, the choice {why.best:.3g}"
    metric = METRICS[why.metric]
    within = f" ({why.tolerance:.0%} tolerated)" if why.tolerance else ""
    return f"{metric.words} {amount(why.metric, why.value)}, the best has {amount(why.metric, why.best)}{within}"


def loser(which: Loser) -> str:
    """All reasons of one option."""
    reasons = [breach(b) for b in which.breaches]
    if which.option.unusable:
        reasons.insert(0, which.option.unusable)
    return "; ".join(reasons) or outranked(which.outranked)


def relaxation(which: Relaxation) -> str:
    """What one limit would have to be: `max_ms_per_token from 0.01 ms to 0.17 ms`."""
    rule = which.limit
    match rule.kind:
        case "max" | "min" if which.needed is None:
            return f"{rule.key}: the value is not known and has to be measured"
        case "max" | "min":
            return f"{rule.key} from {amount(rule.subject, rule.bound)} to {_rounded(which)}"
        case "allow":
            return f"{rule.key} = true"
        case "one-of":
            return f"{rule.key} with {which.needed}"
    return f"{rule.key} = {which.needed}"


def _rounded(which: Relaxation) -> str:
    """The needed bound rounded to the side on which the option still fits."""
    rule, value = which.limit, float(which.needed)
    text = amount(rule.subject, value)
    step = abs(value) * 0.005
    near = value + step if rule.kind == "max" else value - step
    return text if METRICS[rule.subject].unit in ("", "share") else amount(rule.subject, near)
