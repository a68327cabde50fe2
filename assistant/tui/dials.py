"""The limits of a plan as dials: which values each can take, and the request that they make together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from assistant import wire

ANY = None
LOOSE_MAX = 1e9
"""Stands for "any" where the policy sets a limit: a request can change a limit, but not take it away."""


@dataclass(frozen=True)
class Dial:
    """`values` from small to large; `ANY` is at the end where the limit does not bind."""

    key: str
    words: str
    unit: str = ""
    values: tuple[Any, ...] = ()
    unset: Any = ANY  # what holds where neither policy nor person has set it

    def with_value(self, value: Any) -> tuple[Any, ...]:
        """The values, this one among them."""
        if value in self.values:
            return self.values
        kept = [v for v in self.values if v is not ANY]
        kept = sorted([*kept, value])
        return (ANY, *kept) if self.values[0] is ANY else (*kept, ANY)

    def text(self, value: Any) -> str:
        if value is ANY:
            return "any"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, (int, float)):
            return f"{value:g} {self.unit}".rstrip()
        return str(value)


DIALS = (
    Dial("max_ms_per_token", "time per token, at most", "ms",
         (0.1, 0.2, 0.3, 0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100, 200, 500, ANY)),
    Dial("max_ttft_s", "time to the first token, at most", "s", (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, ANY)),
    Dial("max_watts", "power while writing, at most", "W", (0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, ANY)),
    Dial("max_joules_per_token", "energy per token, at most", "J",
         (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, ANY)),
    Dial("max_memory_mb", "memory, at most", "MB", (5, 10, 20, 50, 100, 200, 300, 500, 1000, 2000, 4000, ANY)),
    Dial("min_quality", "quality, at least", "", (ANY, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8)),
    Dial("min_conversations", "conversations at once, at least", "", (ANY, 1, 2, 4, 8, 16)),
    Dial("max_threads", "threads, at most", "", (1, 2, 4, 8, 16, ANY)),
    Dial("privacy", "text may travel as far as", "", ("on-device", "lan", "internet"), "on-device"),
    Dial("allow_simulated", "a simulated chip may be chosen", "", (False, True), False),
    Dial("allow_untested", "untested precisions may be chosen", "", (False, True), False),
)  # fmt: skip


@dataclass
class Wishes:
    """A policy and what the person has changed of its limits."""

    policy: str = ""
    policies: list[str] = field(default_factory=list)
    own: dict[str, Any] = field(default_factory=dict)  # key -> value, ANY included
    base: dict[str, Any] = field(default_factory=dict)  # the limits of the policy itself

    def start(self, view: wire.PlanView, policies: list[str]) -> None:
        self.policies = policies
        self.follow(view)

    def follow(self, view: wire.PlanView) -> None:
        """Take a policy's own limits as the ground to stand on."""
        self.policy, self.own = view.policy, {}
        self.base = {limit.key: limit.bound for limit in view.limits}

    def value(self, dial: Dial) -> Any:
        return self.own.get(dial.key, self.base.get(dial.key, dial.unset))

    def turn(self, dial: Dial, steps: int) -> bool:
        """Move a dial; False at its end."""
        now = self.value(dial)
        values = dial.with_value(now)
        place = min(max(values.index(now) + steps, 0), len(values) - 1)
        if values[place] == now:
            return False
        self.own[dial.key] = values[place]
        if values[place] == self.base.get(dial.key, dial.unset):
            del self.own[dial.key]
        return True

    def limits(self) -> dict[str, Any]:
        """What the daemon is asked for, by the names of policy files."""
        asked: dict[str, Any] = {}
        for key, value in self.own.items():
            if value is not ANY:
                asked[key] = value
            elif key in self.base:
                asked[key] = LOOSE_MAX if key.startswith("max_") else 1 if key == "min_conversations" else 0
        return asked
