"""The terminal app: a chat that types at once, shows what tokens cost, and speaks HTTP only."""

from __future__ import annotations


def run(chat_id: str | None = None) -> int:
    """Open the app on a new chat, on `chat_id`, or on the newest one ("last"); an exit code."""
    from assistant import config
    from assistant.tui.app import ChatApp

    # Read first: an error in the file belongs on the plain terminal, not into a screen.
    settings = config.load()
    app = ChatApp(chat_id, theme=settings.tui.theme)
    app.run()
    return app.return_code or 0
