"""`assistant ask`: one question, one reply; the reply goes to stdout, everything else to stderr."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from assistant import wire

LOADING_POLL_S = 0.05
EXIT_INTERRUPTED = 130  # as after SIGINT
EXIT_BROKEN_PIPE = 141  # as after SIGPIPE


def ask(
    prompt: str,
    *,
    chat: str | None = None,
    system: str | None = None,
    discard: bool = False,
    backend: str | None = None,
    on_text: Callable[[str], None] = lambda _text: None,
    on_status: Callable[[str], None] = lambda _text: None,
    **sampling: Any,
) -> wire.Finished:
    """Ask and wait for the whole reply; its text is passed on to `on_text` while it is written.

    `chat` continues that chat ("last": the newest); without it a new one gets the prompt's title.
    A failure raises an `AssistantError`; Ctrl-C stops the reply, and the daemon keeps its part.
    """
    from assistant.launch import ensure_daemon

    ensure_daemon(on_status, backend=backend)
    return asyncio.run(_ask(prompt, chat, system, discard, on_text, on_status, sampling))


async def _ask(
    prompt: str,
    chat: str | None,
    system: str | None,
    discard: bool,
    on_text: Callable[[str], None],
    on_status: Callable[[str], None],
    sampling: dict[str, Any],
) -> wire.Finished:
    from contextlib import aclosing

    from assistant import wire
    from assistant.client import Client, ReplyCut
    from assistant.errors import RequestError

    message = wire.SendMessage(content=prompt, **sampling)
    async with Client() as client:
        await _loaded(client, on_status)
        chat_id = await _chat_id(client, chat, system, prompt)
        try:
            async with aclosing(client.stream_message(chat_id, message)) as events:
                async for event in events:
                    match event:
                        case wire.Delta():
                            on_text(event.text)
                        case wire.Failed(error=body):
                            raise RequestError(
                                body.message,
                                status=500,
                                code=body.code or body.type,
                                hint=body.hint,
                            )
                        case wire.Finished():
                            return event
            raise RequestError("the stream ended without a reply", status=500)
        except ReplyCut as error:
            raise ReplyCut(
                "the daemon went away in the middle of the reply",
                why=error.why,
                hint="The message and the partial reply are kept: "
                f"`assistant chat --chat {chat_id}` shows them and answers again",
            ) from error
        finally:
            if discard and not chat:
                await _forget(client, chat_id)


async def _loaded(client: Any, on_status: Callable[[str], None]) -> None:
    """A daemon that has just been started still loads its model."""
    told = None
    while not (ready := await client.ready()).ready:
        if ready.reason and ready.reason != told:
            told = ready.reason
            on_status(told)
        await asyncio.sleep(LOADING_POLL_S)


async def _chat_id(client: Any, chat: str | None, system: str | None, prompt: str) -> str:
    from assistant.errors import RequestError
    from assistant.tui.text import title_of

    if not chat:
        return (await client.create_chat(title=title_of(prompt), system=system)).id
    if chat != "last":
        return chat
    chats = await client.chats()
    if not chats:
        raise RequestError("there is no chat to continue", hint="Ask without --continue first")
    return max(chats, key=lambda entry: entry.updated_at).id


async def _forget(client: Any, chat_id: str) -> None:
    from assistant.errors import AssistantError

    try:
        await client.delete_chat(chat_id)
    except AssistantError as error:
        click.echo(f"warning: the chat {chat_id} is not deleted: {error}", err=True)


@click.command("ask")
@click.argument("prompt", nargs=-1)
@click.option("--chat", metavar="ID", help="Go on with this chat.")
@click.option("--continue", "-c", "resume", is_flag=True, help="Go on with the newest chat.")
@click.option("--discard", is_flag=True, help="Delete the chat after the reply.")
@click.option("--system", "-s", help="System prompt of the new chat.")
@click.option("--backend", help="Start the daemon on this backend, such as a simulated chip.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object after the reply.")
@click.option("--temperature", type=float, help="0: always the likeliest token.")
@click.option("--top-p", type=float)
@click.option("--seed", type=int, help="The same seed gives the same reply.")
@click.option("--max-tokens", type=click.IntRange(min=1))
@click.option("--no-skills", is_flag=True, help="The model answers, whatever a skill would have said.")
@click.option("--stop", multiple=True, help="End the reply before this text; may be repeated.")
def command(
    prompt: tuple[str, ...],
    chat: str | None,
    resume: bool,
    discard: bool,
    system: str | None,
    as_json: bool,
    backend: str | None,
    stop: tuple[str, ...],
    no_skills: bool,
    **sampling: float | int | None,
) -> None:
    """Ask one question and print the reply.

    What is piped in is added below PROMPT, or is the prompt. Starts the daemon if none runs.
    The chat is kept and can be resumed, unless --discard is given.
    """
    if chat and resume:
        raise click.UsageError("--chat and --continue exclude each other")
    if system and (chat or resume):
        raise click.UsageError("--system belongs to a new chat")
    if discard and (chat or resume):
        raise click.UsageError("--discard deletes the new chat only; it cannot go with an older one")
    text = "\n".join(part for part in (" ".join(prompt), _piped()) if part)
    if not text.strip():
        raise click.UsageError("nothing is asked: give a PROMPT or pipe a text in")
    options: dict[str, Any] = {k: v for k, v in sampling.items() if v is not None}
    if stop:
        options["stop"] = list(stop)
    if no_skills:
        options["skills"] = False
    printer = _Printer()
    try:
        finished = ask(
            text,
            chat="last" if resume else chat,
            system=system,
            discard=discard,
            backend=backend,
            on_text=_ignore if as_json else printer,
            on_status=lambda status: click.echo(f"{status} ...", err=True),
            **options,
        )
        printer.end_line()
        _report(finished, as_json)
    except KeyboardInterrupt:
        printer.end_line()
        click.echo("stopped", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader has gone, and with it the reason to go on; leaving has stopped the reply.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_BROKEN_PIPE)
    except Exception:
        printer.end_line()  # the message on stderr begins its own line
        raise


def _report(finished: wire.Finished, as_json: bool) -> None:
    message = finished.message
    if as_json:
        import msgspec

        answer = {
            "text": message.content,
            "chat_id": message.chat_id,
            "message_id": message.id,
            "finish_reason": message.finish_reason,
            "usage": finished.usage,
            "cost": finished.cost,
        }
        if message.skill:
            answer["skill"] = message.skill
        click.echo(msgspec.json.encode(answer).decode())
    if message.finish_reason == "length":
        click.echo("note: the reply was cut at the token limit (--max-tokens)", err=True)
    elif message.finish_reason == "cancelled":
        click.echo("note: the reply was stopped from elsewhere", err=True)


def _piped() -> str:
    """What another program sends us; nothing if a person sits there."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return ""
    return sys.stdin.read().strip("\n")


class _Printer:
    """Prints pieces as they come, and ends the line if the reply did not."""

    def __init__(self) -> None:
        self._in_line = False

    def __call__(self, text: str) -> None:
        if sys.stdout.isatty():
            from assistant.tui.text import printable

            text = printable(text)
        sys.stdout.write(text)
        sys.stdout.flush()
        self._in_line = not text.endswith("\n")

    def end_line(self) -> None:
        if self._in_line:
            click.echo()
            self._in_line = False


def _ignore(_text: str) -> None:
    pass
