"""`assistant states`: a conversation with the model's state after it as a file, and back."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click


@click.group("states")
def states() -> None:
    """Move a conversation between machines without reading it again."""


@states.command("export")
@click.argument("chat_id")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Default: <chat id>.state.safetensors here.")
def export_state(chat_id: str, output: Path | None) -> None:
    """Write a chat and the state after its last reply to a file."""
    from assistant.client import Client, call
    from assistant.errors import UsageError

    path = output or Path(f"{chat_id}.state.safetensors")

    async def fetch(client: Client) -> bytes:
        view = await client.chat(chat_id)
        if not view.messages:
            raise UsageError("the chat is empty", where=chat_id, hint="there is no state before the first reply")
        return await client.export_state(view.messages[-1].id)

    content = call(fetch)
    try:
        with open(path, "xb", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
            file.write(content)
    except OSError as error:
        raise UsageError("cannot write the file", where=path, why=error.strerror) from error
    click.echo(path)
    click.echo(f"{len(content)} bytes, with the whole text of the chat: keep it as you would keep the chat", err=True)


@states.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_state(file: Path) -> None:
    """Make a new chat of an exported file; prints its id."""
    from assistant.client import call

    content = file.read_bytes()
    view = call(lambda client: client.import_state(content))
    click.echo(view.chat.id)
    click.echo(f"'{view.chat.title}' goes on after {len(view.messages)} messages", err=True)
    sys.stdout.flush()
