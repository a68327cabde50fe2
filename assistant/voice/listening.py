"""`assistant listen`: utterances of a recording or of the microphone, printed as they are understood."""

from __future__ import annotations

import queue
import time
from pathlib import Path

import click
import msgspec
import numpy as np

from assistant.errors import VoiceUnavailable
from assistant.voice import devices, events, transcriber, wav, weights
from assistant.voice.ears import Ears
from assistant.voice.engine import Options
from assistant.voice.resample import resample
from assistant.voice.segmenter import Ended, Framer, Segmenter, Timing
from assistant.voice.terminal import Keys
from assistant.voice.vad import RATE_HZ, Vad


class Utterance(msgspec.Struct):
    """One line of `--json`. Times are measured on this machine."""

    text: str
    audio_s: float
    took_s: float


def from_file(path: Path, as_json: bool, timing: Timing) -> int:
    """Number of utterances understood. Raises AssistantError, VoiceUnavailable."""
    samples, rate_hz = wav.read(path)
    heard, found = resample(samples, rate_hz, RATE_HZ), 0
    transcribe = transcriber.load()
    for ended in utterances(heard, Vad(weights.open_session(weights.VAD)), timing):
        began = time.perf_counter()
        text = transcribe(ended.samples)
        found += _print(Utterance(text, len(ended.samples) / RATE_HZ, time.perf_counter() - began), as_json)
    return found


def utterances(samples: np.ndarray, vad: Vad, timing: Timing) -> list[Ended]:
    """What is spoken in a whole recording, f32[n] at 16 kHz."""
    framer, segmenter = Framer(), Segmenter(timing)
    frames = [*framer.push(samples), *framer.flush()]
    happened = [*(segmenter.push(frame, vad(frame)) for frame in frames), segmenter.flush()]
    return [event for event in happened if isinstance(event, Ended)]


def from_microphone(options: Options, continuous: bool, push_to_talk: bool, as_json: bool) -> int:
    """As above. Ends after one utterance, unless `continuous`."""
    told: queue.Queue[events.Told] = queue.Queue()
    microphone = devices.Microphone(options.input)
    ears = Ears(lambda: microphone, Vad(weights.open_session(weights.VAD)), transcriber.load(), told.put,
                timing=options.timing)  # fmt: skip
    ears.start()
    found = 0
    try:
        with Keys(push_to_talk) as keys:
            if not push_to_talk:
                ears.listen("hands-free")
            click.echo("space begins and ends ..." if push_to_talk else "listening ...", err=True)
            while True:
                if keys.pressed():
                    ears.listen(keys.toggle())
                try:
                    event = told.get(timeout=0.05)
                except queue.Empty:
                    continue
                match event:
                    case events.Failed():
                        raise VoiceUnavailable(event.message)
                    case events.Heard(text=text):
                        found += _print(Utterance(text, event.audio_s, event.took_s), as_json)
                        if text and event.whole and not continuous:
                            return found
    finally:
        ears.close()


def _print(utterance: Utterance, as_json: bool) -> int:
    if utterance.text:
        click.echo(msgspec.json.encode(utterance).decode() if as_json else utterance.text)
    return bool(utterance.text)
