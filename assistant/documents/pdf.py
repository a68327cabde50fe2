"""Text of PDF files by page, with pypdf in a process of its own, so that a file that never ends costs only itself."""

from __future__ import annotations

import io
import logging
import multiprocessing
import resource
from contextlib import suppress
from multiprocessing.connection import Connection

from assistant.documents import markup
from assistant.documents.extract import Skipped
from assistant.documents.passages import Block

PATIENCE_S, MOST_PAGES, MEMORY_BYTES = 120.0, 3000, 2 << 30
SCANNED = "no text in it: a scan? (OCR it first, for instance with ocrmypdf)"
MOST_TEXT_BYTES = 64 << 20


def read(data: bytes) -> list[Block]:
    """Raises Skipped: encrypted, damaged, scanned, too slow, too large."""
    try:
        import pypdf  # noqa: F401 (loaded here, once, and not in each child)
    except ImportError as error:
        raise Skipped("pypdf is not installed") from error
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(data, theirs), daemon=True)
    child.start()
    theirs.close()
    try:
        if not ours.poll(PATIENCE_S):
            raise Skipped(f"not read within {PATIENCE_S:.0f} s")
        outcome, value = ours.recv()
    except (EOFError, OSError) as error:
        raise Skipped("reading it took too much memory or crashed") from error
    finally:
        ours.close()
        child.kill()
        child.join()
    if outcome != "pages":
        raise Skipped(value)
    title, pages = value
    blocks = [Block((title,), (0,), 1, 1)] if title else []
    for number, text in enumerate(pages, 1):
        blocks += [_deeper(block) for block in markup.plain(text, number)]
    return blocks


def _deeper(block: Block) -> Block:
    """The file's title stays on top of what stands out on a page."""
    return Block(block.lines, block.numbers, block.level and 2, block.page)


def _work(data: bytes, out: Connection) -> None:
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(Exception):  # where the kernel has no such filter, there is none
        from assistant import seccomp

        seccomp.deny_network()
    try:
        out.send(("pages", _pages(data)))
    except Skipped as skipped:
        out.send(("skipped", str(skipped)))
    except MemoryError:
        out.send(("skipped", "reading it takes too much memory"))
    except Exception as error:  # pypdf raises whatever a damaged file makes it stumble over
        out.send(("skipped", f"damaged ({type(error).__name__})"))


def _pages(data: bytes) -> tuple[str, list[str]]:
    import pypdf
    from pypdf.errors import DependencyError, FileNotDecryptedError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        # Many files are encrypted with an empty password, only to forbid printing.
        if reader.is_encrypted and not reader.decrypt(""):
            raise Skipped("encrypted: it needs a password")
        if len(reader.pages) > MOST_PAGES:
            raise Skipped(f"more than {MOST_PAGES} pages")
        pages, size = [], 0
        for page in reader.pages:
            text = page.extract_text()
            size += len(text)
            if size > MOST_TEXT_BYTES:
                raise Skipped("too much text in it")
            pages.append(text.replace("\x00", " ").encode("utf-8", "replace").decode())
    except (FileNotDecryptedError, DependencyError) as error:
        raise Skipped("encrypted: it needs a password") from error
    if not any(text.strip() for text in pages):
        raise Skipped(SCANNED)
    title = ""
    with suppress(Exception):
        title = " ".join(str((reader.metadata and reader.metadata.title) or "").split())[:120]
    return title.encode("utf-8", "replace").decode(), pages
