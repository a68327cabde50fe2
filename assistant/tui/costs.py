"""What this sitting has cost so far: finished answers, the one being written, and their price elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from assistant import wire

OnCost = Callable[[wire.Cost | None, bool | None], None]
"""Told with each token (cost, False), at the end of an answer (cost, True), and when another chat is shown
(the cost of its last answer or None, None)."""

KEPT_RATES = 64


@dataclass
class Tally:
    """Tokens and joules; joules of each basis by themselves."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    energy_j: dict[str, float] = field(default_factory=dict)

    def plus(self, cost: wire.Cost | None) -> Tally:
        if cost is None:
            return self
        energy_j = dict(self.energy_j)
        energy_j[cost.energy_basis] = energy_j.get(cost.energy_basis, 0.0) + cost.energy_j
        return Tally(
            self.prompt_tokens + cost.prompt_tokens + cost.cached_tokens,
            self.completion_tokens + cost.completion_tokens,
            energy_j,
        )

    def elsewhere(self, prices: wire.CloudPrices) -> tuple[float, float]:
        """What a hosted model would have asked for the same tokens: the low and the high end of the band."""
        ends = ((prices.input_low, prices.output_low), (prices.input_high, prices.output_high))
        low, high = ((self.prompt_tokens * a + self.completion_tokens * b) / 1e6 for a, b in ends)
        return low, high


class Meter:
    """Follows the costs of one sitting; `rates` are tokens per second between two looks at the answer."""

    def __init__(self) -> None:
        self.cost: wire.Cost | None = None
        self.rates: deque[float] = deque(maxlen=KEPT_RATES)
        self._finished = Tally()
        self._live: wire.Cost | None = None

    @property
    def session(self) -> Tally:
        return self._finished.plus(self._live)

    def take(self, cost: wire.Cost | None, final: bool | None) -> None:
        if final is None:  # another chat: its last answer is shown, but was not paid for now
            self._finished, self._live = self.session, None
            self.cost = cost
            self.rates.clear()
        elif final:
            self._finished, self._live, self.cost = self._finished.plus(cost), None, cost
        else:
            if self._live and cost and cost.elapsed_s < self._live.elapsed_s:
                self._finished = self._finished.plus(self._live)  # that one never came to its end
                self.rates.clear()
            self._live = self.cost = cost

    def look(self, before: wire.Cost | None) -> None:
        """Note the rate since an earlier look at the same answer."""
        now = self.cost
        if before is None or now is None or now.completion_tokens < before.completion_tokens:
            self.rates.clear()
        elif now.elapsed_s > before.elapsed_s:
            self.rates.append((now.completion_tokens - before.completion_tokens) / (now.elapsed_s - before.elapsed_s))
