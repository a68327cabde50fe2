"""A notification on the desktop, through notify-send where it is installed."""

from __future__ import annotations

import asyncio
import html
import logging
import shutil

LIMIT_S = 5.0
log = logging.getLogger(__name__)


async def notify_desktop(title: str, body: str) -> None:
    """Shown if notify-send is installed and there is a desktop to send to; a service in its sandbox has none."""
    program = shutil.which("notify-send")
    if not program:
        return
    # No shell; the body is Pango markup to some notification servers, and `--` ends the options.
    command = [program, "--app-name=assistant", "--urgency=critical", "--", title, html.escape(body, quote=False)]
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL)  # fmt: skip
        try:
            code = await asyncio.wait_for(process.wait(), LIMIT_S)
        except TimeoutError:
            process.kill()
            await process.wait()
            code = "nothing"
        if code != 0:
            log.info("no desktop notification: notify-send ended with %s", code)
    except OSError as error:
        log.info("no desktop notification: %s", error)
