"""The cost of one answer, summed step by step: pure arithmetic, no clocks, no files."""

from __future__ import annotations

import copy

from assistant import wire


class Meter:
    """Accumulates measured host times and the device's own costs into a `wire.Cost`.

    Host times are what the caller measured; `macs`, `bytes_moved`, `device_s` and `energy_j` are what the
    backend's model billed for this sequence. The two are kept in separate fields and never mixed.
    """

    def __init__(self, backend: str, precision: str, simulated: bool, cached_tokens: int = 0):
        self._cost = wire.Cost(backend=backend, precision=precision, simulated=simulated, cached_tokens=cached_tokens,
                               basis="simulated" if simulated else "modelled",
                               energy_basis="simulated" if simulated else "modelled")  # fmt: skip
        self._first_s: float | None = None
        self._last_s: float | None = None
        self._passes = self._shared = 0

    def add(self, *, at_s: float, prompt_tokens: int = 0, completion_tokens: int = 0, queue_s: float = 0.0,
            prefill_s: float = 0.0, decode_s: float = 0.0, sample_s: float = 0.0, batch: int = 1) -> None:  # fmt: skip
        """Add one engine step that ended `at_s` seconds after submission."""
        c = self._cost
        c.prompt_tokens += prompt_tokens
        c.completion_tokens += completion_tokens
        c.queue_s += queue_s
        c.prefill_s += prefill_s
        c.decode_s += decode_s
        c.sample_s += sample_s
        if decode_s:
            self._passes += 1
            self._shared += batch
        if completion_tokens:
            if self._first_s is None:
                self._first_s = at_s
            self._last_s = at_s

    def bill(self, *, device_s: float, energy_j: float, macs: int, bytes_moved: int, basis: wire.Basis) -> None:
        """Add what the device's model billed for one step."""
        c = self._cost
        c.device_s += device_s
        c.energy_j += energy_j
        c.macs += macs
        c.bytes_moved += bytes_moved
        c.basis = c.energy_basis = basis

    def report(self) -> wire.Cost:
        """A snapshot of the totals with the derived rates."""
        c = copy.copy(self._cost)
        c.ttft_s = self._first_s
        intervals = c.completion_tokens - 1
        if intervals > 0 and self._last_s > self._first_s:
            c.tok_s = intervals / (self._last_s - self._first_s)
            c.ms_per_token = 1000.0 / c.tok_s
        if self._passes:
            c.batch = self._shared / self._passes
        return c
