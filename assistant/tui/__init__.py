"""The terminal app: a chat that types at once, shows what tokens cost, and speaks HTTP only."""

from __future__ import annotations


def run(chat_id: str | None = None, backend: str | None = None, inline: bool = False) -> int:
    """Open the app on a new chat, on `chat_id`, or on the newest one ("last"); an exit code."""
    from functools import partial

    from assistant import config
    from assistant.launch import ensure_daemon
    from assistant.tui import warm
    from assistant.tui.app import ChatApp

    # Read first: an error in the file belongs on the plain terminal, not into a screen.
    settings = config.load()
    launcher = partial(ensure_daemon, backend=backend) if backend else None
    if launcher:
        launcher()  # a daemon that runs on another backend is such an error too
    app = ChatApp(chat_id, theme=settings.tui.theme, launcher=launcher)
    warm.spare_the_keys()
    app.run(inline=inline)
    return app.return_code or 0
