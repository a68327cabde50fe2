"""The audit of this machine: put together from what was found, and written as text, Markdown or JSON."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterable

import msgspec

from assistant.audit import charges, evidence, ours, scan, setup, usage
from assistant.audit.catalog import MEANING, Tool, substitute
from assistant.audit.charges import Cost, span
from assistant.audit.run import environment as person_environment
from assistant.audit.verdicts import Verdict, chosen, declared, few, tested

SCHEMA = "assistant-audit/1"
WIDTH = 80
LEGEND = "T tested in the honeypot, D declared by its documentation, - unknown"
LETTERS = {"tested": "T", "declared": "D", "unknown": "-"}
OURS = "rwkv-assistant"


class Audited(msgspec.Struct, kw_only=True):
    """One tool and the three verdicts."""

    id: str
    name: str
    kind: str
    version: str = ""
    ours: bool = False
    found_by: list[str] = []
    running: bool = False
    ports: list[int] = []
    network: Verdict
    price: Verdict
    leave: Verdict
    cost: Cost
    cost_x10: tuple[float, float] | None = None
    hosts_seen: list[str] = []  # in the honeypot
    hosts_declared: list[str] = []  # by its documentation
    hosts_configured: list[str] = []  # in its settings
    models_configured: list[str] = []
    variables: list[str] = []  # names only
    substitute: str = ""
    notes: list[str] = []


class Report(msgspec.Struct, kw_only=True):
    schema: str = SCHEMA
    made_at: float
    questions: dict[str, str]
    tools: list[Audited]  # ourselves first
    variables: list[str]  # names of variables of AI vendors
    profile_variables: dict[str, list[str]] = {}  # by file; only if it was asked for
    catalog: int = 0  # tools that were looked for
    budget: float | None = None


def audit(tools: list[Tool], budget: float | None = None, read_profiles: bool = False,
          say: scan.Say = lambda _line: None) -> Report:  # fmt: skip
    """Look at this machine. Starts no tool, sends nothing."""
    from assistant.meter import prices

    table = prices.load()
    kept = evidence.runs()
    say(f"{sum(map(len, kept.values()))} runs in the honeypot are kept")
    names = person_environment().keys()
    found = scan.scan(tools, names, say)
    audited = [_ourselves(budget), *(_one(one, kept.get(one.tool.id, []), table, budget) for one in found)]
    catalogued = {tool.id for tool in tools}
    audited += [_stranger(name, runs) for name, runs in sorted(kept.items()) if name not in catalogued]
    return Report(
        made_at=time.time(), questions=MEANING, tools=audited, variables=setup.variables(names),
        profile_variables=setup.profile_variables() if read_profiles else {}, catalog=len(tools), budget=budget,
    )  # fmt: skip


def _ourselves(budget: float | None) -> Audited:
    network, leave, called = ours.verdicts()
    cost = ours.cost()
    itself = Tool(id=OURS, name="this assistant", kind="chat")
    price = charges.verdict(itself, cost, budget)
    if cost.is_known and budget is None:
        price = Verdict(answer="yes", evidence="declared", why=f"no price but electricity: {cost.basis}")
    return Audited(id=OURS, name=itself.name, kind="chat", version=ours.VERSION, ours=True, network=network,
                   price=price, leave=leave, cost=cost, cost_x10=_x10(cost), hosts_seen=called,
                   substitute="it is the substitute; nothing of it can be taken away from you")  # fmt: skip


def _one(found: scan.Found, runs: list, table, budget: float | None) -> Audited:
    tool, settings = found.tool, setup.read(found.tool)
    cost = charges.cost_of(tool, usage.read(tool.usage), table)
    network, leave, hosts, notes = declared(tool.network), declared(tool.leave), [], []
    seen = evidence.of(found, runs)
    if run := chosen(seen.same):
        network, leave = tested(run)
        hosts = sorted({host for one in seen.same for host in one.hosts})
    elif seen.other and (run := chosen(seen.other)):
        build = run.identity.version or run.identity.sha256[:12]
        notes.append(
            f"tested {_day(run.finished_at)} as {build}, which is not the build that is here: it was {run.silence}"
        )
    notes += _notes(tool, settings)
    return Audited(
        id=tool.id, name=tool.name, kind=tool.kind, version=found.version, found_by=found.by, running=found.running,
        ports=found.ports, network=network, price=charges.verdict(tool, cost, budget), leave=leave, cost=cost,
        cost_x10=_x10(cost), hosts_seen=hosts, hosts_declared=tool.hosts, hosts_configured=settings.hosts,
        models_configured=settings.models, variables=found.variables, substitute=substitute(tool), notes=notes,
    )  # fmt: skip


def _notes(tool: Tool, settings: setup.Settings) -> list[str]:
    notes = []
    if away := [host for host in settings.hosts if not setup.is_local(host)]:
        notes.append(f"its settings name {few(away)}: what is asked goes there")
    if settings.hosts and not away:
        notes.append(f"its settings name only this machine ({few(settings.hosts)}); what listens there may pass it on")
    if cloud := [model for model in settings.models if setup.is_cloud(model)]:
        notes.append(f"{few(cloud)}: a cloud model behind a local port; its prompts leave")
    if settings.unreadable:
        notes.append(f"could not be read: {few(settings.unreadable)}")
    return notes


def _stranger(name: str, runs: list) -> Audited:
    """A tool that was run and that no catalog knows."""
    run = chosen(runs)
    network, leave = tested(run) if run else (Verdict(why=runs[-1].why), Verdict(why=runs[-1].why))
    newest = run or runs[-1]
    return Audited(
        id=name, name=name, kind="app", version=newest.identity.version, network=network, leave=leave,
        price=Verdict(why="it is in no table; add it to tools/*.toml beside your config.toml"), cost=Cost(),
        hosts_seen=sorted({host for one in runs for host in one.hosts}), found_by=["a run in the honeypot"],
        notes=[f"build {newest.identity.sha256[:12]} of {_day(newest.finished_at)}; is it still here?"],
    )  # fmt: skip


def _x10(cost: Cost) -> tuple[float, float] | None:
    return cost.times(charges.FACTOR) if cost.is_known else None


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))


# --- how it is shown ---


def to_json(report: Report | msgspec.Struct) -> str:
    return msgspec.json.format(msgspec.json.encode(report), indent=1).decode()


def to_text(report: Report, details: bool = True, paint=lambda text, _answer: text) -> str:
    """In 80 columns. paint: colours an answer."""
    head = f"Three questions to {len(report.tools)} AI tools on this machine, {_day(report.made_at)}"
    lines = [head, *(f"  {i}. {text}" for i, text in enumerate(report.questions.values(), 1)), f"  {LEGEND}", ""]
    lines.append(f"{'tool':<24} {'1 network':<10} {'2 price':<12} {'3 data':<10} a month -> x10")
    for tool in report.tools:
        label = f"{tool.id} {tool.version}"[:24]
        cells = [(tool.network, 10), (tool.price, 12), (tool.leave, 10)]
        row = " ".join(paint(f"{_cell(verdict):<{width}}", verdict.answer) for verdict, width in cells)
        lines.append(f"{label:<24} {row} {_money(tool)}".rstrip())
    if details:
        for tool in report.tools:
            lines += ["", f"{tool.name} ({tool.id}{' ' + tool.version if tool.version else ''})"]
            for label, text in _details(tool):
                lines += _wrapped(f"{label}: {text}")
    lines += _closing(report)
    return "\n".join(lines)


def to_markdown(report: Report) -> str:
    lines = [f"# Three questions to the AI tools on this machine ({_day(report.made_at)})", ""]
    lines += [f"{i}. {text}" for i, text in enumerate(report.questions.values(), 1)]
    lines += ["", f"{LEGEND}.", "", "| tool | 1 network | 2 price | 3 data | a month, x10 |", "|---|---|---|---|---|"]
    for tool in report.tools:
        cells = [f"{tool.id} {tool.version}".strip(), *map(_cell, (tool.network, tool.price, tool.leave)), _money(tool)]
        lines.append("| " + " | ".join(_escaped(cell) for cell in cells) + " |")
    for tool in report.tools:
        lines += ["", f"## {_escaped(tool.name)}", ""]
        lines += [f"- **{label}**: {_escaped(text)}" for label, text in _details(tool)]
    lines += ["", *(line.strip() for line in _closing(report) if line)]
    return "\n".join(lines) + "\n"


def _details(tool: Audited) -> Iterable[tuple[str, str]]:
    for label, verdict in (
        ("network down", tool.network),
        ("price x10", tool.price),
        ("data may not leave", tool.leave),
    ):
        known = (
            f"{verdict.evidence}{' ' + verdict.date if verdict.date else ''}" if verdict.evidence != "unknown" else ""
        )
        yield label, f"{verdict.answer}{f' ({known})' if known else ''}. {verdict.why}"
        if verdict.evidence == "declared" and verdict.source:
            trust = f" (confidence {verdict.confidence})" if verdict.confidence else ""
            yield "  source", f"{verdict.source}{trust}"
    if tool.found_by:
        yield "found by", few(tool.found_by, 5) + (", running" if tool.running else "")
    if tool.hosts_seen:
        yield "hosts seen", few(tool.hosts_seen, 8)
    if tool.hosts_declared:
        yield "hosts declared", few(tool.hosts_declared, 8)
    if tool.hosts_configured or tool.models_configured:
        yield "set up with", few([*tool.hosts_configured, *tool.models_configured], 8)
    if tool.variables:
        yield "variables", few(tool.variables, 8) + " (names; values are never read)"
    for note in tool.notes:
        yield "note", note
    if tool.substitute:
        yield "ours instead", tool.substitute


def _closing(report: Report) -> list[str]:
    lines = [""]
    if report.variables:
        lines += _wrapped(f"variables of AI services here (names only): {', '.join(report.variables)}", "")
    for file, names in report.profile_variables.items():
        lines += _wrapped(f"named in {file}: {', '.join(names)}", "")
    untested = [tool.id for tool in report.tools if not tool.ours and tool.network.evidence != "tested"]
    if untested:
        lines += _wrapped(f"To know instead of to believe: assistant audit run -- {untested[0]} ...", "")
    lines += _wrapped(f"{report.catalog} tools were looked for. What none of the tables knows is not shown.", "")
    return lines


def _cell(verdict: Verdict) -> str:
    return f"{verdict.answer if verdict.answer != 'unknown' else '?'} {LETTERS[verdict.evidence]}"


def _money(tool: Audited) -> str:
    if tool.cost_x10 is None:
        return "?"
    return f"{span(*tool.cost.times(1))} -> {span(*tool.cost_x10)} {tool.cost.currency}"


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    inner = indent + ("  " if indent else "")
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=inner, break_on_hyphens=False,
                         break_long_words=False)  # fmt: skip


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
