"""What systemd is told and what it expects: readiness, stopping, the watchdog's food, the sockets it passes.

Sources: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

FIRST_FD = 3  # SD_LISTEN_FDS_START


class Notifier:
    """Speaks to the service manager that started this very process; silent where there is none.

    The variables are taken out of the environment, so that no child of ours answers in our name.
    """

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        limit_us, pid = os.environ.pop("WATCHDOG_USEC", ""), os.environ.pop("WATCHDOG_PID", "")
        wanted = limit_us.isdigit() and pid in ("", str(os.getpid())) and self._address
        self.watchdog_s = int(limit_us) / 1e6 if wanted else 0.0
        """After how much silence we are killed; 0: nobody watches."""

    def send(self, *lines: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            log.warning("the service manager could not be told %s: %s", lines[0], error)

    async def feed_watchdog(self, alive: Callable[[], Awaitable[None]]) -> None:
        """Ask `alive` again and again, and tell only what it has shown: if it hangs or fails, we are killed."""
        while self.watchdog_s:
            try:
                await asyncio.wait_for(alive(), self.watchdog_s)
                self.send("WATCHDOG=1")
            except TimeoutError:
                log.critical("the engine has not answered for %.0f s", self.watchdog_s)
            except Exception:
                log.critical("the engine does not compute any more", exc_info=True)
            await asyncio.sleep(self.watchdog_s / 3)


def passed_socket() -> int | None:
    """The descriptor of the one socket that a service manager passes to this process, if any."""
    count, pid = os.environ.pop("LISTEN_FDS", ""), os.environ.pop("LISTEN_PID", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if not count.isdigit() or int(count) < 1 or pid != str(os.getpid()):
        return None
    os.set_inheritable(FIRST_FD, False)
    return FIRST_FD
