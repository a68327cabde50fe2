"""`assistant chat`: the options of the terminal app; the app itself is loaded when it runs."""

from __future__ import annotations

import sys

import click


@click.command("chat")
@click.option("--resume", "--continue", "-c", "resume", is_flag=True, help="Go on with the newest chat.")
@click.option("--chat", "chat_id", metavar="ID", help="Go on with this chat.")
@click.option("--backend", help="Start the daemon on this backend, such as a simulated chip.")
@click.option("--inline", is_flag=True, help="Draw below the prompt instead of on the whole screen.")
@click.option("--plain", is_flag=True, help="Lines of text only: for screen readers, and for any terminal or pipe.")
def command(resume: bool, chat_id: str | None, backend: str | None, inline: bool, plain: bool) -> None:
    """Chat in the terminal.

    Starts the daemon if none runs. F1 shows all keys.
    """
    if resume and chat_id:
        raise click.UsageError("--resume and --chat exclude each other")
    if plain and inline:
        raise click.UsageError("--plain and --inline exclude each other")
    if plain:
        from assistant.tui.plain import run as talk

        sys.exit(talk("last" if resume else chat_id, backend))
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        from assistant.errors import UsageError

        raise UsageError("the chat needs a terminal", hint="In a pipe or a script, use `assistant ask`, or --plain")
    from assistant.tui import run

    sys.exit(run("last" if resume else chat_id, backend, inline))
