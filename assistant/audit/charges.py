"""What a tool costs in a month, and ten times that: its plan's price, or its log's tokens by a dated price table."""

from __future__ import annotations

import fnmatch
from functools import cache

import msgspec

from assistant.audit.catalog import Tool
from assistant.audit.usage import DAYS, Tokens
from assistant.audit.verdicts import Verdict
from assistant.config import read_toml
from assistant.errors import ConfigError
from assistant.meter.prices import Prices
from backends import profiles

FILE = "model-prices.toml"
FACTOR = 10


class ModelPrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Per million tokens."""

    models: list[str]  # patterns
    input: float
    output: float
    cached: float | None = None
    currency: str = "USD"
    source: str
    date: str


class Cost(msgspec.Struct, kw_only=True):
    """Of a month. low and high differ where a price is a band, or where there is a free plan."""

    currency: str = "USD"
    now_low: float | None = None
    now_high: float | None = None
    basis: str = ""
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0

    @property
    def is_known(self) -> bool:
        return self.now_low is not None

    def times(self, factor: int) -> tuple[float, float]:
        return (self.now_low or 0.0) * factor, (self.now_high or 0.0) * factor


@cache
def model_prices() -> tuple[ModelPrice, ...]:
    file = profiles.root() / FILE
    try:
        return tuple(msgspec.convert(entry, ModelPrice) for entry in read_toml(file, "the prices are")["price"])
    except (OSError, KeyError, msgspec.ValidationError) as error:
        raise ConfigError("cannot read the prices of models", where=file, why=error) from error


def cost_of(tool: Tool, used: list[Tokens], prices: Prices) -> Cost:
    cost = Cost(input_tokens=sum(t.input for t in used), cached_tokens=sum(t.cached for t in used),
                output_tokens=sum(t.output for t in used))  # fmt: skip
    charge = tool.cost
    if charge.model == "free":
        cost.now_low = cost.now_high = 0.0
        cost.basis = charge.why or "free; the electricity is not counted"
    elif charge.model == "subscription" and charge.per_month is not None:
        cost.now_low, cost.now_high = (0.0 if charge.free_plan else charge.per_month), charge.per_month
        cost.currency = charge.currency
        cost.basis = charge.why or (
            "the free plan, or the smallest paid one" if charge.free_plan else "the smallest plan"
        )
    if used and charge.model != "free":
        low, high, basis = _of_tokens(used, prices)
        if charge.model == "tokens":
            cost.now_low, cost.now_high, cost.basis = (0.0 if charge.free_plan else low), high, basis
        else:
            cost.basis = (
                f"{cost.basis or 'the plan is not known'}; by the token it would be {low:.2f}-{high:.2f}: {basis}"
            )
    elif charge.model == "tokens":
        cost.basis = "paid by the token; no log of tokens was found here"
    return cost


def _of_tokens(used: list[Tokens], prices: Prices) -> tuple[float, float, str]:
    low = high = 0.0
    sources, guessed = set(), []
    for t in used:
        price = next((p for p in model_prices() if any(fnmatch.fnmatchcase(t.model, m) for m in p.models)), None)
        if price:
            cached = price.input if price.cached is None else price.cached
            value = (t.input * price.input + t.cached * cached + t.output * price.output) / 1e6
            low, high = low + value, high + value
            sources.add(f"{price.source}, {price.date}")
        else:
            read = t.input + t.cached
            (a, b), (c, d) = prices.cloud_input_per_mtok.band, prices.cloud_output_per_mtok.band
            low, high = low + (read * a + t.output * c) / 1e6, high + (read * b + t.output * d) / 1e6
            guessed.append(t.model)
    total = sum(t.input + t.cached + t.output for t in used)
    basis = f"{total:,} tokens in the last {DAYS} days by its own log"
    if sources:
        basis += f", by {'; '.join(sorted(sources))}"
    if guessed:
        basis += f", as a small hosted model for want of a price of {', '.join(sorted(guessed)[:3])}"
    return low, high, basis


def verdict(tool: Tool, cost: Cost, budget: float | None) -> Verdict:
    charge = tool.cost
    base = {"date": charge.date, "source": charge.source, "confidence": charge.confidence}
    if not cost.is_known:
        return Verdict(why=cost.basis or "its price is not known")
    low, high = cost.times(FACTOR)
    if high == 0:
        return Verdict(answer="yes", evidence="declared", why=f"ten times nothing is nothing: {cost.basis}", **base)
    why = f"{span(*cost.times(1))} would be {span(low, high)} {cost.currency} a month: {cost.basis}"
    if budget is None:
        return Verdict(answer="your call", evidence="declared", why=f"{why} (--budget decides)", **base)
    answer = "yes" if high <= budget else "no" if low > budget else "partly"
    return Verdict(answer=answer, evidence="declared", why=f"{why}; your limit is {budget:g}", **base)


def span(low: float, high: float) -> str:
    a, b = amount(low), amount(high)
    return a if a == b else f"{a}-{b}"


def amount(value: float) -> str:
    return "0" if value == 0 else "<0.01" if value < 0.01 else f"{value:.2f}" if value < 100 else f"{value:.0f}"
