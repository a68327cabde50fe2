"""Notes in one Markdown file that the person may edit as well."""

from __future__ import annotations

import json
import re
from pathlib import Path

from assistant import wire
from assistant.errors import SkillError
from assistant.skills import files
from assistant.skills.base import Context
from assistant.skills.language import Rules, plural, said

FILE, DELETED = "notes.md", ".deleted.json"
LONGEST_LIST = 50
_ITEM = re.compile(r"^[-*+] +(.*)$")
ADD = Rules(
    colon=r"(?:(?:(?:new|quick|another) )?note(?: to self)?|(?:take|make|add|write|save|leave|jot down) (?:me )?"
    r"(?:a |this |another |the following )?(?:quick )?note|(?:write|jot|note)(?: (?:this|that|it))? down"
    r"|add to my notes) ?: ?(?P<text>.+)",
    that=r"(?:(?:take|make|add|write|save|leave) (?:me )?a (?:quick )?note that|(?:make|add) a (?:quick )?note to)"
    r" (?P<text>.+)",
    to_notes=r"add (?P<text>.+) to my notes[.!]?",
)  # fmt: skip
RULES = Rules(
    list=r"(?:show|list|read|display|give)(?: me)?(?: out)?(?: all)?(?: of)?(?: (?:my|the))? notes|(?:what are"
    r"|what's in)"
    r" my notes|what notes do i have|do i have any notes|my notes",
    find=r"(?:find|search|show)(?: me)?(?: for)?(?: in)?(?: (?:my|the|all))* notes?"
    r"(?: (?:about|with|on|for|containing|that mention))? (?P<words>(?!\d+$).+)",
    show=r"(?:show|read|open|display)(?: me)? note (?:number |no\.? |#)?(?P<n>\d{1,6})",
    delete=r"(?:delete|remove|erase|drop)(?: (?:the|my))? note (?:number |no\.? |#)?(?P<n>\d{1,6})"
    r"|(?:delete|remove|erase|drop) (?:the |my )(?P<last>last) note",
    delete_all=r"(?:delete|remove|erase) all(?: of)?(?: my| the)? notes",
    undo=r"(?:undo|revert) (?:the |my |that )?(?:last )?(?:delete|deletion|removal)(?: of)?(?: (?:the|my|that))? notes?"
    r"|(?:restore|undelete|recover) (?:(?:the|my|that|last|deleted) )*notes?",
)  # fmt: skip


class Notes:
    """Short texts, one after the other."""

    name = "notes"
    help = "notes: write down, list, find, delete and bring back"
    examples = ("note: buy milk", "show my notes", "find note milk", "delete note 3", "restore note")

    def answer(self, text: str, context: Context) -> wire.SkillAnswer | None:
        spoken = said(text)
        if found := ADD.match(spoken.body):
            act, groups = "add", found[1]
        elif found := RULES.match(spoken.text):
            act, groups = found
        else:
            return None
        if context.before and act in ("add", "delete", "delete_all", "undo"):
            return context.before  # done already
        answer = getattr(self, f"_{act}")(context.store, **groups)
        return answer and wire.SkillAnswer(skill=self.name, text=answer)

    def _add(self, folder: Path, text: str) -> str:
        with files.locked(folder):
            lines, at = _load(folder)
            _save(folder, [*lines, f"- {text.strip()}"])
        return f"Noted as number {len(at) + 1}: {text.strip()}"

    def _list(self, folder: Path) -> str:
        notes = _texts(*_load(folder))
        if not notes:
            return 'There are no notes. Say "note: ..." to write one.'
        return _numbered(f"{plural(len(notes), 'note')} (in {folder / FILE}):", list(enumerate(notes, 1)))

    def _find(self, folder: Path, words: str) -> str:
        wanted = re.findall(r"\w+", words.lower())
        found = [(n, note) for n, note in enumerate(_texts(*_load(folder)), 1)
                 if all(word in note.lower() for word in wanted)]  # fmt: skip
        return _numbered(f"{plural(len(found), 'note')} with {words}:", found) if found else f"No note has {words}."

    def _show(self, folder: Path, n: str) -> str:
        lines, at = _load(folder)
        return f"Note {n}: {_texts(lines, at)[_index(n, at)]}"

    def _delete(self, folder: Path, n: str | None, last: str | None) -> str:
        with files.locked(folder):
            lines, at = _load(folder)
            i = len(at) - 1 if last and at else _index(n or "1", at)
            end = at[i + 1] if i + 1 < len(at) else len(lines)
            kept = {"at": at[i], "lines": lines[at[i] : end]}
            files.write(folder / DELETED, json.dumps(kept))
            note = _texts(lines, at)[i]
            _save(folder, lines[: at[i]] + lines[end:])
        return f'Deleted note {i + 1}: {note} ("restore note" brings it back)'

    def _delete_all(self, folder: Path) -> str:
        with files.locked(folder):
            lines, at = _load(folder)
            if not at:
                return "There are no notes."
            files.write(folder / DELETED, json.dumps({"at": at[0], "lines": lines[at[0] :]}))
            _save(folder, lines[: at[0]])
        return f'Deleted {plural(len(at), "note")} ("restore notes" brings them back)'

    def _undo(self, folder: Path) -> str:
        with files.locked(folder):
            try:
                kept = json.loads(files.read(folder / DELETED))
            except ValueError:
                raise SkillError("there is no deleted note to bring back") from None
            lines, _ = _load(folder)
            position = min(int(kept["at"]), len(lines))
            lines[position:position] = kept["lines"]
            _save(folder, lines)
            (folder / DELETED).unlink()
        notes = _texts(kept["lines"], _starts(kept["lines"]))
        return f"Restored: {notes[0]}" if len(notes) == 1 else f"Restored {plural(len(notes), 'note')}."


def _load(folder: Path) -> tuple[list[str], list[int]]:
    """(lines of the file, where each note begins): what the person has added besides stays where it is."""
    lines = files.read(folder / FILE).splitlines()
    return lines, _starts(lines)


def _starts(lines: list[str]) -> list[int]:
    return [i for i, line in enumerate(lines) if _ITEM.match(line)]


def _texts(lines: list[str], at: list[int]) -> list[str]:
    """A note is its line and what is indented below it."""
    notes = []
    for i in at:
        parts = [_ITEM.match(lines[i])[1]]
        for line in lines[i + 1 :]:
            if not line.startswith((" ", "\t")):
                break
            parts.append(line.strip())
        notes.append(" ".join(parts))
    return notes


def _save(folder: Path, lines: list[str]) -> None:
    files.write(folder / FILE, "\n".join(lines or ["# Notes", ""]) + "\n")


def _index(n: str, at: list[int]) -> int:
    """Raises SkillError."""
    i = int(n) - 1
    if not 0 <= i < len(at):
        have = f"there are {plural(len(at), 'note')}" if at else "there are no notes"
        raise SkillError(f"there is no note {n}", why=have, hint='"show my notes" lists them')
    return i


def _numbered(head: str, notes: list[tuple[int, str]]) -> str:
    lines = [f"{n}. {note}" for n, note in notes[-LONGEST_LIST:]]
    more = [f"... and {len(notes) - LONGEST_LIST} before these"] if len(notes) > LONGEST_LIST else []
    return "\n".join([head, *more, *lines])
