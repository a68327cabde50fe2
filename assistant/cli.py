"""The command line: one command per module, loaded only when it is called."""

from __future__ import annotations

import importlib
import sys

import click

from assistant import silence
from assistant.errors import AssistantError

COMMANDS = {  # name -> where its click command is, and its line in --help (so that help loads nothing)
    "chat": ("assistant.tui.command:command", "Chat in the terminal."),
    "ask": ("assistant.ask:command", "Ask one question and print the reply."),
    "skills": ("assistant.skillset:skills", "Show and try what code answers, without the model."),
    "talk": ("assistant.voice.commands:talk", "Talk with it: speech in, speech out."),
    "listen": ("assistant.voice.commands:listen", "Turn speech into text."),
    "say": ("assistant.voice.commands:say", "Turn text into speech."),
    "voice": ("assistant.voice.commands:voice", "Show what speech needs, and serve it to Home Assistant."),
    "serve": ("assistant.daemon.command:command", "Run the daemon in this terminal."),
    "plan": ("assistant.plan.command:command", "Choose where and how to run, and say why."),
    "bench": ("assistant.plan.bench:command", "Measure this machine, for better plans."),
    "eval": ("assistant.evaluation.command:command", "Measure how good a model is."),
    "mood": ("assistant.sense:command", "Tell how a text sounds."),
    "config": ("assistant.settings:command", "Check and explain configuration, policies and profiles."),
    "states": ("assistant.states:states", "Move a conversation between machines."),
    "models": ("assistant.models.commands:models", "Add, list and check the models on this machine."),
    "docs": ("assistant.documents.command:docs", "Ask your own documents."),
    "cost": ("assistant.cost:command", "Show what the answers have cost."),
    "wall": ("assistant.wall.command:command", "Show the memory wall of this and other machines."),
    "service": ("assistant.service.command:service", "Run the daemon as a systemd service."),
    "selftest": ("assistant.selftest.command:selftest", "Prove that it works without a network, and alone."),
    "audit": ("assistant.audit.command:audit", "Ask three questions of the AI tools on this machine."),
    "cim": ("assistant.cim.commands:cim", "Ask the simulated compute-in-memory chips."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]):
        import difflib

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f" Did you mean '{near[0]}'?" if near else " 'assistant --help' lists them."
            raise click.UsageError(f"There is no command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rwkv-assistant", prog_name="assistant")
def assistant() -> None:
    """An assistant that runs on this machine and needs no network."""


def main() -> None:
    """Entry point: our errors become one line on stderr and their exit code."""
    silence.switch_off_telemetry()
    try:
        assistant(prog_name="assistant")
    except AssistantError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
