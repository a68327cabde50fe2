"""`assistant chat --plain`: a conversation as lines of text, for screen readers, slow links and dumb terminals.

Nothing is drawn over, no colours, no boxes, no symbols that a screen reader would spell out.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing

from assistant import wire
from assistant.client import Client
from assistant.errors import AssistantError
from assistant.tui import export, personas
from assistant.tui.commands import BY_NAME, COMMANDS, Command, is_command, parse
from assistant.tui.figures import si
from assistant.tui.text import END, FOUND, printable, title_of
from assistant.tui.thoughts import ThoughtSplitter
from assistant.tui.widgets.mood_tag import spoken

HERE = ("new", "retry", "undo", "fork", "search", "chats", "rename", "persona", "system", "export", "costs", "plan",
        "offline", "help", "quit")  # fmt: skip
"""The commands that lines can serve."""
YOU = "You: "


class Plain:
    """One conversation on stdin and stdout."""

    def __init__(self, client: Client, chat: wire.Chat | None = None):
        self._client, self._chat = client, chat
        self._prompt = ""
        self._listed: list[wire.Chat] = []
        self._asking = False
        self._told: list[str] = []  # reminders that came while a reply was written

    async def run(self) -> None:
        ready = await self._client.ready()
        if ready.model and ready.backend:
            kind = " simulated" if ready.backend.simulated else ""
            name = f"{ready.model.name} on {ready.backend.name}{kind}, {ready.backend.precision}"
            _say(f"Model {name}. Type /help for help.")
        if self._chat:
            await self._read_out()
        following = asyncio.create_task(self._follow_reminders())
        try:
            await self._talk()
        finally:
            following.cancel()

    async def _talk(self) -> None:
        while (line := await self._ask()) is not None:
            text = line.strip()
            try:
                if is_command(text):
                    command, argument = parse(text)
                    if command.name == "quit":
                        return
                    await self._do(command, argument)
                elif text:
                    await self._send(text[1:] if text.startswith("//") else text)
            except AssistantError as error:
                _say(f"Not done: {error}")

    async def _ask(self) -> str | None:
        while self._told:
            _say(self._told.pop(0))
        self._asking = True
        try:
            return await _line(YOU)
        finally:
            self._asking = False

    async def _follow_reminders(self) -> None:
        async for reminder in self._client.follow_reminders():
            words = f"\a{printable(reminder.words)}."
            if self._asking:
                _put(f"\n{words}\n{YOU}")
            else:
                self._told.append(words)

    async def _send(self, text: str) -> None:
        if self._chat is None:
            self._chat = await self._client.create_chat(title=title_of(text), system=self._prompt or None)
        await self._reply(self._client.stream_message(self._chat.id, wire.SendMessage(content=text)))

    async def _reply(self, events: AsyncGenerator[wire.StreamEvent, None]) -> None:
        assert self._chat
        splitter, loop = ThoughtSplitter(), asyncio.get_running_loop()
        chat_id, stopping = self._chat.id, set()
        mood: wire.Mood | None = None
        skill: wire.SkillAnswer | None = None

        def stop() -> None:
            stopping.add(asyncio.ensure_future(self._client.cancel(chat_id)))

        _put("Assistant: ")
        loop.add_signal_handler(signal.SIGINT, stop)
        try:
            async with aclosing(events) as stream:
                async for event in stream:
                    if isinstance(event, wire.Delta):
                        _put(printable(splitter.feed(event.text)[1]))
                    elif isinstance(event, wire.Sensed):
                        mood = event.mood
                    elif isinstance(event, wire.SkillUsed):
                        skill = event.answer
                    elif isinstance(event, wire.Failed):
                        _say(f"\nFailed: {event.error.message}")
                    elif isinstance(event, wire.Finished):
                        _say(printable(splitter.flush()[1]))
                        _say_more(skill or event.message.skill, mood)
                        _say(_spoken(event.cost) + (" Stopped by you." if event.message.status == "cancelled" else ""))
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    async def _do(self, command: Command, argument: str) -> None:
        if command.name not in HERE:
            _say(f"/{command.name} needs the full screen: `assistant chat`")
            return
        await getattr(self, f"_{command.name}")(argument)

    def _now(self) -> wire.Chat:
        if self._chat is None:
            from assistant.errors import UsageError

            raise UsageError("this chat has not begun yet", hint="Send a message first")
        return self._chat

    async def _new(self, _: str) -> None:
        self._chat, self._prompt = None, ""
        _say("A new chat.")

    async def _retry(self, _: str) -> None:
        await self._reply(self._client.stream_regenerate(self._now().id, wire.Regenerate()))

    async def _undo(self, _: str) -> None:
        view = await self._client.chat(self._now().id)
        users = [m for m in view.messages if m.role == "user"]
        if len(users) < 2:
            await self._new("")
            return
        await self._client.patch_chat(view.chat.id, wire.ChatPatch(head_id=users[-1].parent_id))
        _say(f"Taken back: {printable(users[-1].content)}")

    async def _fork(self, title: str) -> None:
        view = await self._client.fork(self._now().id)
        if title:
            view = await self._client.patch_chat(view.chat.id, wire.ChatPatch(title=title))
        self._chat = view.chat
        _say(f"This is now a chat of its own: {printable(view.chat.title)}")

    async def _search(self, words: str) -> None:
        hits = await self._client.search(words)
        for hit in hits[:20]:
            text = " ".join(printable(hit.snippet.replace(FOUND, "").replace(END, "")).split())
            _say(f"{printable(hit.chat_title)}, {'you' if hit.role == 'user' else 'assistant'}: {text}")
        _say(f"{len(hits)} found." if hits else "Nothing found.")

    async def _chats(self, number: str) -> None:
        if number.isdigit() and 0 < int(number) <= len(self._listed):
            self._chat = self._listed[int(number) - 1]
            await self._read_out()
            return
        self._listed = await self._client.chats()
        for n, chat in enumerate(self._listed[:50], 1):
            marks = f"{', pinned' if chat.pinned else ''}, {chat.messages} messages"
            _say(f"{n}. {printable(chat.title) or 'untitled'}{marks}")
        _say("/chats NUMBER goes on with one." if self._listed else "There are no chats yet.")

    async def _rename(self, title: str) -> None:
        self._chat = (await self._client.patch_chat(self._now().id, wire.ChatPatch(title=title or None))).chat
        _say(f"The chat is called: {printable(self._chat.title)}")

    async def _persona(self, name: str) -> None:
        found = personas.load()
        if not name:
            _say(f"Personas: {', '.join(found)}.")
            return
        self._chat, self._prompt = None, personas.named(name, found)
        _say(f"A new chat with {name}.")

    async def _system(self, text: str) -> None:
        self._chat, self._prompt = None, text
        _say("A new chat with your system prompt.")

    async def _export(self, text: str) -> None:
        form, file = export.understood(text)
        chat = self._now()
        _say(f"Written: {export.write(await self._client.export(chat.id, form), chat.title, form, file)}")

    async def _costs(self, _: str) -> None:
        report = await self._client.cost("day")
        for row in report.rows[:14]:
            energy = " and ".join(f"{si(j, 'J')} {basis}" for basis, j in row.totals.energy_j.items())
            _say(f"{row.label}: {row.totals.answers} answers, {row.totals.completion_tokens} tokens, {energy}")
        _say("That is all." if report.rows else "Nothing has been answered yet.")

    async def _plan(self, _: str) -> None:
        status = await self._client.plan()
        _say(f"Runs {status.active}, because: {status.reason}. Policy {status.plan.policy}: {status.plan.title}.")

    async def _offline(self, _: str) -> None:
        test = (await self._client.ready()).selftest
        _say("Offline: not proven, the self-test has not been run here." if test is None
             else f"Offline self-test: {test.verdict}. {printable(test.why)}")  # fmt: skip

    async def _help(self, _: str) -> None:
        _say("Type a message and press Enter. Control C stops a reply. Commands:")
        for command in COMMANDS:
            if command.name in HERE:
                _say(f"/{BY_NAME[command.name].name} {command.argument}: {command.words}.".replace(" :", ":"))

    async def _read_out(self) -> None:
        view = await self._client.chat(self._now().id)
        _say(f"Chat: {printable(view.chat.title)}")
        for message in view.messages[-10:]:
            _say(f"{'You' if message.role == 'user' else 'Assistant'}: {printable(message.content)}")
            _say_more(message.skill, message.mood)


def _say_more(skill: wire.SkillAnswer | None, mood: wire.Mood | None) -> None:
    """Whatever the full screen shows beside the words."""
    if skill:
        _say(f"[Exact, by the skill {printable(skill.skill)}; not written by the model.]")
        for quote in skill.quotes:
            where = f" line {quote.line}" if quote.line else f" page {quote.page}" if quote.page else ""
            _say(f"[From {printable(quote.file)}{where}: {printable(quote.text)}]")
    if mood:
        _say(f"[Your message: {spoken(mood)}]")


def _spoken(cost: wire.Cost) -> str:
    speed = f" at {cost.tok_s:.0f} per second" if cost.tok_s else ""
    return f"[{cost.completion_tokens} tokens{speed}, {si(cost.energy_j, 'J')} {cost.energy_basis}]"


def _put(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _say(text: str) -> None:
    _put(text + "\n")


async def _line(prompt: str) -> str | None:
    """A line of stdin, None at its end. A thread of our own: leaving must not wait for it."""
    loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    def read() -> None:
        try:
            text: str | None = input(prompt)
        except (EOFError, ValueError):
            text = None
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: done.done() or done.set_result(text))

    threading.Thread(target=read, daemon=True).start()
    return await done


def run(chat_id: str | None = None, backend: str | None = None) -> int:
    """Talk until the end of stdin; an exit code."""
    from assistant.launch import ensure_daemon

    async def talk() -> None:
        async with Client() as client:
            chat = None
            if chat_id:
                chats = await client.chats()
                newest = max(chats, key=lambda c: c.updated_at, default=None)
                chat = newest if chat_id == "last" else (await client.chat(chat_id)).chat
            await Plain(client, chat).run()

    ensure_daemon(_say, backend=backend)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(talk())
    return 0
