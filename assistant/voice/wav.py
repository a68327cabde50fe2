"""WAV files: any PCM in, as mono float32; 16-bit mono out."""

from __future__ import annotations

import os
import wave
from pathlib import Path
from typing import BinaryIO

import numpy as np

from assistant.errors import AssistantError

LONGEST_S = 600.0
"""A file that says more is refused before its samples are read."""


def to_pcm16(samples: np.ndarray) -> bytes:
    """float32 in -1..1 (clipped) as little-endian int16."""
    return (np.clip(samples, -1.0, 1.0) * 32767.0).round().astype("<i2").tobytes()


def from_pcm16(data: bytes, channels: int = 1) -> np.ndarray:
    """int16, little-endian, interleaved, as mono f32[n]; an incomplete last frame is left out."""
    whole = len(data) - len(data) % (2 * channels)
    return np.frombuffer(data[:whole], "<i2").reshape(-1, channels).mean(1, dtype=np.float32) / np.float32(32768.0)


def from_pcm(data: bytes, width: int, channels: int) -> np.ndarray:
    """PCM of 1 (unsigned), 2, 3 or 4 bytes a sample as mono f32[n]. Raises ValueError for another width."""
    if width == 2:
        return from_pcm16(data, channels)
    whole = len(data) - len(data) % (width * channels)
    raw = np.frombuffer(data[:whole], np.uint8)
    if width == 1:
        values = (raw.astype(np.float32) - 128.0) / 128.0
    elif width in (3, 4):
        high = np.zeros((len(raw) // width, 4), np.uint8)  # the sample's bytes at the high end of an int32
        high[:, 4 - width :] = raw.reshape(-1, width)
        values = high.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
    else:
        raise ValueError(f"{width} bytes a sample")
    return values.reshape(-1, channels).mean(1, dtype=np.float32)


def read(source: Path | str | BinaryIO) -> tuple[np.ndarray, int]:
    """Samples f32[n] and their rate in Hz. Raises AssistantError: not there, not PCM, too long."""
    name = getattr(source, "name", source)
    try:
        with wave.open(str(source) if isinstance(source, Path) else source, "rb") as file:
            rate_hz, frames = file.getframerate(), file.getnframes()
            if not rate_hz or frames > LONGEST_S * rate_hz:
                raise AssistantError("the recording is too long", where=name, why=f"at most {LONGEST_S:.0f} s are read",
                                     hint="cut it into pieces")  # fmt: skip
            return from_pcm(file.readframes(frames), file.getsampwidth(), file.getnchannels()), rate_hz
    except OSError as error:
        raise AssistantError("cannot read the recording", where=name, why=error.strerror or error) from error
    except (wave.Error, EOFError, ValueError) as error:
        raise AssistantError("this is not a PCM WAV file", where=name, why=error or "it ends too early",
                             hint="convert it first: ffmpeg -i IN -c:a pcm_s16le OUT.wav") from error  # fmt: skip


def write(path: Path, samples: np.ndarray, rate_hz: int) -> None:
    """16-bit mono; the file appears whole or not at all. Raises AssistantError."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            with wave.open(file, "wb") as out:
                out.setnchannels(1)
                out.setsampwidth(2)
                out.setframerate(rate_hz)
                out.writeframes(to_pcm16(samples))
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise AssistantError("cannot write the recording", where=path, why=error.strerror or error) from error
