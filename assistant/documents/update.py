"""The one writer of the index: adds folders and files, reads again what has changed, removes."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from assistant import paths
from assistant.documents import extract
from assistant.documents.extract import Skipped
from assistant.documents.index import File, Index
from assistant.documents.passages import Passage, split
from assistant.documents.walk import Found, walk
from assistant.errors import DocumentsError, UsageError

RACY_NS = 2_000_000_000
"""A file that was changed so shortly before it was read may have been changed again within one tick of its clock."""
Progress = Callable[[int, int], None]  # files done, of how many


@dataclass(slots=True)
class Report:
    """What an update has done. `other`: files of kinds that are not read."""

    read: int = 0
    unchanged: int = 0
    removed: int = 0
    passages: int = 0
    bytes: int = 0
    other: int = 0
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    missing: list[Path] = field(default_factory=list)


def add(index: Index, given: Sequence[Path], progress: Progress | None = None) -> Report:
    """Folders and files to read from now on. Raises UsageError if one is not there, before anything is read."""
    wanted = list(dict.fromkeys(_checked(path) for path in given))
    now = time.time()
    roots = {root.path: root.id for root in index.roots()}
    chosen: list[Path] = []
    for path in wanted:
        above = next((p for p in [*roots, *wanted] if p != path and p in path.parents), None)
        if above and extract.kind_of(path) is not None:
            chosen.append(above)  # it is read with that folder
            continue
        with index.transaction():
            root_id = index.add_root(path, now)
            for below in [p for p in roots if path in p.parents and p.is_dir()]:  # it takes smaller ones in
                index.db.execute("UPDATE files SET root_id = ? WHERE root_id = ?", (root_id, roots[below]))
                index.db.execute("DELETE FROM roots WHERE id = ?", (roots.pop(below),))
        roots[path] = root_id
        chosen.append(path)
    return update(index, list(dict.fromkeys(chosen)), progress)


def update(index: Index, only: Iterable[Path] | None = None, progress: Progress | None = None) -> Report:
    """Read what is new or has changed (by size and time, then by content), forget what is gone.

    A root that is not there at all keeps what was read of it: it may be on a disk that is not plugged in.
    """
    report = Report()
    wanted = None if only is None else set(only)
    roots = [root for root in index.roots() if wanted is None or root.path in wanted]
    known = {file.path: file for file in index.files()}
    singles = {root.path for root in index.roots()}
    work: list[tuple[int, Found]] = []
    for root in roots:
        try:
            found = list(_below(root.path, report, singles))
        except OSError:
            report.missing.append(root.path)
            continue
        work += [(root.id, item) for item in found]
        for path in {p for p, file in known.items() if file.root == root.path} - {item.path for item in found}:
            index.delete(path)
            report.removed += 1
    for done, (root_id, item) in enumerate(work):
        if progress:
            progress(done, len(work))
        _take(index, root_id, item, known.get(item.path), report)
    if progress:
        progress(len(work), len(work))
    if report.removed:
        index.tidy()
    return report


def remove(index: Index, given: Sequence[Path]) -> int:
    """Forget folders and files that were added; how many files that were. Raises UsageError for what was not added."""
    roots = {root.path: root for root in index.roots()}
    chosen = []
    for path in given:
        # The link itself may be gone, or the folder behind it.
        root = next((roots[p] for p in (path.absolute(), Path(os.path.normpath(path.absolute())), _resolved(path))
                     if p in roots), None)  # fmt: skip
        if root is None:
            above = next((p for p in roots if p in _resolved(path).parents), None)
            why = f"it is part of {above}, which was added as a whole" if above else "it was never added"
            raise UsageError(
                f"cannot remove '{printable(path)}'", why=why, hint="`assistant docs list` shows what was added"
            )
        chosen.append(root)
    for root in chosen:
        index.delete_root(root.id)
    if chosen:
        index.tidy()
    return sum(root.files for root in chosen)


def printable(path: Path | str) -> str:
    """A path as text that every terminal and JSON can bear; odd bytes become `\\xNN`, controls too."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _checked(given: Path) -> Path:
    path = _resolved(given)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UsageError(f"cannot add '{printable(given)}'", why=(error.strerror or error)) from error
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise UsageError(f"cannot add '{printable(given)}'", why="it is neither a folder nor a file")
    if path in _private() or any(folder in path.parents for folder in _private()):
        raise UsageError(f"cannot add '{printable(given)}'", why="it belongs to the assistant itself")
    return path


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # a loop of links
        raise UsageError(f"cannot use '{printable(path)}'", why=error) from error


def _private() -> tuple[Path, ...]:
    return tuple(p.resolve() for p in (paths.data_dir(), paths.state_dir(), paths.cache_dir()))


def _below(root: Path, report: Report, singles: set[Path]) -> Iterable[Found]:
    if root.is_dir():

        def count() -> None:
            report.other += 1

        for item in walk(root, _private(), count):
            if item.path not in singles:
                yield item
        return
    info = root.lstat()
    yield Found(root, extract.kind_of(root) or "text", info.st_size, info.st_mtime_ns)


def _take(index: Index, root_id: int, item: Found, old: File | None, report: Report) -> None:
    now = time.time()
    entry = File(0, item.path, item.path, item.kind, item.size, item.mtime_ns, None, now, item.reason)
    same = (
        old is not None
        and (old.size, old.mtime_ns, old.kind) == (item.size, item.mtime_ns, item.kind)
        and old.read_at * 1e9 - old.mtime_ns > RACY_NS
    )
    passages: list[Passage] = []
    name = ""
    if item.reason:
        report.skipped.append((item.path, item.reason))
        if old and old.reason == item.reason:
            return
    elif same and old.sha256 is not None:  # one that could not be opened is tried again
        if old.reason:
            report.skipped.append((item.path, old.reason))
        else:
            report.unchanged += 1
        return
    else:
        try:
            raw = extract.read(item.path, item.kind)
            entry = replace(entry, size=raw.size, mtime_ns=raw.mtime_ns, sha256=raw.sha256)
            if old and old.sha256 == raw.sha256 and old.kind == item.kind:
                index.touch(replace(entry, id=old.id))
                if old.reason:
                    report.skipped.append((item.path, old.reason))
                else:
                    report.unchanged += 1
                return
            blocks = extract.blocks(raw, item.kind)
            passages = split(blocks)
            title = " ".join(blocks[0].lines) if blocks[0].level else ""
            # Letters only: `lease_2023.txt` is found by "lease".
            name = " ".join(f"{printable(item.path.stem)} {title}".replace("_", " ").replace("-", " ").split())
            report.bytes += raw.size
        except Skipped as skipped:
            entry = replace(entry, reason=str(skipped))
            report.skipped.append((item.path, entry.reason))
        except RecursionError as error:
            entry = replace(entry, reason=f"cannot be read ({type(error).__name__})")
            report.skipped.append((item.path, entry.reason))
    index.put(entry, root_id, name, passages)
    report.read += not entry.reason
    report.passages += len(passages)


def require(index: Index | None) -> Index:
    """Raises DocumentsError if there is no index."""
    if index is None:
        raise DocumentsError("there are no documents yet", hint="add some: assistant docs add FOLDER")
    return index
