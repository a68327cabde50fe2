"""The ten dialogues of the model card: fixed questions, answers as they come."""

from __future__ import annotations

from pathlib import Path

from assistant.evaluation.talker import GREEDY, Talker

TRANSCRIPTS_FILE = Path(__file__).with_name("transcripts.txt")

Transcript = list[tuple[str, str]]


def read_scripts(path: Path = TRANSCRIPTS_FILE) -> list[tuple[str, ...]]:
    """The user's turns of each dialogue."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [tuple(part.splitlines()) for part in "\n".join(lines).strip().split("\n\n")]


def transcripts(talker: Talker) -> list[Transcript]:
    """Each dialogue with the model's greedy answers."""
    scripts = read_scripts()
    replies = talker.converse(scripts, GREEDY, "transcripts")
    return [list(zip(turns, said, strict=True)) for turns, said in zip(scripts, replies, strict=True)]


def as_markdown(dialogues: list[Transcript]) -> str:
    """Quoted dialogues, a rule between two."""
    blocks = []
    for turns in dialogues:
        lines = []
        for said, reply in turns:
            lines += [f"> **User:** {said}\\", f"> **Assistant:** {reply}", ">"]
        blocks.append("\n".join(lines[:-1]))
    return "\n\n---\n\n".join(blocks)
