"""Build the folder of the model that ships with the program, from a checkpoint, a vocabulary and a card."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

import click
import msgspec

from assistant.errors import AssistantError, UsageError
from assistant.models.atomic import replacing
from assistant.models.build import Options, build_model
from assistant.models.manifest import MANIFEST_FILE, Manifest, encode_manifest
from assistant.models.store import EMBEDDED, SHIPPED

CARD_FILE = "MODEL_CARD.md"
WEIGHTS_FILE = "model.{precision}.safetensors"
Metrics = dict[str, float | int | str]


def build_embedded(
    model: Path, vocabulary: Path, card: str, metrics: Metrics, licence: str, out: Path = SHIPPED
) -> Manifest:
    """Write int8 weights, vocabulary, card and manifest to `out`, replacing what was there as a whole.

    Raises AssistantError; then `out` is as it was.
    """
    new, old = (out.with_name(f".{out.name}.{secrets.token_hex(4)}") for _ in range(2))
    new.mkdir(parents=True)
    try:
        options = Options(vocabulary, "int8", "embedded", licence)
        manifest = build_model(model, new, EMBEDDED, options, weights_file=WEIGHTS_FILE)
        manifest = msgspec.structs.replace(manifest, metrics=metrics)
        with replacing(new / MANIFEST_FILE) as file:
            file.write(encode_manifest(manifest))
        with replacing(new / CARD_FILE) as file:
            file.write(card.encode())
        if out.exists():
            out.rename(old)
        new.rename(out)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
        elif old.exists():
            old.rename(out)
    return manifest


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("vocabulary", type=click.Path(path_type=Path))
@click.option("--card", type=click.Path(path_type=Path), required=True, help="The model card, Markdown.")
@click.option("--metrics", type=click.Path(path_type=Path), help="JSON object of numbers for the manifest.")
@click.option("--licence", default="Apache-2.0", show_default=True, help="Licence of the weights.")
@click.option("--out", type=click.Path(path_type=Path), default=SHIPPED, help="Folder to replace.")
def main(model: Path, vocabulary: Path, card: Path, metrics: Path | None, licence: str, out: Path) -> None:
    """Quantize MODEL to int8 and put it with its VOCABULARY where the program looks for its own model."""
    try:
        numbers = msgspec.json.decode(metrics.read_bytes(), type=Metrics) if metrics else {}
        text = card.read_text("utf-8")
    except (OSError, ValueError) as error:  # msgspec's errors and UnicodeDecodeError are ValueErrors
        raise UsageError("cannot read the model card or the metrics", why=error) from error
    manifest = build_embedded(model, vocabulary, text, numbers, licence, out)
    total = sum(record.bytes for record in manifest.files())
    click.echo(f"{out}: {manifest.parameters:,} parameters, {total / 1e6:.2f} MB")


if __name__ == "__main__":
    try:
        main()
    except AssistantError as error:
        raise SystemExit(f"error: {error}") from error
