"""`assistant skills`: what code answers without the model, tried without a daemon; and the reminders."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from assistant import wire

EXIT_NONE = 1


@click.group("skills", invoke_without_command=True)
@click.pass_context
def skills(context: click.Context) -> None:
    """Show what code answers in chats, exactly and without the model.

    Without a command: the list, as the running daemon has it, with what is switched off and why.
    """
    if context.invoked_subcommand is None:
        for view in _views():
            click.echo(f"{view.name:<12} {'on ' if view.on else 'OFF'}  {view.help or '-'}"
                       + (f" (plug-in: {view.plugin})" if view.plugin else ""))  # fmt: skip
            if not view.on:
                click.echo(f"{'':<17}off: {view.why_off}")
            for example in view.examples:
                click.echo(f'{"":<17}"{example}"')


@skills.command("run")
@click.argument("text", nargs=-1, required=True)
def run(text: tuple[str, ...]) -> None:
    """Answer TEXT by a skill, here and now: no daemon is asked and no model runs.

    Ends with exit code 1 if TEXT is for no skill.
    """
    from assistant import config
    from assistant.skills.registry import REMINDERS, Registry

    answer = Registry(config.load().skills).answer(" ".join(text))
    if answer is None:
        click.echo('no skill answers this; `assistant skills` shows examples, `assistant ask "..."` asks the model',
                   err=True)  # fmt: skip
        raise SystemExit(EXIT_NONE)
    click.echo(answer.text)
    for quote in answer.quotes:
        click.echo(f"    {quote.file}: {quote.text}")
    if answer.skill == REMINDERS and not _daemon_there():
        click.echo("note: no daemon is running; reminders are told while one does (`assistant serve`,"
                   " `assistant service install`), late ones as soon as it starts", err=True)  # fmt: skip


@skills.command("reminders")
@click.option("--follow", "-f", is_flag=True, help="Wait, and print each reminder when it is told.")
@click.option("--notify", is_flag=True, help="With --follow: show each on the desktop as well (notify-send).")
def reminders(follow: bool, notify: bool) -> None:
    """List the reminders and timers, or wait for them.

    A service in its sandbox cannot reach the desktop; `--follow --notify`, started with the desktop, shows them there.
    """
    if notify and not follow:
        raise click.UsageError("--notify goes with --follow")
    if follow:
        from assistant.launch import ensure_daemon

        ensure_daemon(lambda status: click.echo(f"{status} ...", err=True))
        try:
            asyncio.run(_follow(notify))
        except KeyboardInterrupt:
            return
    rows = _reminders()
    if not rows:
        click.echo("there are no reminders")
    for row in rows:
        state = "told" if row.done else row.kind
        again = f" ({row.repeats})" if row.repeats else ""
        click.echo(f"{row.id:>4}  {state:<8}  {row.when}{again}  {row.text}")


async def _follow(notify: bool) -> None:
    from assistant.client import Client
    from assistant.skills.desktop import notify_desktop

    async with Client() as client:
        async for reminder in client.follow_reminders():
            click.echo(f"{time.strftime('%H:%M')}  {reminder.words}")
            if notify:
                title, _, body = reminder.words.partition(": ")
                await notify_desktop(title, body)


def _views() -> list[wire.SkillView]:
    """As the running daemon has them; where none runs, as it would have them."""
    from assistant import config, paths
    from assistant.errors import DaemonUnavailable

    if paths.client_socket().exists():
        from assistant.client import call

        try:
            return call(lambda client: client.skills())
        except DaemonUnavailable:
            pass
    from assistant.skills.registry import Registry

    return Registry(config.load().skills).views()


def _reminders() -> list[wire.Reminder]:
    """Asked of the daemon, or read from its file where none runs."""
    from assistant import paths
    from assistant.errors import DaemonUnavailable

    if paths.client_socket().exists():
        from assistant.client import call

        try:
            return call(lambda client: client.reminders())
        except DaemonUnavailable:
            pass
    from assistant.skills.registry import REMINDERS
    from assistant.skills.reminder_book import ReminderBook

    return ReminderBook(paths.skills_dir() / REMINDERS).views()


def _daemon_there() -> bool:
    from assistant import paths
    from assistant.errors import AssistantError

    if not paths.client_socket().exists():
        return False
    from assistant.client import call

    try:
        call(lambda client: client.ready())
    except AssistantError:
        return False
    return True
