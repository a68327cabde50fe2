"""From a device's sample rate to ours and back: a windowed-sinc polyphase filter, in pieces of any size.

J. O. Smith, "Digital Audio Resampling" (https://ccrma.stanford.edu/~jos/resample/): the ideal low-pass, cut off at the
lower of the two Nyquist rates, under a Kaiser window; one row of taps for each fraction of a sample.
"""

from __future__ import annotations

from math import ceil, gcd

import numpy as np

ZEROS = 16  # zero crossings of the sinc on each side
BETA = 8.0  # of the Kaiser window: about 80 dB of stop band
ROLL_OFF = 0.92  # the cut-off as a share of Nyquist: the filter's slope has to end before it
BLOCK = 4096  # outputs computed at once: bounds the memory of a long recording


class Resampler:
    """Output sample n stands for the time of input sample n * source / target: no delay but the taps' look-ahead."""

    def __init__(self, source_hz: int, target_hz: int):
        if source_hz <= 0 or target_hz <= 0:
            raise ValueError("a sample rate is a positive number of Hz")
        common = gcd(source_hz, target_hz)
        self._up, self._down = target_hz // common, source_hz // common
        cutoff = min(1.0, target_hz / source_hz) * ROLL_OFF
        self._half = ceil(ZEROS / cutoff)
        offsets = np.arange(1 - self._half, self._half + 1)[None, :] - np.arange(self._up)[:, None] / self._up
        window = np.i0(BETA * np.sqrt(np.maximum(0.0, 1.0 - (offsets / self._half) ** 2)))
        bank = np.sinc(cutoff * offsets) * window
        self._bank = (bank / bank.sum(1, keepdims=True)).astype(np.float32)  # f32[up, 2 half]
        self.reset()

    def reset(self) -> None:
        self._input = np.zeros(self._half - 1, np.float32)  # silence before the first sample
        self._first = 1 - self._half  # the time, in input samples, of _input[0]
        self._next = 0  # number of the next output

    def push(self, samples: np.ndarray) -> np.ndarray:
        """f32[n] in, as many outputs as these allow out."""
        if self._up == self._down:
            return np.asarray(samples, np.float32)
        self._input = np.concatenate([self._input, np.asarray(samples, np.float32)])
        # An output at time t needs the inputs up to floor(t) + half.
        latest = self._first + len(self._input) - 1 - self._half
        ready = max(self._next, (latest + 1) * self._up // self._down + ((latest + 1) * self._up % self._down > 0))
        pieces = [self._outputs(n, min(n + BLOCK, ready)) for n in range(self._next, ready, BLOCK)]
        self._next = ready
        keep = self._next * self._down // self._up - self._half + 1 - self._first
        self._input, self._first = self._input[max(0, keep) :], self._first + max(0, keep)
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)

    def flush(self) -> np.ndarray:
        """What is still due, as if silence followed; the next sample begins a new signal."""
        if self._up == self._down:
            return np.zeros(0, np.float32)
        due = -(-(self._first + len(self._input)) * self._up // self._down) - self._next
        rest = self.push(np.zeros(self._half, np.float32))[: max(0, due)]
        self.reset()
        return rest

    def _outputs(self, start: int, end: int) -> np.ndarray:
        times = np.arange(start, end) * self._down
        rows = self._bank[times % self._up]
        starts = times // self._up - self._half + 1 - self._first
        return np.einsum("nt,nt->n", self._input[starts[:, None] + np.arange(2 * self._half)], rows)


def resample(samples: np.ndarray, source_hz: int, target_hz: int) -> np.ndarray:
    """A whole signal: f32[n] at `source_hz` as f32[ceil(n target / source)]."""
    if source_hz == target_hz:
        return np.asarray(samples, np.float32)
    resampler = Resampler(source_hz, target_hz)
    first, total = resampler.push(samples), ceil(len(samples) * target_hz / source_hz)
    return np.concatenate([first, resampler.flush()])[:total]
