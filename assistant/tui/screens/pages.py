"""The pages over the chat by name; imported when the first of them is opened."""

from __future__ import annotations

from assistant.tui.screens.chat import ChatScreen
from assistant.tui.screens.ledger import LedgerScreen
from assistant.tui.screens.offline import OfflineScreen
from assistant.tui.screens.page import Page
from assistant.tui.screens.plan import PlanScreen

KINDS: dict[str, type[Page]] = {"costs": LedgerScreen, "plan": PlanScreen, "offline": OfflineScreen}


def make(kind: type[Page], chat: ChatScreen) -> Page:
    client = chat.connection.client
    return kind(client, chat.connection.link.ready) if kind is OfflineScreen else kind(client)
