"""Which model the page is about: one in the store, a file, or a published size without weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from assistant.config import did_you_mean
from assistant.errors import ModelNotFound, UsageError
from assistant.models.store import Store
from backends.base import ModelConfig
from backends.census import pass_bytes, pass_macs
from backends.networks import rwkv7_named, rwkv7_sizes
from backends.precisions import PRECISIONS

DEFAULT_PRECISION = "int8"  # of what is only a shape


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over the weights, counted from shapes. tokens: of a prompt, per sequence."""

    name: str
    tokens: int
    batch: int
    macs: int
    bytes_moved: int

    @property
    def macs_per_byte(self) -> float:
        """Arithmetic intensity."""
        return self.macs / self.bytes_moved

    @property
    def tokens_out(self) -> int:
        return self.tokens * self.batch


@dataclass(frozen=True, slots=True)
class Subject:
    """A model's shape at a precision. stored: its name in the store, if its weights are there."""

    name: str
    config: ModelConfig
    precision: str
    stored: str | None = None

    def passes(self) -> list[Pass]:
        """The three that tell where the wall is: one conversation, eight that share a pass, a chunk of a prompt."""
        return [self.one(*x) for x in (("batch 1", 1, 1), ("batch 8", 1, 8), ("prefill 64", 64, 1))]

    def one(self, name: str, tokens: int, batch: int) -> Pass:
        return Pass(name, tokens, batch, pass_macs(self.config, tokens, batch),
                    pass_bytes(self.config, tokens, batch, self.precision))  # fmt: skip


def subject(name: str, precision: str | None) -> Subject:
    """Raises ModelNotFound with the nearest name, ModelFileError, UsageError."""
    if precision is not None and precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!a}", hint=f"Choose from {', '.join(PRECISIONS)}")
    if config := rwkv7_named(name):
        return Subject(name, config, precision or DEFAULT_PRECISION)
    if ("/" in name or "." in name) and Path(name).is_file():
        from assistant.models.shapes_only import inspect

        network = inspect(Path(name)).network
        if not isinstance(network, ModelConfig):
            raise UsageError(f"'{name}' is no RWKV-7", hint="`assistant cim friendliness` takes other networks")
        return Subject(Path(name).name, network, precision or DEFAULT_PRECISION)
    store = Store()
    try:
        manifest = store.show(name)
    except (ModelNotFound, UsageError) as error:
        known = [*store.scan(), *(size.removeprefix("rwkv7-").upper() for size in rwkv7_sizes())]
        raise ModelNotFound(f"there is no model '{name}'", hint=did_you_mean(name, [*known, "a file"])) from error
    config = ModelConfig(**msgspec.structs.asdict(manifest.config))
    return Subject(manifest.name, config, precision or next(iter(manifest.weights)), stored=name)
