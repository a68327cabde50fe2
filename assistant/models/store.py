"""The model store: one folder per model, built aside and renamed into place, and the embedded model.

<data>/models/<name>/manifest.json, vocab.txt, weights.<precision>.safetensors
<package>/models/embedded/           the same for the model that ships with the program, read-only
"""

from __future__ import annotations

import contextlib
import fcntl
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from assistant import paths
from assistant.errors import AssistantError, ModelFileError, ModelNotFound, UsageError
from assistant.models.atomic import replacing, sync_folder
from assistant.models.build import Options, Progress, build_model, stage
from assistant.models.manifest import (
    MANIFEST_FILE,
    Manifest,
    checked_name,
    encode_manifest,
    read_manifest,
    record_of,
    safe_name,
)
from assistant.models.packed import load_packed, save_packed
from assistant.models.quantize import PRECISIONS, pack
from assistant.models.states import load_state
from assistant.models.template import Template, template_named
from assistant.models.tokenizer import Tokenizer
from backends.base import State, Weights

EMBEDDED = "embedded"
RESERVED = (EMBEDDED, "default")  # "default" is how the configuration calls the embedded model
UNFINISHED = ".unfinished-"
SHIPPED = Path(__file__).resolve().parent / EMBEDDED


class LoadedModel(NamedTuple):
    """All that is needed to talk to a model. Weights are mapped, not read. initial: a tuned state, else none."""

    weights: Weights
    tokenizer: Tokenizer
    template: Template
    manifest: Manifest
    initial: State | None = None


class Damage(NamedTuple):
    """A file of a model that is missing or has changed."""

    file: Path
    why: str


class Store:
    """All methods raise AssistantError, and only that."""

    def __init__(self, root: Path | None = None, shipped: Path = SHIPPED):
        self.root = Path(root) if root else paths.models_dir()
        self.shipped = shipped

    # --- look ---

    def list(self) -> list[Manifest]:
        """The embedded model first, then by name. Models with a damaged manifest are left out."""
        return [m for m in self.scan().values() if isinstance(m, Manifest)]

    def scan(self) -> dict[str, Manifest | AssistantError]:
        """Every model by name, with what is wrong where the manifest cannot be read."""
        found: dict[str, Manifest | AssistantError] = {}
        names = [EMBEDDED] if (self.shipped / MANIFEST_FILE).is_file() else []
        if self.root.is_dir():
            folders = (p.name for p in self.root.iterdir() if p.is_dir())
            names += sorted(n for n in folders if n not in RESERVED and not n.startswith("."))
        for name in names:
            try:
                found[name] = self.show(name)
            except AssistantError as error:
                found[name] = error
        return found

    def show(self, name: str) -> Manifest:
        """Raises ModelNotFound, ModelFileError (damaged manifest)."""
        folder = self.folder(name)
        if not folder.is_dir() or (folder == self.shipped and not (folder / MANIFEST_FILE).is_file()):
            hint = "Add a model: assistant models add <file>"
            if name in RESERVED:
                hint = f"This installation lacks its embedded model. {hint}"
            elif known := [*self.scan()]:
                hint = f"There is: {', '.join(known)}"
            raise ModelNotFound(f"there is no model '{name}'", where=self.root, hint=hint)
        return read_manifest(folder)

    def folder(self, name: str) -> Path:
        return self.shipped if name in RESERVED else self.root / checked_name(name)

    def verify(self, name: str, progress: Progress | None = None) -> list[Damage]:
        """Hash every file again; an empty list means that all are as they were added."""
        manifest, folder, damage = self.show(name), self.folder(name), []
        total = sum(record.bytes for record in manifest.files())
        step = stage(progress, f"checking {name}", total)
        for record in manifest.files():
            path = folder / record.file
            try:
                now = record_of(path, step)
            except ModelFileError as error:
                damage.append(Damage(path, error.why or error.what))
                continue
            if now.sha256 != record.sha256:
                damage.append(Damage(path, "its content has changed since it was added"))
        return damage

    # --- change ---

    def add(
        self,
        source: Path,
        name: str | None = None,
        options: Options = Options(),  # noqa: B008 (immutable)
        force: bool = False,
        progress: Progress | None = None,
    ) -> Manifest:
        """Convert a model file into the store. Until it is complete, nothing in the store changes.

        Raises UsageError (name taken or impossible), ModelFileError; passes on what `progress` raises.
        """
        source = Path(source)
        name = checked_name(name or safe_name(source.stem), RESERVED)
        final = self.root / name
        with self._lock():
            if final.exists() and not force:
                raise UsageError(
                    f"there is already a model '{name}'",
                    where=final,
                    hint="Choose another with --name, or replace it with --force",
                )
            building, old = self._aside(), self._aside()
            building.mkdir(mode=0o700)
            try:
                manifest = build_model(source, building, name, options, progress)
                sync_folder(building)
                if final.exists():
                    final.rename(old)
                try:
                    building.rename(final)
                except BaseException:
                    if old.exists():
                        old.rename(final)
                    raise
                sync_folder(self.root)
            finally:
                shutil.rmtree(building, ignore_errors=True)
                if final.exists():
                    shutil.rmtree(old, ignore_errors=True)
        return manifest

    def rm(self, name: str) -> None:
        """Delete a model, also one with a damaged manifest. The caller has asked the person."""
        folder = self.root / checked_name(name, RESERVED)
        with self._lock():
            if not folder.is_dir():
                self.show(name)
            aside = self._aside()
            folder.rename(aside)  # at once out of sight, then deleted
            sync_folder(self.root)
            shutil.rmtree(aside)

    # --- use ---

    def open(self, name: str = EMBEDDED, precision: str = "auto") -> LoadedModel:
        """Map a model. A precision that is not stored yet is made once, from the first that was.

        Raises ModelNotFound, ModelFileError, UsageError (unknown precision).
        """
        manifest, folder = self.show(name), self.folder(name)
        if precision == "auto":
            precision = next(iter(manifest.weights))
        elif precision not in PRECISIONS:
            raise UsageError(f"unknown precision {precision!a}", hint=f"Choose from auto, {', '.join(PRECISIONS)}")
        if precision in manifest.weights:
            weights = self._load(folder / manifest.weights[precision].file, manifest)
        else:
            weights = self._converted(manifest, precision)
        if manifest.vocabulary:
            tokenizer = Tokenizer.from_file(folder / manifest.vocabulary.file)
        else:
            tokenizer = Tokenizer.byte_level(manifest.config.vocab)
        initial = load_state(folder / manifest.state.file, weights.config) if manifest.state else None
        return LoadedModel(weights, tokenizer, template_named(manifest.template), manifest, initial)

    def _load(self, path: Path, manifest: Manifest) -> Weights:
        weights = load_packed(path)
        if weights.source_hash != manifest.source.sha256:
            raise ModelFileError(
                "the weights are of another model",
                where=path,
                why="they were made from another source file than the manifest names",
                hint="Remove the model and add it again",
            )
        return weights

    def _converted(self, manifest: Manifest, precision: str) -> Weights:
        """The embedded model's folder is read-only: what is made from it lies in the store, and is made
        again when an update of the program brings another model."""
        with self._lock():
            embedded = manifest.name in RESERVED
            folder = self.root / EMBEDDED if embedded else self.folder(manifest.name)
            path = folder / f"weights.{precision}.safetensors"
            if embedded:
                folder.mkdir(mode=0o700, exist_ok=True)
            else:
                manifest = self.show(manifest.name)  # another process may have been faster
            try:
                weights = self._load(path, manifest)
            except ModelFileError:
                first = next(iter(manifest.weights.values()))
                source = self._load(self.folder(manifest.name) / first.file, manifest)
                save_packed(path, pack(source, precision), manifest.name)
                weights = self._load(path, manifest)
            if not embedded and precision not in manifest.weights:
                records = manifest.weights | {precision: record_of(path)}
                with replacing(folder / MANIFEST_FILE) as file:
                    file.write(encode_manifest(msgspec.structs.replace(manifest, weights=records)))
            return weights

    # --- one change at a time ---

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Exclusive among processes; clears what an interrupted one has left behind."""
        paths.ensure_private_dir(self.root)
        try:
            with (self.root / ".lock").open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                for leftover in self.root.glob(f"{UNFINISHED}*"):
                    shutil.rmtree(leftover, ignore_errors=True)
                yield
        except OSError as error:
            why = error.strerror or error
            raise AssistantError("cannot change the model store", where=self.root, why=why) from error

    def _aside(self) -> Path:
        return self.root / f"{UNFINISHED}{secrets.token_hex(6)}"
