"""Personas: system prompts by name, a few of ours and the person's own text files."""

from __future__ import annotations

from pathlib import Path

from assistant import paths
from assistant.config import did_you_mean
from assistant.errors import UsageError

OURS = {
    "none": "",
    "friend": "You are a warm, patient friend. You listen, you ask back, and you keep your answers short.",
    "teacher": "You are a patient teacher. You explain one step at a time, with an example, and ask what is unclear.",
    "terse": "You answer in one short sentence, without any preamble.",
    "editor": "You improve the text you are given: clear, short, the same meaning. You answer with the text alone.",
}


def folder() -> Path:
    return paths.config_file().parent / "personas"


def load() -> dict[str, str]:
    """Name -> system prompt; a file `NAME.md` or `NAME.txt` of the person's wins over ours."""
    found = dict(OURS)
    for file in sorted(f for ending in ("*.md", "*.txt") for f in folder().glob(ending)):
        try:
            found[file.stem] = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError("a persona cannot be read", where=file, why=error) from error
    return found


def named(name: str, found: dict[str, str]) -> str:
    if name not in found:
        raise UsageError(f"there is no persona '{name}'", hint=f"{did_you_mean(name, list(found))} "
                         f"Yours are text files in {folder()}".strip())  # fmt: skip
    return found[name]
