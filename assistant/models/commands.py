"""`assistant models`: add, list, show, export, rm and verify the models on this machine."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from assistant.errors import AssistantError, ModelFileError, UsageError
from assistant.models.build import Options, Progress
from assistant.models.manifest import Manifest
from assistant.models.quantize import PRECISIONS
from assistant.models.store import Store
from assistant.models.template import TEMPLATES

FILE = click.Path(path_type=Path)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.group()
def models() -> None:
    """Add, list and check the models on this machine."""


@models.command()
@click.argument("file", type=FILE)
@click.option("--name", help="Name in the store; the file's name without its suffix if not given.")
@click.option("--vocab", type=FILE, help="Vocabulary file of the model, if it is not found by itself.")
@click.option("--precision", type=click.Choice(["auto", *PRECISIONS]), default="auto", show_default=True,
              help="How to store the weights; auto keeps the file's own precision.")  # fmt: skip
@click.option("--template", type=click.Choice(sorted(TEMPLATES)), help="Chat template; guessed from the name.")
@click.option("--licence", type=FILE, help="Licence text to keep with the model.")
@click.option("--lora", type=FILE, help="An adapter of RWKV-PEFT to merge into the model.")
@click.option(
    "--lora-alpha", type=float, default=64.0, show_default=True, help="The alpha the adapter was trained with."
)
@click.option("--state", type=FILE, help="A state-tuned .pth that every conversation starts from.")
@click.option("--force", is_flag=True, help="Replace a model of the same name.")
@as_json
def add(
    file: Path,
    name: str | None,
    vocab: Path | None,
    precision: str,
    template: str | None,
    licence: Path | None,
    lora: Path | None,
    lora_alpha: float,
    state: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Convert a model FILE (BlinkDL .pth, .safetensors, .gguf) into the store.

    Nothing in the file is executed. The file itself is not needed any more afterwards.
    """
    options = Options(vocab, precision, template, _text(licence) if licence else None, lora, lora_alpha, state)
    with _progress() as progress:
        manifest = Store().add(file, name, options, force, progress)
    if as_json:
        _print_json(manifest)
    else:
        click.echo(f"Added {manifest.name}: {_summary(manifest)}")


@models.command("list")
@as_json
def list_models(as_json: bool) -> None:
    """List the models, the embedded one first."""
    found = Store().scan()
    good = [m for m in found.values() if isinstance(m, Manifest)]
    if as_json:
        _print_json(good)
    elif good:
        width = max(len(m.name) for m in good)
        for manifest in good:
            click.echo(f"{manifest.name:<{width}}  {_summary(manifest)}")
    else:
        click.echo("No models yet. Add one: assistant models add <file>")
    for problem in found.values():
        if isinstance(problem, AssistantError):
            click.echo(f"warning: {problem}", err=True)


@models.command()
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> None:
    """Show what is known of the model NAME."""
    store = Store()
    manifest = store.show(name)
    if as_json:
        _print_json(manifest)
        return
    shape = manifest.config
    rows = {
        "name": manifest.name,
        "folder": store.folder(name),
        "parameters": f"{manifest.parameters:,}",
        "shape": f"{shape.layers} layers x {shape.width} wide, {shape.heads} heads of {shape.head_size}, "
        f"vocabulary {shape.vocab:,}",
        "template": manifest.template,
        "vocabulary": manifest.tokenizer,
        "weights": ", ".join(f"{p} ({_megabytes(r.bytes)})" for p, r in manifest.weights.items()),
        "source": f"{manifest.source.file} ({manifest.format}, sha256 {manifest.source.sha256[:16]}...)",
        "added": manifest.added_at,
        **manifest.metrics,
        "licence": (manifest.licence or "not stated").strip().split("\n")[0],
    }
    for key, value in rows.items():
        click.echo(f"{key:<12} {value}")


@models.command()
@as_json
def recommend(as_json: bool) -> None:
    """Say which published RWKV-7 models this machine can bear, and how fast (modelled from its memory bandwidth)."""
    from assistant.models.recommend import advise, best, free_memory_bytes, read_bandwidth_bytes_s

    memory, bandwidth = free_memory_bytes(), read_bandwidth_bytes_s()
    found = advise(memory, bandwidth)
    chosen = best(found)
    if as_json:
        _print_json({"memory_bytes": memory, "bandwidth_bytes_s": bandwidth, "advice": found, "best": chosen})
        return
    click.echo(
        f"{_megabytes(memory)} of memory are free; one thread reads {bandwidth / 1e9:.1f} GB/s (measured just now)"
    )
    click.echo(f"{'model':<7}{'weights':<9}{'memory':>10}  {'tokens/s (modelled)':>20}  verdict")
    for advice in found:
        mark = " <- recommended" if advice == chosen else ""
        rate = f"{advice.tokens_s:.0f}" if advice.fits else "-"
        size = _megabytes(advice.memory_bytes)
        click.echo(f"{advice.name:<7}{advice.precision:<9}{size:>10}  {rate:>20}  {advice.verdict}{mark}")
    if chosen:
        click.echo(
            f"Add a file of the {chosen.name} model with: assistant models add FILE.pth --precision {chosen.precision}"
        )
    else:
        click.echo("None of them fits: the embedded model is the one for this machine")


@models.command()
@click.argument("name")
@click.option("--onnx", "folder", type=FILE, required=True, help="Folder to make, for ONNX Runtime.")
@click.option("--precision", type=click.Choice(["auto", *PRECISIONS]), default="auto", show_default=True,
              help="Of the weights; auto is as stored.")  # fmt: skip
def export(name: str, folder: Path, precision: str) -> None:
    """Write the model NAME as a folder that others can use: graph, weights, vocabulary, README and an example."""
    from assistant.models.export import export as write

    write(Store().open(name, precision), "onnx", folder)
    size = sum(file.stat().st_size for file in folder.iterdir())
    click.echo(f"Exported {name} to {folder} ({_megabytes(size)}). Try: python {folder / 'example.py'} 'Hello'")


@models.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def rm(name: str, yes: bool) -> None:
    """Delete the model NAME from the store."""
    store = Store()
    with contextlib.suppress(ModelFileError):  # one with a damaged manifest can be deleted too
        store.show(name)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("nobody is there to confirm", hint="Give --yes to delete without asking")
        click.confirm(f"Delete '{name}' ({store.folder(name)})?", abort=True, err=True)
    store.rm(name)
    click.echo(f"Deleted {name}")


@models.command()
@click.argument("names", nargs=-1)
@as_json
def verify(names: tuple[str, ...], as_json: bool) -> None:
    """Hash the files of the models NAMES (all if none is given) and compare with when they were added."""
    store, bad = Store(), {}
    wanted = names or tuple(store.scan())
    for name in wanted:
        with _progress() as progress:
            try:
                bad[name] = [{"file": str(d.file), "why": d.why} for d in store.verify(name, progress)]
            except ModelFileError as error:  # the manifest itself; the other models are still checked
                bad[name] = [{"file": str(error.where), "why": str(error.why)}]
        if not as_json and not bad[name]:
            click.echo(f"{name}: good")
    if as_json:
        _print_json(bad)
    if damaged := [d for found in bad.values() for d in found]:
        raise ModelFileError(
            "damaged files in the model store",
            why="; ".join(f"{d['file']}: {d['why']}" for d in damaged),
            hint="Remove the model and add it again: assistant models rm, assistant models add",
        )


@contextlib.contextmanager
def _progress() -> Iterator[Progress | None]:
    """A bar per stage of the work on stderr; nothing if that is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with contextlib.ExitStack() as stack:
        bars: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in bars:
                stack.close()  # finishes the line of the stage before
                bars[stage] = stack.enter_context(click.progressbar(length=total, label=stage, file=sys.stderr))
            bars[stage].update(done - bars[stage].pos)

        yield report


def _summary(manifest: Manifest) -> str:
    weights = ", ".join(f"{p} {_megabytes(r.bytes)}" for p, r in manifest.weights.items())
    return f"{_count(manifest.parameters)} parameters, {weights}, template {manifest.template}"


def _count(parameters: int) -> str:
    scale = min(3, int(math.log10(max(1, parameters)) // 3))
    return f"{parameters / 1000**scale:.3g} {('', 'K', 'M', 'B')[scale]}".rstrip()


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("cannot read the licence", where=path, why=error) from error


def _print_json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
