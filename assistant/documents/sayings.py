"""Answers and passages as people and programs get to see them: a sentence that names the file, then the quote."""

from __future__ import annotations

from typing import Literal

from assistant import wire
from assistant.documents.answer import Answer, Quotation
from assistant.documents.index import Index
from assistant.documents.search import Hit
from assistant.documents.update import printable

UNKNOWN = "I don't know: nothing in your documents fits."
NO_DOCUMENTS = "I have none of your documents yet. Add some with: assistant docs add FOLDER"
SURE_AT = 0.75
_STATES = {"changed": " (The file has changed since it was read.)", "gone": " (The file is gone since.)"}


def state(hit: Hit) -> Literal["current", "changed", "gone"]:
    """What has become of the file since it was read. One that may not be looked at counts as gone."""
    try:
        info = hit.path.stat()
    except OSError:
        return "gone"
    return "current" if (info.st_size, info.st_mtime_ns) == (hit.size, hit.mtime_ns) else "changed"


def quote(found: Quotation) -> wire.Quote:
    hit = found.hit
    return wire.Quote(file=printable(hit.path), text=found.text, heading=hit.heading, line=found.line, page=hit.page,
                      state=state(hit))  # fmt: skip


def passage(hit: Hit) -> wire.DocumentHit:
    """A whole passage, with its line breaks."""
    whole = wire.Quote(file=printable(hit.path), text=hit.body, heading=hit.heading, line=hit.line_at(0), page=hit.page,
                       state=state(hit))  # fmt: skip
    return wire.DocumentHit(quote=whole, snippet=" ".join(hit.snippet.split()), score=round(hit.score, 4))


def place(shown: wire.Quote, file: str | None = None) -> str:
    """`file:line`, or `file, page 3`."""
    name = file or shown.file.rpartition("/")[2]
    return f"{name}, page {shown.page}" if shown.page else f"{name}:{shown.line}"


def answer(found: Answer) -> wire.DocumentAnswer:
    quotes = [quote(quotation) for quotation in found.quotations]
    text = sentence(found, quotes[0]) if found.known else UNKNOWN
    return wire.DocumentAnswer(question=found.question.text, known=found.known, confidence=round(found.confidence, 4),
                               text=text, quotes=quotes)  # fmt: skip


def sentence(found: Answer, best: wire.Quote) -> str:
    under = best.heading.rpartition(" > ")[2]
    where = place(best) + (f", under “{under}”" if under else "")
    lead = f"{where}, says" if found.confidence >= SURE_AT else f"This may be it, in {where}"
    return f"{lead}: “{best.text}”{_STATES.get(best.state, '')}"


def listing(index: Index) -> wire.DocumentList:
    return wire.DocumentList(
        folders=[
            wire.DocumentFolder(
                path=printable(r.path), files=r.files, skipped=r.skipped, passages=r.passages, bytes=r.bytes
            )
            for r in index.roots()
        ],
        skipped=[wire.SkippedFile(path=printable(f.path), reason=f.reason) for f in index.files() if f.reason],
    )
