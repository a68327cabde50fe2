"""What can be done with chats as a whole: fork, branches, search, rename, pin, delete with undo, export, personas."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from textual.timer import Timer

from assistant import wire
from assistant.errors import AssistantError, UsageError
from assistant.tui import editor, export, personas

if TYPE_CHECKING:
    from assistant.tui.screens.chat import ChatScreen

UNDO_S = 10.0
"""A deleted chat is hidden at once and gone for good after this; the terminal that ends early deletes it as well."""


class Library:
    """Serves one chat screen; every method is a command, `text` what was written behind it."""

    def __init__(self, screen: ChatScreen):
        self._screen = screen
        self._deleted: dict[str, tuple[str, Timer]] = {}  # hidden, not yet deleted: id -> title, its clock

    @property
    def hidden(self) -> set[str]:
        return {*self._deleted}

    def _chat(self) -> wire.Chat:
        chat = self._screen.dialogue.branch.chat
        if chat is None:
            raise UsageError("this chat has not begun yet", hint="Send a message first")
        return chat

    def _say(self, text: str) -> None:
        self._screen.notify(text, markup=False)

    # --- branches and places ---

    async def fork(self, text: str = "", message_id: str | None = None) -> None:
        """A new chat that shares everything so far; the daemon copies the state, nothing is read again."""
        dialogue = self._screen.dialogue
        dialogue.refuse_if_busy()
        view = await dialogue.client.fork(self._chat().id, message_id)
        if text:
            await dialogue.client.patch_chat(view.chat.id, wire.ChatPatch(title=text))
        await dialogue.open(view.chat.id)
        self._say(f"This is now a chat of its own: {dialogue.branch.chat.title}")

    async def tree(self, _text: str = "") -> None:
        from assistant.tui.screens.tree import TreeScreen

        dialogue, chat = self._screen.dialogue, self._chat()
        shown = {message.id for message in dialogue.branch.messages}

        def go(node: wire.Node | None) -> None:
            if node:
                head_id = dialogue.branch.messages[-1].id if node.id in shown else node.head_id
                self._screen.attempt(dialogue.open(chat.id, head_id, node.id))

        self._screen.app.push_screen(TreeScreen(dialogue.client, chat.id, shown), go)

    async def search(self, text: str = "") -> None:
        from assistant.tui.screens.search import SearchScreen

        dialogue = self._screen.dialogue
        chat = dialogue.branch.chat

        def go(hit: wire.SearchHit | None) -> None:
            if hit:
                self._screen.attempt(dialogue.open(hit.chat_id, hit.head_id, hit.message_id))

        self._screen.app.push_screen(SearchScreen(dialogue.client, chat.id if chat else None, text), go)

    # --- chats of the list ---

    async def rename(self, text: str = "", chat_id: str | None = None, title: str = "") -> None:
        chat_id, title = (chat_id, title) if chat_id else (self._chat().id, self._chat().title)
        if text:
            await self._patch(chat_id, wire.ChatPatch(title=text))
            return
        from assistant.tui.screens.ask_line import AskLine

        def done(answer: str | None) -> None:
            if answer:
                self._screen.attempt(self._patch(chat_id, wire.ChatPatch(title=answer)), focus=False)

        self._screen.app.push_screen(AskLine("New title", title), done)

    async def pin(self, _text: str = "", chat_id: str | None = None) -> None:
        chat_id = chat_id or self._chat().id
        (chat,) = [c for c in await self._screen.dialogue.client.chats() if c.id == chat_id] or [self._chat()]
        await self._patch(chat_id, wire.ChatPatch(pinned=not chat.pinned))
        self._say("No longer pinned" if chat.pinned else "Pinned: it stays at the top of the list")

    async def delete(self, _text: str = "", chat_id: str | None = None, title: str = "") -> None:
        dialogue = self._screen.dialogue
        chat_id, title = (chat_id, title) if chat_id else (self._chat().id, self._chat().title)
        current = dialogue.branch.chat
        if current and current.id == chat_id:
            await dialogue.open(None)
        self._deleted[chat_id] = (title, self._screen.set_timer(UNDO_S, lambda: self._now(chat_id)))
        self._screen.refresh_chats()
        self._say(f"Deleted: {title}. Bring it back within {UNDO_S:.0f} s: U in the list of chats, or /undelete")

    async def undelete(self, _text: str = "") -> None:
        if not self._deleted:
            raise UsageError("nothing was deleted just now", hint="after ten seconds a chat is gone for good")
        chat_id, (title, clock) = self._deleted.popitem()
        clock.stop()
        self._screen.refresh_chats()
        self._say(f"Brought back: {title} ({chat_id[:8]})")

    def _now(self, chat_id: str) -> None:
        self._screen.attempt(self._delete(chat_id), focus=False)

    async def _delete(self, chat_id: str) -> None:
        if chat_id in self._deleted:
            await self._screen.dialogue.client.delete_chat(chat_id)
            del self._deleted[chat_id]

    async def close(self) -> None:
        """What was deleted stays deleted when the app ends."""
        for chat_id in [*self._deleted]:
            try:
                await self._delete(chat_id)
            except AssistantError:
                return

    async def _patch(self, chat_id: str, patch: wire.ChatPatch) -> None:
        view = await self._screen.dialogue.client.patch_chat(chat_id, patch)
        self._screen.dialogue.renamed(view.chat)

    # --- texts ---

    async def export(self, text: str = "") -> None:
        """`/export [markdown|json] [FILE]`"""
        form, file = export.understood(text)
        chat = self._chat()
        content = await self._screen.dialogue.client.export(chat.id, form)
        self._say(f"Written: {export.write(content, chat.title, form, file)}")

    async def editor(self, _text: str = "") -> None:
        composer = self._screen.composer
        composer.put(editor.edit(self._screen.app, composer.text))

    async def persona(self, text: str = "") -> None:
        found = personas.load()
        if not text:
            names = ", ".join(found)
            self._say(f"Personas: {names}. `/persona NAME` begins a chat; yours are in {personas.folder()}")
            return
        await self._begin_as(text, personas.named(text, found))

    async def system(self, text: str = "") -> None:
        if not text:
            chat = self._screen.dialogue.branch.chat
            self._say((chat.system if chat else self._screen.dialogue.branch.system) or "There is no system prompt")
            return
        await self._begin_as("your own", text)

    async def _begin_as(self, name: str, system: str) -> None:
        # A system prompt is the first thing that a state has read, so that another one is another chat.
        await self._screen.dialogue.open(None, system=system)
        self._screen.composer.border_subtitle = f"persona: {name}" if system else None

    async def policy(self, text: str = "") -> None:
        client = self._screen.dialogue.client
        if not text:
            status = await client.plan()
            self._say(
                f"Followed: {status.plan.policy}. There are {', '.join(status.policies)}; F4 shows what each does"
            )
            return
        status = await client.follow(text)
        self._say(f"Follows '{status.plan.policy}'; runs {status.active}")

    async def theme(self, text: str = "") -> None:
        app = self._screen.app
        if not text:
            app.action_change_theme()
        elif text in app.available_themes:
            app.theme = text
        else:
            from assistant.config import did_you_mean

            raise UsageError(f"there is no theme '{text}'", hint=did_you_mean(text, list(app.available_themes)))

    def do(self, name: str, text: str = "") -> Coroutine[Any, Any, None]:
        return getattr(self, name)(text)
