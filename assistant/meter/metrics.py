"""Counters and histograms of a daemon's answers, as text that Prometheus reads (exposition format 0.0.4).

A writer of our own: what we expose is a page of lines, and the usual client library brings an HTTP server, global
registries and collectors of its own. A test reads the page with that library's parser.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import accumulate

from assistant import wire

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "rwkv_assistant_"
TOKEN_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
TTFT_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
PHASES = ("queue", "prefill", "decode", "sample", "text", "other")

Labels = Mapping[str, str]


class Histogram:
    """Observations in buckets; `bounds` are upper ends, inclusive."""

    def __init__(self, bounds: tuple[float, ...]):
        self.bounds, self.counts, self.sum = bounds, [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Metrics:
    """All that a daemon counts. Times to tokens are seen as they happen, sums when an answer ends."""

    def __init__(self) -> None:
        self._ttft, self._token = Histogram(TTFT_BUCKETS_S), Histogram(TOKEN_BUCKETS_S)
        self._counters: dict[str, dict[tuple[tuple[str, str], ...], float]] = defaultdict(lambda: defaultdict(float))

    def first_token(self, ttft_s: float) -> None:
        self._ttft.observe(ttft_s)

    def next_token(self, interval_s: float) -> None:
        self._token.observe(interval_s)

    def answer(self, cost: wire.Cost, source: str, finish_reason: str) -> None:
        """An answer has ended. source: chat | api."""
        self._count("answers_total", 1, source=source, finish_reason=finish_reason)
        for kind in ("prompt", "cached", "completion"):
            self._count("tokens_total", getattr(cost, f"{kind}_tokens"), kind=kind)
        for phase in PHASES:
            self._count("phase_seconds_total", max(0.0, getattr(cost, f"{phase}_s")), phase=phase)
        self._count("device_seconds_total", cost.device_s, basis=cost.basis)
        self._count("energy_joules_total", cost.energy_j, basis=cost.energy_basis)
        self._count("macs_total", cost.macs, basis=cost.basis)
        self._count("moved_bytes_total", cost.bytes_moved, basis=cost.basis)

    def _count(self, name: str, amount: float, **labels: str) -> None:
        self._counters[name][tuple(labels.items())] += amount

    def text(self, gauges: Iterable[tuple[str, str, float, Labels]] = ()) -> str:
        """The page. gauges: (name, help, value, labels) of now."""
        lines: list[str] = []
        for name, help_text in _COUNTERS.items():
            rows = self._counters.get(name, {})
            lines += _head(PREFIX + name, "counter", help_text)
            lines += [_line(PREFIX + name, value, dict(labels)) for labels, value in rows.items()]
        for name, help_text, histogram in (
            ("time_to_first_token_seconds", "From submission to the first token (measured).", self._ttft),
            ("token_interval_seconds", "Between two tokens of an answer (measured).", self._token),
        ):
            lines += _head(PREFIX + name, "histogram", help_text)
            for bound, count in zip((*histogram.bounds, float("inf")), accumulate(histogram.counts), strict=True):
                lines.append(_line(f"{PREFIX}{name}_bucket", count, {"le": _number(bound)}))
            lines.append(_line(f"{PREFIX}{name}_sum", histogram.sum, {}))
            lines.append(_line(f"{PREFIX}{name}_count", sum(histogram.counts), {}))
        for name, help_text, value, labels in gauges:
            lines += [*_head(name, "gauge", help_text), _line(name, value, labels)]
        return "\n".join(lines) + "\n"


_COUNTERS = {
    "answers_total": "Answers by where they were asked for and how they ended.",
    "tokens_total": "Tokens: prefilled prompt, prompt taken from a checkpoint (cached), completion.",
    "phase_seconds_total": "Time of answers by what it went into (measured, host); overlaps when answers share a pass.",
    "device_seconds_total": "Latency by the device's own model; never wall time.",
    "energy_joules_total": "Energy of answers by how it is known.",
    "macs_total": "Multiply-accumulates, counted by the device's model.",
    "moved_bytes_total": "Bytes moved, counted by the device's model.",
}


def _head(name: str, kind: str, help_text: str) -> list[str]:
    return [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]


def _line(name: str, value: float, labels: Labels) -> str:
    inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inner}}} {_number(value)}" if inner else f"{name} {_number(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return "+Inf" if value == float("inf") else repr(float(value)) if value != int(value) else str(int(value))
