"""The cost of one answer, summed step by step: arithmetic only, with no clock and no file of its own."""

from __future__ import annotations

import copy
from bisect import insort
from typing import Protocol

from assistant import wire
from backends.base import Cost


class Claim(Protocol):
    """One answer's part of a measured energy (assistant.meter.energy); `energy_j` is None once it cannot be told."""

    source: str

    def add(self, prefill_s: float, decode_s: float) -> None: ...
    def close(self) -> None: ...
    @property
    def energy_j(self) -> float | None: ...
    @property
    def decode_energy_j(self) -> float: ...


class Observer(Protocol):
    """Sees every step of every answer (assistant.meter.metrics)."""

    def first_token(self, ttft_s: float) -> None: ...
    def next_token(self, interval_s: float) -> None: ...


class Meter:
    """Accumulates measured host times and the device's own costs into a `wire.Cost`.

    Host times are what the caller measured; macs, bytes, device_s and modelled joules are what the backend's model
    billed for this sequence. The two are kept in separate fields and never mixed. The joules of an answer have one
    basis: measured if a `claim` can tell them from the first step to the last, else the model's.
    """

    def __init__(self, backend: str, precision: str, simulated: bool, cached_tokens: int = 0, *,
                 energy_model: str = "", wall_bytes_s: float | None = None, claim: Claim | None = None,
                 observer: Observer | None = None):  # fmt: skip
        """energy_model: how the device's joules are modelled, in words. wall_bytes_s: measured read bandwidth of the
        host. A claim is ignored for a simulated device: the host's joules are not the chip's.
        """
        basis: wire.Basis = "simulated" if simulated else "modelled"
        self._cost = wire.Cost(backend=backend, precision=precision, simulated=simulated, cached_tokens=cached_tokens,
                               basis=basis, energy_basis=basis, energy_source=energy_model,
                               wall_gb_s=None if simulated or not wall_bytes_s else wall_bytes_s / 1e9)  # fmt: skip
        self._claim, self._observer = None if simulated else claim, observer
        self._first_s = self._last_s = 0.0
        self._intervals_s: list[float] = []  # between two tokens, sorted
        self._passes = self._shared = 0
        self._decode_bytes = self._decode_energy_j = self._pass_bytes = 0.0

    def add(self, *, at_s: float, prompt_tokens: int = 0, completion_tokens: int = 0, queue_s: float = 0.0,
            prefill_s: float = 0.0, decode_s: float = 0.0, sample_s: float = 0.0, text_s: float = 0.0,
            batch: int = 1, cost: Cost | None = None) -> None:  # fmt: skip
        """Add one engine step that ended `at_s` seconds after submission; `cost` is this sequence's share of it."""
        c = self._cost
        c.prompt_tokens += prompt_tokens
        c.completion_tokens += completion_tokens
        c.elapsed_s = at_s
        c.queue_s += queue_s
        c.prefill_s += prefill_s
        c.decode_s += decode_s
        c.sample_s += sample_s
        c.text_s += text_s
        if cost is not None:
            c.device_s += cost.latency_s
            c.energy_j += cost.energy_j
            c.macs += cost.macs
            c.bytes_moved += cost.bytes_moved
            c.basis = c.energy_basis = cost.basis
            if decode_s:
                self._decode_bytes += cost.bytes_moved
                self._pass_bytes += cost.bytes_moved * batch
                self._decode_energy_j += cost.energy_j
        if decode_s:
            self._passes += 1
            self._shared += batch
        if self._claim is not None:
            self._claim.add(prefill_s, (decode_s / batch if decode_s else 0.0) + sample_s + text_s)
        if completion_tokens:
            self._token(at_s)

    def _token(self, at_s: float) -> None:
        if self._cost.completion_tokens == 1:
            self._first_s = self._cost.ttft_s = at_s
            if self._observer:
                self._observer.first_token(at_s)
        else:
            insort(self._intervals_s, interval_s := at_s - self._last_s)
            if self._observer:
                self._observer.next_token(interval_s)
        self._last_s = at_s

    def stored(self, seconds: float) -> None:
        """Add the time of one save that ran beside the decoding."""
        self._cost.store_s += seconds

    def close(self) -> None:
        """The answer is complete: its part of the measured energy is settled. Idempotent."""
        if self._claim is not None:
            self._claim.close()

    def report(self) -> wire.Cost:
        """A snapshot of the totals with the derived rates."""
        c = copy.copy(self._cost)
        c.other_s = c.elapsed_s - c.queue_s - c.prefill_s - c.decode_s - c.sample_s - c.text_s
        n = len(self._intervals_s)
        if n and self._last_s > self._first_s:
            c.tok_s = n / (self._last_s - self._first_s)
            c.ms_per_token = 1000.0 / c.tok_s
            c.ms_per_token_p50 = 1000.0 * self._intervals_s[n // 2]
            c.ms_per_token_p95 = 1000.0 * self._intervals_s[n * 95 // 100]
        measured_j = self._claim.energy_j if self._claim is not None else None
        decode_energy_j = self._decode_energy_j
        if measured_j is not None:
            c.model_energy_j, c.energy_j, c.energy_basis = c.energy_j, measured_j, "measured"
            c.energy_source, decode_energy_j = self._claim.source, self._claim.decode_energy_j
        if self._passes:
            c.batch = self._shared / self._passes
            c.bytes_per_token = self._decode_bytes / self._passes
            c.j_per_token = decode_energy_j / self._passes
            if not c.simulated and c.decode_s:
                c.gb_s = self._pass_bytes / c.decode_s / 1e9
                c.wall_share = c.gb_s / c.wall_gb_s if c.wall_gb_s else None
        return c
