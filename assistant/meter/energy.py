"""Measured joules shared out among the answers that were made meanwhile, by the time each kept the device busy."""

from __future__ import annotations

import time
from collections.abc import Callable

from assistant.meter.power import Found, Sensor, Unreadable, find

SAMPLE_EVERY_S = 0.1
"""A reading costs tens of microseconds: ten a second are nothing beside hundreds of tokens."""
IDLE_AT_LEAST_S = 1.0
IDLE_AT_MOST_S = 300.0  # longer, and a RAPL counter may have gone round more than once


class EnergyMeter:
    """One sensor of the host, for all answers of a daemon. Use it from one thread.

    Between two readings the sensor's joules go to the open claims in proportion to their busy time. That is the whole
    sensor's energy, other programs and the machine's idle power included: `idle_w` is stated beside it, not subtracted.
    """

    def __init__(self, look: Callable[[], Found] = find, clock: Callable[[], float] = time.monotonic,
                 every_s: float = SAMPLE_EVERY_S):  # fmt: skip
        self._look, self._clock, self._every_s = look, clock, every_s
        self._open: list[EnergyClaim] = []
        self._sensor: Sensor | None = None
        self._last_s = self._last_j = 0.0
        self.reasons: tuple[str, ...] = ()
        """Why what would be better than the sensor in use cannot be read."""
        self.idle_w: float | None = None
        """Power while no answer was being made, when that was last seen."""
        self.power_w: float | None = None
        """Power between the last two readings."""

    @property
    def sensor(self) -> Sensor | None:
        return self._sensor

    def look(self) -> None:
        """Find a sensor if there is none in use: one may have appeared (an unplugged laptop) since."""
        if self._sensor is None:
            found = self._look()
            self.reasons = found.reasons
            if found.sensor is not None:
                self._start(found.sensor)

    def _start(self, sensor: Sensor) -> None:
        try:
            self._last_s = self._clock()
            self._last_j = sensor.energy_j(self._last_s)
            self._sensor = sensor
        except Unreadable as error:
            self.reasons = (*self.reasons, str(error))

    def claim(self) -> EnergyClaim | None:
        """A claim for an answer that begins now; None where nothing can be measured."""
        self.look()
        if self._sensor is None or not self.sample():
            return None
        made = EnergyClaim(self)
        self._open.append(made)
        return made

    def sample(self) -> bool:
        """Read the sensor and share out what was used since; False (and all open claims void) if it is gone."""
        if self._sensor is None:
            return False
        now_s = self._clock()
        try:
            now_j = self._sensor.energy_j(now_s)
        except Unreadable as error:
            self.reasons, self._sensor, self.power_w = (str(error),), None, None
            for claim in self._open:
                claim.void()
            self._open.clear()
            return False
        used_j, took_s = now_j - self._last_j, now_s - self._last_s
        self._last_s, self._last_j = now_s, now_j
        if took_s > 0:
            self.power_w = used_j / took_s
            if not self._open and IDLE_AT_LEAST_S <= took_s <= IDLE_AT_MOST_S:
                self.idle_w = self.power_w
        busy_s = sum(c.busy_s for c in self._open)
        for claim in self._open:
            claim.take(used_j, busy_s)
        return True

    def tick(self) -> None:
        """Read if it is time to."""
        if self._clock() - self._last_s >= self._every_s:
            self.sample()

    def drop(self, claim: EnergyClaim) -> None:
        if claim in self._open:
            self.sample()
        if claim in self._open:
            self._open.remove(claim)


class EnergyClaim:
    """One answer's part; see EnergyMeter."""

    def __init__(self, meter: EnergyMeter):
        self._meter, sensor = meter, meter.sensor
        self._covers = f"{sensor.name}: {sensor.covers}, other programs included"
        self._prefill_s = self._decode_s = 0.0
        self._energy_j = self._decode_energy_j = 0.0
        self._valid = True

    @property
    def source(self) -> str:
        idle_w = self._meter.idle_w
        return self._covers + (f"; idle {idle_w:.1f} W not subtracted" if idle_w is not None else "")

    @property
    def busy_s(self) -> float:
        """Since the last reading."""
        return self._prefill_s + self._decode_s

    @property
    def energy_j(self) -> float | None:
        """Joules up to the last reading; None if the sensor failed meanwhile."""
        return self._energy_j if self._valid else None

    @property
    def decode_energy_j(self) -> float:
        return self._decode_energy_j

    def add(self, prefill_s: float, decode_s: float) -> None:
        """The device was busy for this answer for so long."""
        self._prefill_s += prefill_s
        self._decode_s += decode_s
        if self._valid:
            self._meter.tick()

    def take(self, used_j: float, busy_s: float) -> None:
        if busy_s > 0:
            self._energy_j += used_j * self.busy_s / busy_s
            self._decode_energy_j += used_j * self._decode_s / busy_s
        self._prefill_s = self._decode_s = 0.0

    def void(self) -> None:
        self._valid = False

    def close(self) -> None:
        """Settle up to now. Idempotent."""
        self._meter.drop(self)
