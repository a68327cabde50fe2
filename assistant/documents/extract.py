"""One file into blocks: opened without following or waiting for anything, decoded, and read by its kind."""

from __future__ import annotations

import codecs
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from assistant.documents import markup, web
from assistant.documents.passages import Block

TEXT_LIMIT_BYTES, PDF_LIMIT_BYTES = 16 << 20, 64 << 20
SNIFFED_BYTES = 8192
MOST_FOREIGN = 0.3  # share of bytes above 127 that a text in an old 8-bit encoding has at most
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
KINDS = {
    ".txt": "text", ".text": "text", ".md": "markdown", ".markdown": "markdown", ".mdown": "markdown",
    ".rst": "rst", ".rest": "rst", ".html": "html", ".htm": "html", ".xhtml": "html", ".pdf": "pdf",
}  # fmt: skip
BARE_NAMES = {"readme", "license", "licence", "copying", "changelog", "changes", "news", "notes", "todo", "authors",
              "contributing", "install"}  # fmt: skip
READERS: dict[str, Callable[[str], Iterable[Block]]] = {
    "text": markup.plain, "markdown": markup.markdown, "rst": markup.restructured, "html": web.html,
}  # fmt: skip


class Skipped(Exception):
    """This file cannot be read, and why; the others can."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A file's bytes and what it was when they were read."""

    data: bytes
    size: int
    mtime_ns: int
    sha256: bytes


def kind_of(path: Path) -> str | None:
    """By the name's ending; None for kinds that are not read from folders."""
    suffix = path.suffix.lower()
    return KINDS.get(suffix) or ("text" if not suffix and path.name.lower() in BARE_NAMES else None)


def read(path: Path, kind: str) -> Raw:
    """The bytes of a regular file. Raises Skipped.

    The last part of the path is not followed if it is a link, and a pipe or a device is not waited for.
    """
    limit = PDF_LIMIT_BYTES if kind == "pdf" else TEXT_LIMIT_BYTES
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with open(handle, "rb") as file:  # noqa: PTH123
            info = os.fstat(handle)
            if not stat.S_ISREG(info.st_mode):
                raise Skipped("not a regular file")
            if info.st_size > limit:
                raise Skipped(f"larger than {limit >> 20} MiB")
            data = file.read(limit + 1)
    except OSError as error:
        raise Skipped("a symbolic link" if path.is_symlink() else (error.strerror or str(error)).lower()) from error
    if len(data) > limit:  # it has grown since
        raise Skipped(f"larger than {limit >> 20} MiB")
    return Raw(data, info.st_size, info.st_mtime_ns, hashlib.sha256(data).digest())


def blocks(raw: Raw, kind: str) -> list[Block]:
    """Raises Skipped if the bytes are not of that kind, or hold no text."""
    if kind == "pdf" or raw.data.startswith(b"%PDF-"):
        from assistant.documents import pdf

        found = pdf.read(raw.data)
    else:
        text = decoded(raw.data).replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
        found = list(READERS[kind](text))
    if not any(block.words for block in found):
        raise Skipped("no text in it")
    return found


def decoded(data: bytes) -> str:
    """UTF-8, UTF-16 and UTF-32 by their marks, else Windows-1252. Raises Skipped for what is no text.

    Text that is not UTF-8 is taken for Windows-1252 only where most of it is ASCII: another 8-bit encoding would be
    read as nonsense, and a quote has to be right.
    """
    for mark, name in BOMS:
        if data.startswith(mark):
            try:
                return _checked(data.decode(name))
            except UnicodeDecodeError as error:
                raise Skipped(f"begins as {name.upper()} and is not") from error
    if b"\x00" in data[:SNIFFED_BYTES]:
        raise Skipped("binary")
    try:
        return _checked(data.decode())
    except UnicodeDecodeError:
        pass
    foreign = sum(byte > 127 for byte in data[: SNIFFED_BYTES * 8])
    try:
        if foreign > MOST_FOREIGN * min(len(data), SNIFFED_BYTES * 8):
            raise Skipped("its encoding is not known (neither UTF-8 nor Windows-1252)")
        return _checked(data.decode("cp1252"))
    except UnicodeDecodeError as error:
        raise Skipped("its encoding is not known (neither UTF-8 nor Windows-1252)") from error


def _checked(text: str) -> str:
    # A few stray controls are an old printer's; many are a program's data.
    if len(CONTROL.findall(text[:SNIFFED_BYTES])) > len(text[:SNIFFED_BYTES]) // 100:
        raise Skipped("binary")
    return CONTROL.sub(" ", text)
