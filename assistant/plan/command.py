"""`assistant plan`: the choice under a policy, its predicted cost, why every other option lost, what would help."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from assistant import config as configuration
from assistant.errors import EXIT_FAIL
from assistant.models.store import Store
from assistant.planning import calibration
from assistant.planning.feedback import Feedback
from assistant.planning.plan import Plan, Planner
from assistant.planning.view import plan_view
from assistant.solver import policies, words
from assistant.solver.choose import Loser
from assistant.solver.problem import METRICS, PRIVACY, Option
from assistant.tables import pairs, table
from assistant.wire import BASIS_GLYPH

SHOWN = ("ms_per_token", "ms_per_token_p95", "ms_per_token_busy", "ttft_s", "joules_per_token", "watts", "memory_mb",
         "quality")  # fmt: skip
BOUNDS = {  # option -> (limit, help)
    "--max-ms-per-token": "Milliseconds per token, median.",
    "--max-ms-per-token-p95": "Milliseconds per token, 95th percentile.",
    "--max-ms-per-token-busy": "Milliseconds per token with every slot taken.",
    "--max-ttft-s": "Seconds to the first token.",
    "--max-watts": "Watts while writing.",
    "--max-joules-per-token": "Joules per token.",
    "--max-memory-mb": "Megabytes of main memory.",
    "--min-quality": "Share of the probes of `assistant eval` answered well, 0 to 1.",
    "--min-conversations": "Conversations written at once.",
    "--max-threads": "Threads of this machine.",
    "--max-chips": "Chips of an accelerator.",
}


def _bounds(function):
    for option, words_ in reversed(BOUNDS.items()):
        function = click.option(option, type=float, help=words_)(function)
    return function


@click.command("plan")
@click.option("--policy", "policy_name", metavar="NAME", help="One of the policies.  [default: as configured]")
@_bounds
@click.option("--privacy", type=click.Choice(PRIVACY), help="How far the text of a conversation may travel.")
@click.option("--allow-simulated/--no-simulated", default=None, help="Whether a chip that is not here may be chosen.")
@click.option("--model", help="A model of the store, or auto for the best of all.  [default: as configured]")
@click.option("--prompt-tokens", type=click.IntRange(min=1), help="Length of the prompt that --max-ttft-s is about.")
@click.option("--cp-sat", is_flag=True, help="Also ask OR-Tools for the placement on chips, and compare.")
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Write the trade-offs as a picture.")
@click.option("--plot/--no-plot", default=None, help="Draw the trade-offs here.  [default: in a terminal]")
@click.option("--apply", "apply_", is_flag=True, help="Tell the daemon that runs to follow this plan.")
@click.option("--all", "show_all", is_flag=True, help="List every option, also those that differ in slots only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def command(policy_name: str | None, privacy: str | None, allow_simulated: bool | None, model: str | None,
            prompt_tokens: int | None, cp_sat: bool, svg: Path | None, plot: bool | None, apply_: bool, show_all: bool,
            as_json: bool, **bounds: float | None) -> None:  # fmt: skip
    """Choose where and how to run, and say why.

    Ends with exit code 1 if nothing meets all limits; it then names those that cannot hold together.
    """
    config = configuration.load()
    limits = {key: value for key, value in bounds.items() if value is not None}
    limits |= {k: v for k, v in (("privacy", privacy), ("allow_simulated", allow_simulated)) if v is not None}
    if model:
        config = msgspec.structs.replace(config, model=msgspec.structs.replace(config.model, name=model))
    policy = policies.changed(policies.policy(policy_name or config.plan.policy), limits)
    if prompt_tokens:
        policy = msgspec.structs.replace(policy, prompt_tokens=prompt_tokens)
    plan = Planner(config, Store(), calibration.load(), Feedback()).plan(policy)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(plan_view(plan)), indent=1))
    else:
        tell(plan, show_all)
        if plot or (plot is None and click.get_text_stream("stdout").isatty()):
            from assistant.plan.picture import terminal

            click.echo("\n" + terminal(plan))
    if svg:
        from assistant.plan.picture import picture

        svg.write_text(picture(plan), encoding="utf-8")
    if cp_sat:
        from assistant.plan.second_opinion import compare

        for line in compare(plan):
            click.echo(line, err=as_json)
    if plan.choice is None:
        raise SystemExit(EXIT_FAIL)
    if apply_:
        _apply(policy.name, limits)


def _apply(policy: str, limits: dict[str, object]) -> None:
    from assistant.client import call

    status = call(lambda client: client.follow(policy, limits))
    click.echo(f"the daemon follows it: {status.pending or status.active}", err=True)


# --- text ---


def tell(plan: Plan, show_all: bool = False) -> None:
    click.echo(f"Policy {plan.policy.name}: {plan.policy.title}")
    click.echo("Limits: " + (", ".join(words.limit(limit) for limit in plan.limits) or "none"))
    if plan.calibrated_at is None:
        click.echo("This machine is not measured, so its figures are assumed: assistant bench --calibrate")
    click.echo()
    if plan.choice:
        _tell_choice(plan.choice)
    else:
        _tell_conflict(plan)
    if rows := losers(plan, show_all):
        click.echo("\nWhy not another" if plan.choice else "\nWhat each option breaks")
        table(("option", "because"), rows)


def _tell_choice(choice: Option) -> None:
    click.echo(f"Choice: {choice.name}" + ("   ◇ simulated: this chip is not here" if choice.simulated else ""))
    rows = []
    for name in SHOWN:
        figure = choice.figures.get(name)
        if figure is not None:
            mark = BASIS_GLYPH[figure.basis] if figure.value is not None else ""
            basis = figure.basis if figure.value is not None else ""
            about = ", ".join(part for part in (basis, figure.note) if part)
            rows.append((METRICS[name].words, f"{mark}{words.amount(name, figure.value)}", about))
    width = max(len(r[0]) for r in rows), max(len(r[1]) for r in rows)
    for what, value, about in rows:
        click.echo(f"  {what:<{width[0]}}  {value:<{width[1]}}  {about}")


def _tell_conflict(plan: Plan) -> None:
    click.echo("No way to run meets all limits, so nothing is chosen.")
    conflict = plan.conflict
    if conflict is None:
        click.echo(f"  {plan.why_not()}")
        return
    together = "These cannot hold together; without any one of them there is a way"
    click.echo((together if len(conflict.limits) > 1 else "This one alone is met by no option") + ":")
    for limit in conflict.limits:
        click.echo(f"  {words.limit(limit)}")
    if others := [limit for limit in conflict.hopeless if limit not in conflict.limits]:
        click.echo("And no option meets " + " or ".join(words.limit(limit) for limit in others) + " either.")
    if conflict.single:
        click.echo("One change is enough, each of these:")
        pairs([(words.relaxation(r), f"then {r.option.name}") for r in conflict.single])
    else:
        click.echo(f"No single change is enough. The least that would do, for {conflict.together[0].option.name}:")
        for relaxation in conflict.together:
            click.echo(f"  {words.relaxation(relaxation)}")


def losers(plan: Plan, show_all: bool = False) -> list[tuple[str, str]]:
    """(option, reason); options that differ only in slots are one row: the one with the fewest reasons against it."""
    best: dict[str, Loser] = {}
    for loser in plan.solution.losers:
        family = loser.option.name if show_all else _family(loser.option)
        if not show_all and plan.choice and family == _family(plan.choice):
            continue
        if family not in best or len(loser.breaches) < len(best[family].breaches):
            best[family] = loser
    nearest_first = sorted(best.items(), key=lambda item: (item[1].option.unusable is not None, len(item[1].breaches)))
    return [(name, words.loser(loser)) for name, loser in nearest_first]


def _family(option: Option) -> str:
    return option.name.split(", ")[0]
