"""`assistant docs`: add, list, update and remove documents; search them, and ask them questions."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from assistant import wire
from assistant.documents import sayings, search
from assistant.documents import update as writer
from assistant.documents.answer import ask as find_answer
from assistant.documents.extract import KINDS
from assistant.documents.index import Index, index_file, reading, writing
from assistant.documents.update import Progress, Report, printable
from assistant.errors import EXIT_FAIL, DocumentsError, UsageError

PATHS = click.Path(path_type=Path)
MOST_SHOWN = 20
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.group()
def docs() -> None:
    """Ask your own documents: text, Markdown, reStructuredText, HTML and PDF.

    They are read into an index on this machine; answers quote them word for word. No model sees them.
    """


@docs.command()
@click.argument("given", metavar="DIR|FILE...", nargs=-1, required=True, type=PATHS)
@as_json
def add(given: tuple[Path, ...], as_json: bool) -> None:
    """Read folders and files from now on.

    Links are never followed. In folders, hidden files and those of other kinds are left out.
    """
    with _progress() as progress, writing() as index:
        _tell(writer.add(index, given, progress), as_json)


@docs.command()
@as_json
def update(as_json: bool) -> None:
    """Read again what is new or has changed, and forget what is gone."""
    _existing()
    with _progress() as progress, writing() as index:
        _tell(writer.update(index, None, progress), as_json)


@docs.command()
@click.argument("given", metavar="DIR|FILE...", nargs=-1, type=PATHS)
@click.option("--all", "everything", is_flag=True, help="Forget all documents; the index is deleted.")
def remove(given: tuple[Path, ...], everything: bool) -> None:
    """Forget what was read of folders and files. The files themselves are not touched."""
    if bool(given) == everything:
        raise UsageError("name what to remove, or give --all", hint="`assistant docs list` shows what was added")
    _existing()
    if everything:
        with contextlib.suppress(DocumentsError), writing() as index:
            writer.remove(index, [root.path for root in index.roots()])
        for suffix in ("", "-wal", "-shm"):  # a damaged one too
            Path(f"{index_file()}{suffix}").unlink(missing_ok=True)
        click.echo("Forgot all documents")
        return
    with writing() as index:
        count = writer.remove(index, given)
    click.echo(f"Forgot {_many(count, 'file')}")


@docs.command("list")
@click.option("--files", is_flag=True, help="Every file, with what was read of it.")
@as_json
def list_documents(files: bool, as_json: bool) -> None:
    """List what was added, and what could not be read."""
    with reading() as index:
        if index is None:
            _print_json(wire.DocumentList(folders=[], skipped=[])) if as_json else click.echo(sayings.NO_DOCUMENTS)
            return
        listing, every = sayings.listing(index), index.files() if files else []
    if as_json:
        _print_json(listing)
        return
    for folder in listing.folders:
        skipped = f", {folder.skipped} skipped" if folder.skipped else ""
        size = _size(folder.bytes)
        click.echo(
            f"{folder.path}  {_many(folder.files, 'file')}, {_many(folder.passages, 'passage')}, {size}{skipped}"
        )
    for file in every:
        if not file.reason:
            click.echo(f"  {_short(printable(file.path))}  {file.kind}, {_many(file.passages, 'passage')}")
    _list_skipped([(entry.path, entry.reason) for entry in listing.skipped], None if files else MOST_SHOWN)


@docs.command("search")
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, 100), default=5, show_default=True, help="Passages to show.")
@as_json
def search_documents(words: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Find passages with all of WORDS, or else any of them. Ends with 1 if there is none."""
    query = " ".join(words)
    with _opened() as index:
        hits = [sayings.passage(hit) for hit in search.search(index, query, limit)]
    if as_json:
        _print_json(wire.DocumentHits(query=query, hits=hits))
    for hit in hits if not as_json else ():
        click.echo(f"{_place(hit.quote)}{_heading(hit.quote)}")
        click.echo("  " + _marked(hit.snippet))
    if not hits:
        if not as_json:
            click.echo("Nothing found", err=True)
        sys.exit(EXIT_FAIL)


@docs.command()
@click.argument("question", nargs=-1, required=True)
@click.option("--more", is_flag=True, help="Show the next best passages too.")
@as_json
def ask(question: tuple[str, ...], more: bool, as_json: bool) -> None:
    """Answer QUESTION with a quote. Ends with 1 if nothing fits."""
    with _opened() as index:
        answer = sayings.answer(find_answer(index, " ".join(question)))
    if as_json:
        _print_json(answer)
    elif answer.known:
        for quote in answer.quotes if more else answer.quotes[:1]:
            click.echo(f"“{quote.text}”\n  {_place(quote)}{_heading(quote)}")
        click.echo(f"confidence {100 * answer.confidence:.0f} %", err=True)
    else:
        click.echo(answer.text)
        if answer.quotes:
            click.echo("The nearest passages:", err=True)
        for quote in answer.quotes:
            click.echo(f"  {_place(quote)}{_heading(quote)}", err=True)
    if not answer.known:
        sys.exit(EXIT_FAIL)


@docs.command()
@as_json
def status(as_json: bool) -> None:
    """Show the index, and whether files have changed since they were read."""
    file = index_file()
    found: dict[str, Any] = {"index": str(file), "exists": file.exists(), "sqlite": sqlite3.sqlite_version,
                             "kinds": sorted(KINDS)}  # fmt: skip
    with reading() as index:
        if index is not None:
            roots, files = index.roots(), index.files()
            states = [_state(f.path, f.size, f.mtime_ns) for f in files if not f.reason]
            found |= {
                "index_bytes": sum(p.stat().st_size for s in ("", "-wal") if (p := Path(f"{file}{s}")).exists()),
                "folders": len(roots), "files": len(states), "skipped": len(files) - len(states),
                "passages": sum(root.passages for root in roots), "bytes": sum(root.bytes for root in roots),
                "changed": states.count("changed"), "gone": states.count("gone"),
                "read_at": max((f.read_at for f in files), default=None),
            }  # fmt: skip
    if as_json:
        _print_json(found)
        return
    if index is None:
        click.echo(sayings.NO_DOCUMENTS)
        return
    click.echo(f"index      {file} ({_size(found['index_bytes'])}, SQLite {found['sqlite']})")
    what = [_many(found["files"], "file"), _size(found["bytes"]), _many(found["passages"], "passage")]
    click.echo(f"documents  {', '.join(what)}; {found['skipped']} skipped")
    if found["read_at"]:
        click.echo(f"last read  {time.strftime('%Y-%m-%d %H:%M', time.localtime(found['read_at']))}")
    if found["changed"] or found["gone"]:
        click.echo(f"since then {found['changed']} changed, {found['gone']} gone: run `assistant docs update`")


def _state(path: Path, size: int, mtime_ns: int) -> str:
    try:
        info = path.stat()
    except OSError:
        return "gone"
    return "current" if (info.st_size, info.st_mtime_ns) == (size, mtime_ns) else "changed"


def _existing() -> None:
    """Raises DocumentsError if there is no index: nothing is made only to be found empty."""
    with contextlib.suppress(DocumentsError), reading() as index:  # an old or damaged one is there all the same
        if index is not None:
            return
    if not index_file().exists():
        raise DocumentsError("there are no documents yet", hint="add some: assistant docs add FOLDER")


@contextlib.contextmanager
def _opened() -> Iterator[Index]:
    with reading() as index:
        yield writer.require(index)


def _tell(report: Report, as_json: bool) -> None:
    if as_json:
        _print_json({"read": report.read, "unchanged": report.unchanged, "removed": report.removed,
                     "passages": report.passages, "bytes": report.bytes, "other": report.other,
                     "missing": [printable(path) for path in report.missing],
                     "skipped": [{"path": printable(p), "reason": why} for p, why in report.skipped]})  # fmt: skip
        return
    parts = [f"Read {_many(report.read, 'file')} ({_size(report.bytes)}, {_many(report.passages, 'passage')})"]
    parts += [f"{report.unchanged} unchanged"] if report.unchanged else []
    parts += [f"{report.removed} gone and forgotten"] if report.removed else []
    parts += [f"{_many(report.other, 'file')} of other kinds left out"] if report.other else []
    click.echo("; ".join(parts))
    for path in report.missing:
        hint = "what was read of it is kept (or: assistant docs remove)"
        click.echo(f"warning: {printable(path)} is not there now; {hint}", err=True)
    _list_skipped([(printable(path), why) for path, why in report.skipped], MOST_SHOWN)


def _list_skipped(skipped: list[tuple[str, str]], most: int | None) -> None:
    for path, why in skipped[:most]:
        click.echo(f"skipped {_short(path)}: {why}", err=True)
    if most is not None and len(skipped) > most:
        click.echo(f"skipped {len(skipped) - most} more; `assistant docs list --files` names them all", err=True)


def _place(quote: wire.Quote) -> str:
    note = {"changed": " [changed since]", "gone": " [gone since]"}.get(quote.state, "")
    return sayings.place(quote, _short(quote.file)) + note


def _short(path: str) -> str:
    """From here, where that is shorter."""
    with contextlib.suppress(OSError):  # the working folder may be gone
        here = f"{Path.cwd()}/"
        if path.startswith(here):
            return path[len(here) :]
    return path


def _heading(quote: wire.Quote) -> str:
    return f"  {quote.heading}" if quote.heading else ""


def _marked(snippet: str) -> str:
    bold = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return snippet.replace(search.HIT, "\x1b[1m" if bold else "").replace(search.END, "\x1b[22m" if bold else "")


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


@contextlib.contextmanager
def _progress() -> Iterator[Progress | None]:
    """A bar on stderr; nothing if that is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with contextlib.ExitStack() as stack:
        bars: list[Any] = []

        def report(done: int, total: int) -> None:
            if not bars and total:
                bars.append(stack.enter_context(click.progressbar(length=total, label="reading", file=sys.stderr)))
            if bars:
                bars[0].update(done - bars[0].pos)

        yield report


def _print_json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
