"""`assistant audit`: three questions to every AI tool on this machine, and the honeypot for each of them."""

from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path

import click

from assistant.errors import AssistantError, UsageError

COLOURS = {"yes": "green", "no": "red", "partly": "yellow", "your call": "yellow", "unknown": None}
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON (its schema has a version).")


class Discreet(click.Group):
    """A failure that nobody foresaw is told without its text: that could quote a file, an argument or a variable."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (AssistantError, click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            raise AssistantError(f"the audit failed ({type(error).__name__})",
                                 where=f"{Path(frame.filename).name}:{frame.lineno}",
                                 why="its text is not shown, because it could hold a secret") from None  # fmt: skip


@click.group("audit", cls=Discreet, invoke_without_command=True)
@as_json
@click.option("--markdown", is_flag=True, help="Print Markdown.")
@click.option("--short", is_flag=True, help="Only the table.")
@click.option("--tool", "only", metavar="ID", help="Only this tool (and ourselves).")
@click.option("--budget", type=click.FloatRange(min=0), metavar="AMOUNT",
              help="What you would pay for one tool in a month, at most: decides the second question.")  # fmt: skip
@click.option(
    "--read-profiles", is_flag=True, help="Also look for names of variables in shell profiles and .env files."
)
@click.option("--verbose", is_flag=True, help="Tell on stderr what is looked at.")
@click.pass_context
def audit(context: click.Context, as_json: bool, markdown: bool, short: bool, only: str | None, budget: float | None,
          read_profiles: bool, verbose: bool) -> None:  # fmt: skip
    """Ask three questions of every AI tool on this machine; of ourselves first.

    \b
    network down: does it work?
    price x10: would I keep it?
    data may not leave: does it function?

    Nothing is started and nothing is sent. Each answer says what it rests on: a test in the honeypot (`assistant audit
    run`), the tool's documentation, or nothing. Of variables only the names are read, of settings only names of models
    and addresses of servers.
    """
    if context.invoked_subcommand:
        return
    if as_json and markdown:
        raise UsageError("JSON or Markdown?", hint="choose one")
    from assistant.audit import catalog, report

    tools = catalog.load()
    if only is not None:
        tools = [_known(tools, only)]
    found = report.audit(tools, budget, read_profiles, _say if verbose else lambda _line: None)
    if only is not None:
        found.tools = [tool for tool in found.tools if tool.ours or tool.id == tools[0].id]
        if len(found.tools) == 1:
            _say(f"{tools[0].name} was not found here")
    if as_json:
        click.echo(report.to_json(found))
    elif markdown:
        click.echo(report.to_markdown(found), nl=False)
    else:
        click.echo(report.to_text(found, not short, _paint), color=_colour())


@audit.command("run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--for", "seconds", type=click.FloatRange(min=0.1), metavar="SECONDS",
              help="End it after so long; without it, it runs to its own end.")  # fmt: skip
@click.option("--input", "script", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Type the lines of this file into its terminal, each when it is quiet.")  # fmt: skip
@click.option("--allow-files", is_flag=True, help="Let it write to your files; else what it writes below your home and "
              "this folder is thrown away afterwards.")  # fmt: skip
@click.option("--as", "as_tool", metavar="ID", help="Which tool of the table this is, if its program does not tell.")
@click.option("--show", is_flag=True, help="Without a terminal: pass what it writes to stderr.")
@click.option("--no-question", is_flag=True, help="Do not ask afterwards whether it did its work.")
@as_json
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(seconds: float | None, script: Path | None, allow_files: bool, as_tool: str | None, show: bool,
        no_question: bool, as_json: bool, command: tuple[str, ...]) -> None:  # fmt: skip
    """Run any tool where every call is caught and none gets out: assistant audit run -- llm "hello"

    It sees your files and its own settings, in your terminal, and a network in which all addresses of the world are
    this machine and nobody answers. What it tried is kept as evidence for `assistant audit`. Servers of this machine
    are not there: start one inside, as in `assistant audit run -- sh -c 'ollama serve & ollama run llama3'`.

    Exit codes: 0 silent, 1 it tried to reach somebody, 2 no such program, 69 not proven here.
    """
    from assistant.audit import catalog, evidence, identity, terminal
    from assistant.audit.report import to_json
    from assistant.audit.run import run as run_in_cage
    from assistant.audit.subject import name_of, words_of

    tools = catalog.load()
    tool = _known(tools, as_tool) if as_tool else catalog.find(tools, name_of(command))
    screen = terminal.of(script, show)
    if screen.person:
        _say("In the honeypot: every call is caught, none gets out. A moment, the canaries fly first.")
    found = run_in_cage(list(command), tool.id if tool else name_of(command), identity.of(command[0], tool),
                        words_of(command), screen, seconds, allow_files)  # fmt: skip
    if screen.person and found.started and not no_question:
        _ask(found)
    try:
        kept = evidence.keep(found) if found.silence != "not proven" else None
    except OSError as error:  # the verdict is worth more than its copy
        kept = None
        _say(f"warning: the evidence could not be kept: {error.strerror}")
    click.echo(to_json(found) if as_json else _run_text(found), color=_colour())
    if kept:
        _say(f"kept as {kept}")
    sys.exit(found.exit)


@audit.command("tools")
@as_json
def tools(as_json: bool) -> None:
    """List what the tables say of every tool they know, with sources; nothing of this machine."""
    import msgspec

    from assistant.audit import catalog

    known = catalog.load()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(known), indent=1).decode())
        return
    for tool in known:
        click.echo(f"{tool.name} ({tool.id}, {tool.kind})")
        for label, said in (("network down", tool.network), ("data may not leave", tool.leave)):
            source = f" [{said.source}, {said.date}, {said.confidence}]" if said.source else ""
            click.echo(f"  {label}: {said.answer}{'. ' + said.why if said.why else ''}{source}")


def _known(tools, word: str):
    from assistant.audit import catalog
    from assistant.config import did_you_mean

    if tool := catalog.find(tools, word):
        return tool
    from assistant.audit.redact import PLAIN

    raise UsageError(
        f"no table knows the tool '{PLAIN.clean(word)[:40]}'", hint=did_you_mean(word, [t.id for t in tools])
    )


def _ask(found) -> None:
    """The person saw what no exit code tells."""
    answer = click.prompt(
        "Did it do its work? [y/n, Enter: you could not tell]", default="", show_default=False, err=True
    )
    if answer[:1].lower() in ("y", "n"):
        found.worked = "yes" if answer[0].lower() == "y" else "no"
        found.worked_by = "said by the person at the terminal"


def _run_text(found) -> str:
    from assistant.audit.run import LOOPBACK_NOTE

    verdict = {"silent": "SILENT", "called": "CALLED", "not proven": "NOT PROVEN"}[found.silence]
    colour = {"silent": "green", "called": "red", "not proven": "yellow"}[found.silence]
    lines = [
        f"{found.tool} {found.identity.version}".strip() + ": " + click.style(verdict, fg=colour),
        f"  {found.why}",
    ]
    if found.started:
        length = f"{found.seconds:.0f} s" + (
            " (short: what calls late is not seen in less than 60 s)" if found.short else ""
        )
        good = sum(found.canaries.values())
        lines += [f"  ran {length}; worked: {found.worked}, {found.worked_by}",
                  f"  wrote {found.output_bytes} bytes; canaries: {good} of {len(found.canaries)} caught"]  # fmt: skip
    for calls in _alike(found.calls):
        lines.append("  " + _call_text(calls))
    if found.needs_ports:
        lines.append(f"  needs a local server: port {', '.join(map(str, found.needs_ports))}; {LOOPBACK_NOTE}")
    if found.left_behind:
        lines.append(f"  left running, and ended: {', '.join(found.left_behind[:8])}")
    if found.files:
        fate = "kept" if found.files_kept else "thrown away"
        more = f" and {len(found.files) - 8} more" if len(found.files) > 8 else ""
        lines.append(f"  wrote {len(found.files)} files ({fate}): {', '.join(found.files[:8])}{more}")
    lines.append(
        f"  {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(found.finished_at))}, program {found.identity.sha256[:16]}"
    )
    return "\n".join(lines)


def _alike(calls: list) -> list[list]:
    """Calls of one kind to one place together, in the order of the first of each."""
    groups: dict[tuple, list] = {}
    for call in calls:
        groups.setdefault((call.host, call.protocol, call.port, call.reach, call.process), []).append(call)
    return list(groups.values())


def _call_text(calls: list) -> str:
    call = calls[0]
    kind = {"out": "CALLED", "lan": "CALLED, in your network,", "self": "itself:", "local": "this machine:"}[call.reach]
    where = f"[{call.address}]" if ":" in call.address else call.address
    what = (
        f"look-up of {call.name}"
        if call.port == 53 and call.name
        else f"{call.protocol} {where}:{call.port} {call.name}"
    )
    times = f" ({len(calls)} times until {calls[-1].at_s:.1f} s)" if len(calls) > 1 else ""
    sni = f", SNI {call.sni}" if call.sni else ""
    size = sum(one.bytes for one in calls)
    return (f"at {call.at_s:.1f} s {kind} {what.strip()}{sni}, {size} bytes{times}, by "
            f"{call.process or 'a process that was gone'}")  # fmt: skip


def _paint(text: str, answer: str) -> str:
    return click.style(text, fg=COLOURS[answer]) if COLOURS[answer] else text


def _colour() -> bool | None:
    """None: as the terminal can."""
    return False if os.environ.get("NO_COLOR") else None


def _say(line: str) -> None:
    click.echo(line, err=True)
