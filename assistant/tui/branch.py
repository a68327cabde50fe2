"""The branch of a chat that is on the screen: its messages, undo and redo, its redrawing."""

from __future__ import annotations

from assistant import wire
from assistant.client import Client
from assistant.errors import RequestError
from assistant.tui.widgets.conversation import Conversation


class Branch:
    """What the daemon stores, as far as we know; whoever changes it holds the dialogue's lock."""

    def __init__(self, client: Client, conversation: Conversation):
        self.chat: wire.Chat | None = None
        self.messages: list[wire.Message] = []
        self.system = ""  # the system prompt that a new chat will have
        self.at_root = False  # every turn is taken back here; the daemon knows no empty branch
        self._client = client
        self._conversation = conversation
        self._undone: list[str] = []

    @property
    def user_messages(self) -> list[wire.Message]:
        return [message for message in self.messages if message.role == "user"]

    @property
    def last_cost(self) -> wire.Cost | None:
        """What the newest answer has cost, if there is one."""
        return next((m.cost for m in reversed(self.messages) if m.cost and m.cost.completion_tokens), None)

    async def stored(self, chat_id: str | None = None) -> wire.ChatView | None:
        """What the daemon has of this chat ("last": the newest one), without drawing it."""
        if chat_id == "last":
            chats = await self._client.chats()
            chat_id = max(chats, key=lambda chat: chat.updated_at).id if chats else None
        elif not chat_id and self.chat and not self.at_root:
            chat_id = self.chat.id
        return await self._client.chat(chat_id) if chat_id else None

    async def show(self, view: wire.ChatView) -> None:
        """Draw what the daemon says."""
        self.chat, self.messages, self.at_root = view.chat, list(view.messages), False
        await self._conversation.show(self.messages)

    async def clear(self, system: str = "") -> None:
        """A new chat with this system prompt; it is created with its first message."""
        self.chat, self.messages, self.at_root, self.system = None, [], False, system
        self._undone.clear()
        await self._conversation.show(self.messages)

    async def open(self, chat_id: str, head_id: str | None = None) -> None:
        """Show a chat, or the branch of it that ends at `head_id`."""
        view = await self._client.chat(chat_id)
        if head_id and head_id != view.chat.head_id:
            view = await self._client.patch_chat(chat_id, wire.ChatPatch(head_id=head_id))
        self._undone.clear()
        await self.show(view)

    async def cut_after(self, message_id: str | None) -> None:
        """Show the branch up to this message (None: nothing of it), because another one begins."""
        ids = [message.id for message in self.messages]
        keep = ids.index(message_id) + 1 if message_id in ids else 0
        del self.messages[keep:]  # in place: the conversation looks at the same list
        self.at_root = False
        self._undone.clear()
        await self._conversation.cut_after(message_id)

    async def undo(self) -> str:
        """Take back the last turn; returns its text."""
        if not self.chat or not self.user_messages:
            raise RequestError("there is nothing to take back")
        message, head_id = self.user_messages[-1], self.messages[-1].id
        if message.parent_id is None:
            self.messages, self.at_root = [], True
            await self._conversation.show(self.messages)
        else:
            await self._move_to(self.chat, message.parent_id)
        self._undone.append(head_id)
        return message.content

    async def redo(self) -> None:
        if not self.chat or not self._undone:
            raise RequestError("there is nothing to bring back")
        await self._move_to(self.chat, self._undone[-1])
        self._undone.pop()

    async def _move_to(self, chat: wire.Chat, head_id: str) -> None:
        await self.show(await self._client.patch_chat(chat.id, wire.ChatPatch(head_id=head_id)))
