"""Models as folders in the formats of others; each format is an entry point of `assistant.exporters`."""

from __future__ import annotations

import secrets
import shutil
from importlib.metadata import entry_points
from pathlib import Path

from assistant.errors import AssistantError, UsageError
from assistant.models.store import LoadedModel
from assistant.models.tokenizer import END_OF_TEXT, Tokenizer


def export(model: LoadedModel, format_name: str, folder: Path) -> None:
    """Write the model to `folder`, which must not exist or be empty; it appears whole or not at all.

    Raises UsageError, AssistantError (not writable, disk full).
    """
    writer = entry_points(group="assistant.exporters")[format_name].load()
    folder = Path(folder).absolute()
    building = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.tmp"
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError("there is something already", where=folder, hint="Name a new or an empty folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        building.mkdir()
        writer(model.weights, building, model.manifest.name, _vocabulary_text(model.tokenizer))
        if model.manifest.licence:
            (building / "LICENCE").write_text(model.manifest.licence, "utf-8")
        if folder.exists():
            folder.rmdir()
        building.rename(folder)
    except OSError as error:
        why = error.strerror or error
        raise AssistantError("cannot write the export", where=folder, why=why, hint="Name another folder") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _vocabulary_text(tokenizer: Tokenizer) -> str:
    """RWKV's format, in ASCII; the end of text stands for no bytes and is left out."""
    tokens = [(i, token) for i, token in enumerate(tokenizer.tokens) if i != END_OF_TEXT]
    return "".join(f"{i} {token!r} {len(token)}\n" for i, token in tokens)
