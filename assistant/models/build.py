"""From a model file of any kind to one model in the store's form, in a folder that the caller names."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from assistant.errors import ModelFileError, UsageError
from assistant.models.atomic import replacing
from assistant.models.gguf_file import GgufFile
from assistant.models.lora import merged, read_adapter
from assistant.models.manifest import (
    MANIFEST_FILE,
    STATE_FILE,
    VOCABULARY_FILE,
    Manifest,
    Shape,
    encode_manifest,
    record_of,
)
from assistant.models.packed import save_packed
from assistant.models.quantize import PRECISIONS, pack
from assistant.models.source import read_source
from assistant.models.states import read_tuned_state
from assistant.models.template import guess_template, template_named
from assistant.models.tokenizer import Tokenizer
from assistant.models.vocabulary import (
    WORLD_FILE,
    gguf_vocabulary,
    read_vocabulary,
    world_vocabulary_file,
    write_vocabulary,
)

WORLD_SIZE = 65536
BYTE_SIZES = (256, 257)
MAX_PADDING = 256  # ids of the model without a token: embeddings are often padded to round sizes
Progress = Callable[[str, int, int], None]
"""progress(stage, done, total) in bytes; what it raises ends the work."""


class Options(NamedTuple):
    """What the person states; None: found out from the file and what lies beside it."""

    vocabulary: Path | None = None
    precision: str = "auto"
    template: str | None = None
    licence: str | None = None
    lora: Path | None = None  # an adapter to merge
    lora_alpha: float = 64.0
    state: Path | None = None  # a tuned starting state to keep with the model


class Vocabulary(NamedTuple):
    """kind: file, gguf, world or byte-level; text: the file to store, None for byte-level."""

    kind: str
    text: bytes | None


def build_model(
    source_file: Path,
    folder: Path,
    name: str,
    options: Options = Options(),  # noqa: B008 (immutable)
    progress: Progress | None = None,
    weights_file: str = "weights.{precision}.safetensors",
) -> Manifest:
    """Write weights, vocabulary and, last, the manifest into the folder.

    Raises ModelFileError (the file or the vocabulary), UsageError (an unknown precision or template).
    """
    if options.precision not in ("auto", *PRECISIONS):
        hint = f"Choose from auto, {', '.join(PRECISIONS)}"
        raise UsageError(f"unknown precision {options.precision!a}", hint=hint)
    template = template_named(options.template or guess_template(source_file.name)).name
    source = read_source(source_file)
    config = source.weights.config
    vocabulary = find_vocabulary(source_file, config.vocab, options.vocabulary, source.gguf)
    precision = source.weights.precision if options.precision == "auto" else options.precision

    step = stage(progress, "reading", source_file.stat().st_size)
    origin = record_of(source_file, step)
    weights = source.weights
    if options.lora:
        weights = merged(weights, read_adapter(options.lora), options.lora_alpha, options.lora)
    step = stage(progress, f"converting to {precision}", weights.nbytes)
    try:
        packed = pack(weights, precision, origin.sha256, step)
    except ModelFileError as error:
        error.where = error.where or str(source_file)  # packing knows tensors, not files
        raise
    weights_path = folder / weights_file.format(precision=precision)
    save_packed(weights_path, packed, name)
    vocabulary_record = None
    if vocabulary.text is not None:
        with replacing(folder / VOCABULARY_FILE) as file:
            file.write(vocabulary.text)
        vocabulary_record = record_of(folder / VOCABULARY_FILE)
    state_record = None
    if options.state:
        np.save(folder / STATE_FILE, read_tuned_state(options.state, config).data)
        state_record = record_of(folder / STATE_FILE)
    licence = options.licence
    if licence is None and source.gguf:
        stated = source.gguf.metadata.get("general.license")
        licence = stated.decode("utf-8", "replace") if isinstance(stated, bytes) else None
    manifest = Manifest(
        name=name,
        added_at=datetime.now(UTC).isoformat(timespec="seconds"),
        source=origin,
        format=source.format,
        config=Shape(**dataclasses.asdict(config)),
        parameters=sum(math.prod(shape) for shape in config.tensor_shapes().values()),
        template=template,
        tokenizer=vocabulary.kind,
        vocabulary=vocabulary_record,
        weights={precision: record_of(weights_path)},
        state=state_record,
        licence=licence,
    )
    with replacing(folder / MANIFEST_FILE) as file:
        file.write(encode_manifest(manifest))
    return manifest


def find_vocabulary(source: Path, size: int, given: Path | None, gguf: GgufFile | None) -> Vocabulary:
    """The given file, the GGUF file's own, one beside the model, or by the model's vocabulary size.

    Raises ModelFileError if none fits: more tokens than the model has rows.
    """
    if given is not None:
        tokens = Tokenizer.from_file(given).tokens
        if len(tokens) > size:
            why = f"the vocabulary has {len(tokens)} ids, the model {size}"
            raise ModelFileError("the vocabulary does not fit", where=given, why=why)
        return Vocabulary("file", given.read_bytes())
    if gguf and "tokenizer.ggml.tokens" in gguf.metadata:
        tokens = gguf_vocabulary(gguf.metadata, source)
        if len(Tokenizer(tokens, source).tokens) <= size:
            return Vocabulary("gguf", write_vocabulary(tokens))
    for name in (VOCABULARY_FILE, WORLD_FILE):
        beside = source.parent / name
        # A file that merely happens to lie there is passed over: it has another size.
        if beside.is_file() and 0 <= size - len(read_vocabulary(beside)) < MAX_PADDING:
            return Vocabulary("file", beside.read_bytes())
    if size == WORLD_SIZE:
        return Vocabulary("world", world_vocabulary_file().read_bytes())
    if size in BYTE_SIZES:
        return Vocabulary("byte-level", None)
    raise ModelFileError(
        "no vocabulary fits the model",
        where=source,
        why=f"it has {size} ids, which is neither the world vocabulary ({WORLD_SIZE}) nor byte-level",
        hint=f"Give its vocabulary with --vocab, or put it beside the model as {VOCABULARY_FILE}",
    )


def stage(progress: Progress | None, label: str, total: int) -> Callable[[int], None]:
    """A counter for one stage of the work: called with bytes, it reports the sum."""
    done = 0

    def step(count: int) -> None:
        nonlocal done
        done = min(done + count, total)
        if progress:
            progress(label, done, total)

    return step
