"""Microphone and loudspeaker by PortAudio (sounddevice): blocking reads and writes only.

No callbacks: cffi makes each of them a piece of writable and executable memory, which a hardened service forbids
(MemoryDenyWriteExecute).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from assistant.errors import VoiceUnavailable
from assistant.voice import wav
from assistant.voice.resample import Resampler
from assistant.voice.vad import FRAME, RATE_HZ
from assistant.voice.weights import INSTALL

PORTAUDIO_INSTALL = "apt install libportaudio2 (Fedora: dnf install portaudio; Arch: pacman -S portaudio)"


@dataclass(frozen=True, slots=True)
class Device:
    """One that PortAudio names."""

    index: int
    name: str
    host: str
    inputs: int  # channels
    outputs: int
    rate_hz: int
    is_default_input: bool
    is_default_output: bool


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """ALSA writes to file descriptor 2 about every card that is not there; nobody can act on it."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def portaudio():
    """The module, loaded. Raises VoiceUnavailable."""
    try:
        with _quiet():
            import sounddevice
    except ImportError as error:
        raise VoiceUnavailable("the package sounddevice is not installed", hint=f"Install it: {INSTALL}") from error
    except OSError as error:  # it looks for the library as it is imported
        raise VoiceUnavailable("the library PortAudio is not installed", hint=PORTAUDIO_INSTALL) from error
    return sounddevice


def devices() -> list[Device]:
    """All of them. Raises VoiceUnavailable."""
    audio = portaudio()
    default_input, default_output = audio.default.device
    hosts = audio.query_hostapis()
    return [
        Device(i, d["name"], hosts[d["hostapi"]]["name"], d["max_input_channels"], d["max_output_channels"],
               int(d["default_samplerate"]), i == default_input, i == default_output)
        for i, d in enumerate(audio.query_devices())
    ]  # fmt: skip


def _open(kind: str, wanted: str, preferred_hz: int):
    """A raw stream, not started, and its rate: the preferred one if the device takes it, else its own."""
    audio = portaudio()
    device = int(wanted) if wanted.isdigit() else wanted or None
    what = "microphone" if kind == "input" else "loudspeaker"
    stream_type = audio.RawInputStream if kind == "input" else audio.RawOutputStream
    check = audio.check_input_settings if kind == "input" else audio.check_output_settings
    try:
        with _quiet():
            found = audio.query_devices(device, kind)
            rate_hz = preferred_hz
            try:
                check(device=device, channels=1, dtype="int16", samplerate=rate_hz)
            except audio.PortAudioError:
                rate_hz = int(found["default_samplerate"])
            stream = stream_type(samplerate=rate_hz, device=device, channels=1, dtype="int16")
    except (audio.PortAudioError, ValueError) as error:
        raise VoiceUnavailable(f"no {what} can be used", where=wanted or None, why=error,
                               hint="`assistant voice devices` lists them; choose one by --input, --output, or"
                                    " [voice] in the configuration") from error  # fmt: skip
    return stream, rate_hz


class Pace:
    """Holds a device back that delivers faster than time passes: ALSA's null device, the default where there is no
    card, never waits and would keep a core busy with silence."""

    SLACK_S = 0.25  # a real device's clock and its buffers

    def __init__(self, rate_hz: int, clock: Callable[[], float] = time.monotonic, sleep=time.sleep):
        self._rate_hz, self._clock, self._sleep = rate_hz, clock, sleep
        self._began, self._samples = clock(), 0

    def wait(self, samples: int) -> None:
        self._samples += samples
        ahead_s = self._samples / self._rate_hz - (self._clock() - self._began) - self.SLACK_S
        if ahead_s > 0:
            self._sleep(ahead_s)


class Microphone:
    """Blocking reads at 16 kHz, whatever the device's own rate is. Records between `start` and `stop` only."""

    def __init__(self, device: str = ""):
        """`device`: a part of its name, or its number; empty: the default one. Raises VoiceUnavailable."""
        self._stream, self.rate_hz = _open("input", device, RATE_HZ)
        self._resampler = Resampler(self.rate_hz, RATE_HZ)
        self._count = round(FRAME * self.rate_hz / RATE_HZ)
        self.lost = 0  # reads before which the device had thrown something away

    def start(self) -> None:
        """Raises VoiceUnavailable."""
        self._resampler.reset()
        self._ahead = Pace(self.rate_hz)
        try:
            with _quiet():
                self._stream.start()
        except portaudio().PortAudioError as error:
            raise VoiceUnavailable("the microphone cannot be used", why=error) from error

    def stop(self) -> None:
        self._stream.abort(ignore_errors=True)

    def read(self) -> np.ndarray:
        """The next 32 ms or so, f32[n]. Raises VoiceUnavailable when the device is gone."""
        try:
            data, overflowed = self._stream.read(self._count)
        except portaudio().PortAudioError as error:
            raise VoiceUnavailable("the microphone is gone", why=error) from error
        self.lost += overflowed
        self._ahead.wait(self._count)
        return self._resampler.push(wav.from_pcm16(bytes(data)))

    def close(self) -> None:
        self.stop()
        self._stream.close(ignore_errors=True)


class Loudspeaker:
    """Blocking writes of any rate; can be cut off at once."""

    def __init__(self, device: str = ""):
        self._stream, self.rate_hz = _open("output", device, 22_050)
        self._resamplers: dict[int, Resampler] = {}

    def write(self, samples: np.ndarray, rate_hz: int) -> None:
        """f32[n]. Returns when the device has taken all of it. Raises VoiceUnavailable when it is gone."""
        if rate_hz not in self._resamplers:
            self._resamplers = {rate_hz: Resampler(rate_hz, self.rate_hz)}
        try:
            if self._stream.stopped:
                self._stream.start()
            self._stream.write(wav.to_pcm16(self._resamplers[rate_hz].push(samples)))
        except portaudio().PortAudioError as error:
            raise VoiceUnavailable("the loudspeaker is gone", why=error) from error

    def drain(self) -> None:
        """Wait until all that was written has been heard; the next write begins anew."""
        self._finish(self._stream.stop)

    def cut(self) -> None:
        """Throw away what was written and not yet heard."""
        self._finish(self._stream.abort)

    def _finish(self, stop) -> None:
        self._resamplers = {}
        if not self._stream.stopped:
            with contextlib.suppress(portaudio().PortAudioError):
                stop()

    def close(self) -> None:
        self.cut()
        self._stream.close(ignore_errors=True)
