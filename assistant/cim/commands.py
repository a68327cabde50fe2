"""`assistant cim`: map, whatif, validate, article, friendliness, accuracy. All figures are simulated, and say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import msgspec

from assistant.cim.tables import SIMULATED, band
from assistant.errors import AssistantError, ModelFileError, UsageError
from assistant.tables import pairs, si, table

CHIP_NAMES = ("mythic-m1076", "axelera-metis")
FILE = click.Path(path_type=Path)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
chip_option = click.option("--chip", default="mythic-m1076", show_default=True, metavar="NAME",
                           help=f"One of {', '.join(CHIP_NAMES)}.")  # fmt: skip
chips_option = click.option("--chips", type=click.IntRange(min=1), help="M1076 only: how many there are.")
SIZES = ("0.1B", "0.4B", "1.5B", "2.9B", "7.2B")
MODEL_HELP = f"MODEL is a model in the store, a file, or a published size: {', '.join(SIZES)}."


@click.group()
def cim() -> None:
    """Ask the simulated compute-in-memory chips."""


@cim.command("map", epilog=MODEL_HELP)
@click.argument("model")
@chip_option
@chips_option
@click.option("--policy", type=click.Choice(["packed", "naive"]), default="packed", show_default=True,
              help="naive gives every block of a matrix a tile of its own.")  # fmt: skip
@as_json
def map_command(model: str, chip: str, chips: int | None, policy: str, as_json: bool) -> None:
    """Show what of MODEL lies where."""
    from backends.cim import metis, mythic
    from backends.cim.shapes import matrices, stage_name

    config, found = _config(model), _chip(chip)
    _check_chips(chip, chips)
    if found.name != "mythic-m1076":
        where = metis.residency(matrices(config), found)
        facts = {"weight_bytes": where.weight_bytes, "on_chip_bytes": where.on_chip_bytes, "arrays": where.arrays,
                 "streamed_bytes": where.streamed_bytes}  # fmt: skip
        return _print(as_json, {"chip": chip, **facts}, lambda: _tell(found.title, [
            ("weights", f"{si(where.weight_bytes, 'B')} of int8 in {where.arrays} blocks of 512 x 512"),
            ("on the chip", f"{'all' if where.resident else 'nothing is assumed to stay'} in "
             f"{si(where.on_chip_bytes, 'B')}"),
            ("from DRAM", f"{si(where.streamed_bytes, 'B')} per pass"),
        ]))  # fmt: skip
    mapping, need = mythic.lay_out(config, found, policy, chips), mythic.chips_needed(config, found)
    value = {
        "chip": chip, "policy": mapping.policy, "chips": mapping.chips, "tiles": mapping.tiles, "fill": mapping.fill,
        "chips_needed": need, "serial_products": mapping.serial_products, "hops": mapping.hops,
        "host": [m.name for m in mapping.host],
        "placements": [{"matrix": p.matrix.name, "stage": stage_name(p.matrix.stage, config.layers), "input": p.input,
                        "output": p.output, "inputs": p.inputs, "outputs": p.outputs, "tile": p.tile, "row": p.row,
                        "column": p.column} for p in mapping.placements],
    }  # fmt: skip

    def text() -> None:
        _tell(found.title, [
            ("chips needed", ", ".join(f"{n} {way}" for way, n in need.items())),
            ("this mapping", f"{mapping.policy}: {mapping.tiles} tiles on {mapping.chips}, {mapping.fill:.0%} filled"),
            ("one token", f"{mapping.serial_products} tile products in a row, {mapping.hops} transfers between chips"),
        ])  # fmt: skip
        rows = [(str(c), str(tiles), f"{fill:.0%}", what) for c, tiles, fill, what in mapping.chip_contents()]
        if mapping.host:
            weights = sum(m.weights for m in mapping.host)
            rows.append(("host", "-", "-", f"{len(mapping.host)} matrices, {weights / 1e6:.1f} M weights"))
        table(("chip", "tiles", "fill", "holds"), rows, right=(0, 1, 2))

    return _print(as_json, value, text)


@cim.command(epilog=MODEL_HELP)
@click.argument("model")
@chip_option
@chips_option
@click.option("--tokens", type=click.IntRange(min=1), default=1, show_default=True, help="Of a prompt, in one pass.")
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Conversations at once.")
@click.option("--target-ms", type=click.FloatRange(min=0, min_open=True),
              help="Also tell what each number alone would have to be to make a token in this time.")  # fmt: skip
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Ask with another number of the profile.")
@as_json
def whatif(model: str, chip: str, chips: int | None, tokens: int, batch: int, target_ms: float | None,
           settings: tuple[str, ...], as_json: bool) -> None:  # fmt: skip
    """Time and energy of MODEL on a chip, from its shape alone."""
    from backends.cim.whatif import levers, plain_bandwidth_bytes_s
    from backends.cim.whatif import whatif as ask

    config, found = _config(model), _changed(_chip(chip), settings)
    _check_chips(chip, chips)
    answer = ask(config, found, chips, tokens, batch)
    wanted = levers(config, found, target_ms / 1e3, chips) if target_ms else []
    cost = answer.cost
    value = {"chip": chip, "basis": "simulated", "facts": answer.facts, "latency_s": asdict(cost.latency_s),
             "energy_j": asdict(cost.energy_j), "macs": cost.macs, "bytes_moved": cost.bytes_moved,
             "latency_parts_s": {k: asdict(v) for k, v in cost.latency_parts_s.items()},
             "energy_parts_j": {k: asdict(v) for k, v in cost.energy_parts_j.items()},
             "levers": [asdict(lever) for lever in wanted]}  # fmt: skip

    def text() -> None:
        rate = 1.0 / cost.latency_s * (tokens * batch)
        _tell(found.title, [*answer.facts.items(), ("latency", band(cost.latency_s, "s")), ("tokens/s", band(rate, "")),
                            ("energy", band(cost.energy_j, "J"))])  # fmt: skip
        for name, parts, unit in (("latency", cost.latency_parts_s, "s"), ("energy", cost.energy_parts_j, "J")):
            click.echo(f"\n{name} in parts")
            pairs([(part, band(v, unit)) for part, v in parts.items()])
        if wanted:
            click.echo(f"\none token in {target_ms:g} ms needs, each number alone")
            table(("", "now", "needed", ""), [(w.name, si(w.now, w.unit), _needed(w), w.note) for w in wanted])
            plain = plain_bandwidth_bytes_s(config, target_ms / 1e3)
            click.echo(f"any machine that reads every int8 weight once per token: {si(plain, 'B/s')}")

    return _print(as_json, value, text)


@cim.command()
@click.option("--all", "everything", is_flag=True, help="Also each of the single products.")
@as_json
def validate(everything: bool, as_json: bool) -> None:
    """Published figures beside the simulator's: calibrated, held out, error."""
    from backends.cim.validate import CANNOT_KNOW, products, rows, summaries

    single, many = [*rows(), *(products() if everything else ())], summaries()
    value = {"figures": [asdict(r) | {"error": r.error, "within": r.within} for r in single],
             "summaries": [asdict(s) | {"within": s.within} for s in many], "cannot_know": CANNOT_KNOW}  # fmt: skip
    held = [r for r in single if r.band is not None]

    def text() -> None:
        click.echo(SIMULATED + "\n")
        table(("figure", "", "predicted", "published", "error", "source"),
              [(r.what, r.role + ("" if r.within else "  OUT OF BAND"), si(r.predicted, r.unit),
                si(r.published, r.unit), f"{r.error:+.1%}", r.source) for r in single], right=(2, 3, 4))  # fmt: skip
        click.echo("\nMetis, products held out (errors without sign)")
        table(("", "n", "median", "p95", "worst", "source"),
              [(s.what, str(s.count), f"{s.median:.1%}", f"{s.p95:.1%}", f"{s.worst:.1%}", s.source) for s in many],
              right=(1, 2, 3, 4))  # fmt: skip
        click.echo(
            f"\n{sum(abs(r.error) > 0.10 for r in held)} of {len(held)} held-out figures miss by more than 10 %:"
        )
        pairs([(r.what, f"{r.error:+.0%}" + (f": {r.note}" if r.note else "")) for r in held if abs(r.error) > 0.10])
        click.echo("\nCannot be validated from public data:")
        for line in CANNOT_KNOW:
            click.echo(f"  {line}")

    _print(as_json, value, text)
    if out := [r.what for r in single if not r.within] + [s.what for s in many if not s.within]:
        raise AssistantError("held-out figures left their band", why="; ".join(out))


@cim.command()
@as_json
def article(as_json: bool) -> None:
    """The claims of the article behind this project, recomputed."""
    from backends.cim.article import claims

    found = claims()

    def text() -> None:
        click.echo(SIMULATED)
        for claim in found:
            click.echo(f'\n"{claim.said}": {claim.verdict.upper()}')
            click.echo(f"  {claim.computed}\n  {claim.why}")

    _print(as_json, [asdict(c) for c in found], text)


@cim.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
@as_json
def friendliness(files: tuple[Path, ...], as_json: bool) -> None:
    """Whether the models in FILES (.pth, .safetensors, .gguf, .onnx, or a published size) suit such chips.

    Nothing in a file is executed, and no weight is read.
    """
    from assistant.cim.friendliness import of_file, of_known
    from backends.cim.shapes import UnknownModel

    reports = []
    for file in files:
        try:
            reports.append(of_file(file) if file.exists() else of_known(str(file)))
        except UnknownModel as error:
            raise ModelFileError("no such file, and no published model of that name", where=file, why=error) from error
    value = [asdict(r) | {"at": {str(t): asdict(o) | {"dynamic_share": o.dynamic_share} for t, o in r.at.items()}}
             for r in reports]  # fmt: skip

    def text() -> None:
        rows = [(r.name, "any" if not t else f"{t:,}", si(o.stationary_macs), si(o.dynamic_macs),
                 f"{o.dynamic_share:.1%}", si(o.elementwise_ops), si(o.reduction_ops), si(o.transcendental_ops),
                 si(o.memory_bytes, "B"))
                for r in reports for t, o in r.at.items()]  # fmt: skip
        click.echo("One decode step, counted from shapes; nothing here is measured.\n")
        table(("model", "context", "stationary MAC", "dynamic MAC", "share", "element-wise", "reduction",
               "exp, root ...", "memory"), rows, right=range(1, 9))  # fmt: skip
        for r in reports:
            click.echo(f"\n{r.name}: {r.kind}: {r.verdict.upper()}; its weights fill {r.chips} M1076")
            for reason in r.reasons:
                click.echo(f"  {reason}")

    _print(as_json, value, text)


@cim.command(epilog="MODEL is a model in the store; the embedded one if none is given.")
@click.argument("model", default="embedded")
@click.option("--text", "text_file", type=FILE, help="Text to predict; a few dialogues if none is given.")
@click.option("--tokens", type=click.IntRange(min=2), default=512, show_default=True, help="At most so many of it.")
@click.option("--adc-bits", multiple=True, type=click.IntRange(2, 16), default=(8, 6), show_default=True)
@as_json
def accuracy(model: str, text_file: Path | None, tokens: int, adc_bits: tuple[int, ...], as_json: bool) -> None:
    """What precision, noise and age of a chip do to MODEL's answers."""
    from assistant.cim.sample import stretches
    from assistant.models.store import Store
    from backends.cim.accuracy import score, standard_variants

    loaded = Store().open(model)
    parts = stretches(loaded, text_file, tokens)
    scores = []
    for s in score(loaded.weights, parts, standard_variants(adc_bits)):
        scores.append(s)
        if not as_json:
            click.echo(f"{s.chip or 'reference'}: {s.label} done", err=True)

    def text() -> None:
        click.echo(SIMULATED)
        click.echo(
            f"{parts[:, 1:].size} predicted tokens in {len(parts)} stretches; agreement and KL are against float32.\n"
        )
        table(("device", "", "perplexity", "top-1 agrees", "KL (nat)", "host tok/s, measured"),
              [(s.chip or "reference", s.label, f"{s.perplexity:.3f}", f"{s.top1_agreement:.1%}", f"{s.kl_nats:.5f}",
                f"{s.host_tok_s:.0f}") for s in scores], right=(2, 3, 4, 5))  # fmt: skip
        click.echo(
            "\nThe noise is that of SONOS cells (CrossSim; Agrawal et al., IEDM 2022): Mythic's own is unpublished."
        )

    _print(as_json, [asdict(s) for s in scores], text)


# --- shared ---


def _tell(title: str, items: list[tuple[str, str]]) -> None:
    click.echo(f"{title}\n{SIMULATED}\n")
    pairs(items)


def _print(as_json: bool, value: Any, text: Callable[[], None]) -> None:
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
    else:
        text()


def _needed(lever: Any) -> str:
    if lever.needed is None:
        return "cannot alone"
    return "met already" if lever.met else si(lever.needed, lever.unit)


def _chip(name: str) -> Any:
    from backends.cim.whatif import chip_named
    from backends.profiles import UnknownProfile

    try:
        return chip_named(name)
    except UnknownProfile as error:
        raise UsageError(str(error)) from error


def _check_chips(chip: str, chips: int | None) -> None:
    if chips is not None and chip != "mythic-m1076":
        raise UsageError("--chips is for mythic-m1076", hint="Metis streams what does not fit, so one is enough")


def _changed(chip: Any, settings: tuple[str, ...]) -> Any:
    """The profile with `key=value` numbers instead of its own."""
    from backends.profiles import UnknownProfile

    values = {}
    for setting in settings:
        key, _, text = setting.partition("=")
        try:
            number = float(text)
        except ValueError:
            raise UsageError(f"'{setting}' is not KEY=VALUE with a number", hint="Write, say, chip.tiles=108") from None
        if not 0 < number < float("inf"):
            raise UsageError(f"'{setting}': the number must be above zero")
        values[key.replace(".", "__", 1)] = number
    try:
        return chip.replaced(**values) if values else chip
    except UnknownProfile as error:
        raise UsageError(str(error)) from error


def _config(model: str) -> Any:
    """The shape of a published size, of a file, or of a model in the store."""
    from assistant.errors import ModelNotFound
    from backends.base import ModelConfig
    from backends.cim.shapes import UnknownModel, known

    try:
        found = known(model)
    except UnknownModel as error:
        if Path(model).is_file():
            from assistant.models.shapes_only import inspect

            found = inspect(Path(model)).network
        else:
            from assistant.models.store import Store

            try:
                return ModelConfig(**msgspec.structs.asdict(Store().show(model).config))
            except ModelNotFound as missing:
                why = f"not in the store, no such file, and {error}"
                raise ModelNotFound(
                    f"there is no model '{model}'", why=why, hint=f"Published: {', '.join(SIZES)}"
                ) from missing
    if not isinstance(found, ModelConfig):
        raise UsageError(f"'{model}' is no RWKV-7: the chips are simulated for RWKV-7 only",
                         hint="`assistant cim friendliness` takes transformers too")  # fmt: skip
    return found
