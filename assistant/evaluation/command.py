"""`assistant eval`: measure a model over backends and precisions, show a table and a plot, keep the results."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from assistant.errors import BackendError, UsageError
from assistant.evaluation import questions
from assistant.evaluation.battery import DEV, SEALED, BatteryScore
from assistant.evaluation.battery import PARTS as BATTERY_PARTS
from assistant.evaluation.report import PARTS, Evaluation, Options, evaluate, store
from assistant.evaluation.table import plot, table
from assistant.evaluation.talker import Progress, Talker, silent
from assistant.models.states import read_tuned_state
from assistant.models.store import EMBEDDED, Store
from backends import installed
from backends.base import Backend, BackendUnavailable

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("eval")
@click.argument("model", default=EMBEDDED)
@click.option("--backend", "backends", multiple=True, help="Where to run it; may be repeated.  [default: auto]")
@click.option(
    "--precision", "precisions", multiple=True, help="fp32, int8, ...; may be repeated.  [default: as stored]"
)
@click.option("--only", "parts", multiple=True, type=click.Choice(PARTS), help="Measure this part; may be repeated.")
@click.option("--data", type=FOLDER, help="Folder with goemotions/ and clinc/, for feelings and limits.")
@click.option("--rated", type=FOLDER, help="Folder of the rated sets in VADER's source package (hutto_ICWSM_2014).")
@click.option("--lambada", type=FILE, help='JSON Lines of {"text": ...}: guess the last word of each.')
@click.option("--state", "state_file", type=FILE, help="A state-tuned .pth that every context starts from.")
@click.option("--dialogues", type=FILE, help='JSON Lines of {"turns": [[user, reply], ...]} for the perplexity.')
@click.option("--battery", "battery_part", default=DEV, show_default=True, type=click.Choice([DEV, *BATTERY_PARTS[:2]]))
@click.option("--sealed", is_flag=True, help="Ask the sealed third of the battery. Not while a model is in the making.")
@click.option("--greedy-only", is_flag=True, help="Do not ask the battery a second time with sampled answers.")
@click.option(
    "--limit", type=click.IntRange(min=1), help="Only the first so many examples of each set, for a quick look."
)
@click.option("--failures", is_flag=True, help="List the probes that were not answered well.")
@click.option("--no-store", is_flag=True, help="Do not keep the results.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def command(
    model: str,
    backends: tuple[str, ...],
    precisions: tuple[str, ...],
    parts: tuple[str, ...],
    data: Path | None,
    rated: Path | None,
    lambada: Path | None,
    state_file: Path | None,
    dialogues: Path | None,
    battery_part: str,
    sealed: bool,
    greedy_only: bool,
    limit: int | None,
    failures: bool,
    no_store: bool,
    as_json: bool,
) -> None:
    """Measure how good MODEL is: the probe battery, perplexity, feelings, limits and tone.

    Also how well questions about documents are answered; with `--only questions` no model is loaded.
    """
    if sealed and failures:
        raise UsageError("--failures would show the sealed probes", hint="Look at failures without --sealed")
    options = Options(
        parts=parts or PARTS,
        battery_part=SEALED if sealed else battery_part,
        sampled=not greedy_only,
        data=data,
        rated=rated,
        lambada=lambada,
        limit=limit,
        **({"dialogues": dialogues} if dialogues else {}),
    )
    if parts and (missing := options.unmeasured):
        part, wants = next(iter(missing.items()))
        raise UsageError(f"'{part}' is measured on texts that are not part of the program", hint=f"Name them: {wants}")
    if set(options.parts) == {"questions"}:  # no model takes part
        found = {part: questions.score_all(part) for part in (questions.DEV, questions.TEST)}
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2) if as_json else questions.table(found))
        return
    results: list[Evaluation] = []
    for name in backends or ("auto",):
        for precision in precisions or ("auto",):
            result, outcomes = _run(model, name, precision, options, state_file)
            results.append(result)
            if failures:
                _list_failures(outcomes)
            if not no_store and limit is None and state_file is None:
                store(result)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(results), indent=2).decode())
        return
    click.echo(table(results))
    click.echo(plot(results))
    if missing := options.unmeasured:
        click.echo("Not measured: " + ", ".join(f"{part} ({wants})" for part, wants in missing.items()), err=True)


def _run(
    model: str, backend_name: str, precision: str, options: Options, state_file: Path | None
) -> tuple[Evaluation, dict[str, BatteryScore]]:
    loaded = Store().open(model, precision)
    initial = read_tuned_state(state_file, loaded.weights.config) if state_file else None
    backend = make_backend(backend_name)
    try:
        if loaded.weights.precision not in backend.info.precisions:
            why = f"it takes {', '.join(backend.info.precisions)}"
            raise UsageError(f"{backend.info.name} does not run {loaded.weights.precision}", why=why)
        with _progress(f"{model} {loaded.weights.precision} on {backend.info.name}") as progress:
            return evaluate(Talker(backend, loaded, progress, initial), options)
    finally:
        backend.close()


def make_backend(name: str) -> Backend:
    """A backend by its entry-point name, or by `auto` the fastest real kind that works. Raises AssistantError."""
    kinds = installed.kinds()
    if name == "auto":
        real = (kind for kind in kinds.values() if not kind.info.simulated)
        chosen = sorted(real, key=lambda kind: -kind.info.preference)
    elif name in kinds:
        chosen = [kinds[name]]
    else:
        raise UsageError(f"there is no backend '{name}'", hint=f"Choose from {', '.join(kinds)}")
    reasons = []
    for kind in chosen:
        try:
            return kind()
        except BackendUnavailable as error:
            reasons.append(error.reason)
    raise BackendError(f"the backend '{name}' cannot be used", why="; ".join(reasons))


def _list_failures(outcomes: dict[str, BatteryScore]) -> None:
    for mode, result in outcomes.items():
        for outcome in result.outcomes:
            if not outcome.passed:
                said = " >> ".join(outcome.probe.turns)
                click.echo(f"{mode} [{outcome.probe.category}] {said}\n    -> {outcome.replies[-1]}", err=True)


@contextlib.contextmanager
def _progress(title: str) -> Iterator[Progress]:
    """A bar per stage on stderr; nothing if that is not a terminal."""
    if not sys.stderr.isatty():
        yield silent
        return
    with contextlib.ExitStack() as stack:
        bars: dict[str, object] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in bars:
                stack.close()
                bars[stage] = stack.enter_context(
                    click.progressbar(length=total, label=f"{title}: {stage}", file=sys.stderr)
                )
            bars[stage].update(done - bars[stage].pos)

        yield report
