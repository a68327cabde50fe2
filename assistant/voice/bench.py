"""How many words speech to text gets wrong, and how fast it is, on sentences spoken by a machine: anyone can repeat it.

A machine's voice is not a person's: these figures compare engines and settings, they do not promise what a microphone
in a room gives.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import msgspec
import numpy as np

from assistant.errors import VoiceUnavailable
from assistant.voice import synthesis, transcriber, weights
from assistant.voice.listening import utterances
from assistant.voice.resample import resample
from assistant.voice.segmenter import Timing
from assistant.voice.vad import FRAME, RATE_HZ, Vad
from assistant.voice.words import errors

VOICES = {"espeak": ("en-us", "en-gb"), "piper": ("",)}
SILENCE_S = 0.5, 1.0  # before and after each sentence


class Result(msgspec.Struct):
    """One voice. Times are measured; a real-time factor is time taken over the length of the sound."""

    engine: str
    voice: str
    sentences: int
    word_error_rate: float
    sentences_right: int
    transcribe_rtf: float  # median
    vad_rtf: float
    synthesis_rtf: float
    first_sound_s: float  # of a sentence, by this engine; median
    wrong: list[tuple[str, str]]  # (said, heard)


def sentences() -> list[str]:
    """What people say to assistants; 36 of them."""
    return (Path(__file__).parent / "sentences.txt").read_text("utf-8").splitlines()


def run(engines: tuple[str, ...] = (), count: int | None = None) -> list[Result]:
    """For the engines named, or for all that are installed. Raises VoiceUnavailable."""
    vad, transcribe = Vad(weights.open_session(weights.VAD)), transcriber.load()
    results = []
    for engine in engines or synthesis.ENGINES:
        for voice in VOICES[engine]:
            try:
                synthesizer = synthesis.open_synthesizer(engine, voice)
            except VoiceUnavailable:
                if engines:
                    raise
                continue
            try:
                results.append(_measure(synthesizer, voice, sentences()[:count], vad, transcribe))
            finally:
                synthesizer.close()
    return results


def _measure(synthesizer, voice, said, vad, transcribe) -> Result:
    list(synthesizer.speak("Warm up."))
    wrong, words, mistakes, times = [], 0, 0, []
    for text in said:
        sound, first_s, synthesis_s = _spoken(synthesizer, text)
        length_s = len(sound) / synthesizer.rate_hz
        before, after = (np.zeros(int(s * RATE_HZ), np.float32) for s in SILENCE_S)
        recording = np.concatenate([before, resample(sound, synthesizer.rate_hz, RATE_HZ), after])
        vad.reset()
        began = time.perf_counter()
        ended = utterances(recording, vad, Timing())
        vad_s = time.perf_counter() - began
        began = time.perf_counter()
        heard = " ".join(transcribe(one.samples) for one in ended)
        took_s = time.perf_counter() - began
        found, of = errors(text, heard)
        mistakes, words = mistakes + found, words + of
        times.append((took_s / length_s, vad_s / (len(recording) / RATE_HZ), synthesis_s / length_s, first_s))
        if found:
            wrong.append((text, heard))
    rtf, vad_rtf, synthesis_rtf, first_s = (median(column) for column in zip(*times, strict=True))
    return Result(synthesizer.name, voice or "packaged", len(said), mistakes / words, len(said) - len(wrong), rtf,
                  vad_rtf, synthesis_rtf, first_s, wrong)  # fmt: skip


def _spoken(synthesizer, text: str) -> tuple[np.ndarray, float, float]:
    began, pieces, first_s = time.perf_counter(), [], 0.0
    for piece in synthesizer.speak(text):
        first_s = first_s or time.perf_counter() - began
        pieces.append(piece)
    return np.concatenate(pieces), first_s, time.perf_counter() - began


def table(results: list[Result]) -> str:
    """For people."""
    lines = [f"{'spoken by':<20} {'sentences':>9} {'all right':>9} {'word errors':>11} {'speech to text':>14}"
             f" {'VAD':>6} {'text to speech':>14} {'first sound':>11}"]  # fmt: skip
    lines += [
        f"{f'{r.engine} {r.voice}':<20} {r.sentences:>9} {r.sentences_right:>9} {r.word_error_rate:>11.1%}"
        f" {r.transcribe_rtf:>10.3f} RTF {r.vad_rtf:>6.3f} {r.synthesis_rtf:>10.3f} RTF"
        f" {r.first_sound_s * 1e3:>8.0f} ms" for r in results
    ]  # fmt: skip
    lines += [
        "",
        f"measured on this machine; RTF: time taken / length of the sound, medians; a frame is {FRAME / RATE_HZ:.3f} s",
    ]
    return "\n".join(lines)
