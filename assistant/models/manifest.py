"""What the store knows of a model: one JSON file beside its weights, with the hash of every file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from assistant.errors import ModelFileError, UsageError

MANIFEST_FILE = "manifest.json"
VOCABULARY_FILE = "vocab.txt"
STATE_FILE = "state.npy"
FORMAT_VERSION = 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
HASH_CHUNK_BYTES = 4 << 20


class FileRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the model, relative to its folder."""

    file: str
    sha256: str
    bytes: int


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of backends.base.ModelConfig."""

    layers: int
    width: int
    heads: int
    head_size: int
    vocab: int
    ffn: int
    decay_rank: int
    iclr_rank: int
    value_rank: int
    gate_rank: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`source`: the file that was added; `tokenizer`: world, file or byte-level."""

    version: int = FORMAT_VERSION
    name: str
    added_at: str  # ISO 8601, UTC
    source: FileRecord
    format: str
    config: Shape
    parameters: int
    template: str
    tokenizer: str
    vocabulary: FileRecord | None = None  # none: byte-level
    weights: dict[str, FileRecord]  # by precision; the first is as added, the others were made from it
    state: FileRecord | None = None  # what every conversation starts from, if it was tuned: f32 of backends.base.State
    licence: str | None = None
    metrics: dict[str, float | int | str] = {}

    def files(self) -> list[FileRecord]:
        return [*self.weights.values(), *(record for record in (self.vocabulary, self.state) if record)]


def read_manifest(folder: Path) -> Manifest:
    """Raises ModelFileError if there is none, or it is damaged or of a newer version."""
    path = folder / MANIFEST_FILE
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise ModelFileError(
            "the model has no manifest",
            where=path,
            why=error.strerror,
            hint="Remove its folder and add the model again",
        ) from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _damaged(path, error) from error
    if manifest.version > FORMAT_VERSION:
        why = f"it has version {manifest.version}, this program knows {FORMAT_VERSION}"
        raise ModelFileError("the model was added by a newer version", where=path, why=why, hint="Update this program")
    # Names are joined to the folder: none may lead out of it.
    if any(not NAME.fullmatch(record.file) for record in manifest.files()) or not manifest.weights:
        raise _damaged(path, "it names no weights, or files outside of its folder")
    return manifest


def encode_manifest(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def checked_name(name: str, reserved: tuple[str, ...] = ()) -> str:
    """A name that is safe as a folder and on a command line. Raises UsageError."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!a} cannot be a model's name",
            hint="Use up to 64 letters, digits, '.', '_', '-'; a letter or digit first",
        )
    if name in reserved:
        raise UsageError(
            f"the name '{name}' is taken by the model that ships with the program",
            hint="Choose another with --name",
        )
    return name


def safe_name(stem: str) -> str:
    """A store name made of a file's name: what is not allowed becomes '-'."""
    cleaned = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in stem)
    return cleaned.lstrip("._-")[:64] or "model"


def record_of(path: Path, progress: Callable[[int], None] | None = None, name: str = "") -> FileRecord:
    """Hash a file. `progress` gets the bytes of each chunk. Raises ModelFileError."""
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(HASH_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
                if progress:
                    progress(len(chunk))
    except OSError as error:
        raise ModelFileError("cannot read the file", where=path, why=error.strerror) from error
    return FileRecord(file=name or path.name, sha256=digest.hexdigest(), bytes=size)


def _damaged(path: Path, why: object) -> ModelFileError:
    return ModelFileError("damaged manifest", where=path, why=why, hint="Remove the model and add it again")
