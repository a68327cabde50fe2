"""The configuration file: TOML into frozen structs, with errors that name key and remedy."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from assistant import paths
from assistant.errors import ConfigError

T = TypeVar("T")
Count = Annotated[int, Meta(ge=1)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """Which model answers."""

    name: str = "default"  # a name in the store; "default" is the embedded model
    precision: str = "auto"  # as stored, or one that the backend offers: "fp32", "int8", ...


class Backend(msgspec.Struct, frozen=True, kw_only=True):
    """Which device runs it."""

    name: str = "auto"  # the fastest real device that works here, or a name
    threads: Annotated[int, Meta(ge=0)] = 0  # 0: as many as are fastest, by a short measurement


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How a token is drawn, unless a request says otherwise."""

    temperature: Annotated[float, Meta(ge=0, le=5)] = 0.8  # 0: always the likeliest
    top_p: Fraction = 0.6
    top_k: Annotated[int, Meta(ge=0)] = 0  # 0: no limit
    presence_penalty: Penalty = 0.2
    frequency_penalty: Penalty = 0.2
    penalty_decay: Fraction = 0.996  # per token, so that old words become free again
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None  # none: a new one for each reply
    max_tokens: Count = 1024


class Daemon(msgspec.Struct, frozen=True, kw_only=True):
    """The background process that holds the model."""

    idle_exit_s: Annotated[float, Meta(ge=0)] = 900.0  # 0: never
    max_batch: Count = 8  # conversations that share one pass over the weights
    prefill_chunk: Count = 64  # prompt tokens between two decode steps of the others


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept on disk."""

    enabled: bool = True
    checkpoint_cap_mb: Annotated[int, Meta(ge=0)] = 512  # the oldest go first


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What decides where and how the model runs. Whatever [model] and [backend] name is not decided but followed."""

    policy: str = "private"  # `assistant plan --policy NAME` shows what one chooses
    on_battery: str = "battery"  # the policy while the machine runs on its battery; "": the same
    keep_free_mb: Annotated[int, Meta(ge=0)] = 256  # memory left to other programs
    power_supply: str = "/sys/class/power_supply"  # where the kernel tells what feeds the machine


class Tui(msgspec.Struct, frozen=True, kw_only=True):
    """How the terminal looks."""

    theme: str = "textual-dark"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All settings; a file states only what differs from these."""

    model: Model = msgspec.field(default_factory=Model)
    backend: Backend = msgspec.field(default_factory=Backend)
    sampling: Sampling = msgspec.field(default_factory=Sampling)
    daemon: Daemon = msgspec.field(default_factory=Daemon)
    history: History = msgspec.field(default_factory=History)
    plan: Plan = msgspec.field(default_factory=Plan)
    tui: Tui = msgspec.field(default_factory=Tui)


SECTIONS: dict[str, type[msgspec.Struct]] = {field.name: field.type for field in msgspec.structs.fields(Config)}


def load(path: Path | None = None) -> Config:
    """Read the file, or the usual one; no file means the defaults."""
    file = Path(path) if path else paths.config_file()
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if path is None:
            return Config()
        raise ConfigError("there is no such configuration file", where=file) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("cannot read the configuration", where=file, why=error) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("the configuration is not valid TOML", where=file, why=error) from error
    _refuse_unknown(table, file)
    return Config(**{name: checked(table[name], SECTIONS[name], file, name) for name in table})


def checked(table: dict[str, Any], kind: type[T], file: Path, section: str) -> T:
    """One table of a file as its struct. Raises ConfigError that names file, section and key, and suggests one."""
    for key in table:
        if key not in kind.__struct_fields__:
            raise ConfigError(
                f"unknown key '{key}' in [{section}]", where=file, hint=did_you_mean(key, kind.__struct_fields__)
            )
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        # msgspec ends its message with the place: "Expected `int`, got `str` - at `$.threads`".
        why, _, place = str(error).partition(" - at ")
        key = re.sub(r"^`\$\.?|`$", "", place)
        why = why.replace("`", "").replace("Expected", "expected", 1)
        raise ConfigError(
            f"wrong value for '{key}' in [{section}]",
            where=file,
            why=f"{why} (it says {table.get(key)!r})",
        ) from error


def did_you_mean(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"Did you mean '{near[0]}'?" if near else f"Known are: {', '.join(known)}"


def _refuse_unknown(table: dict[str, Any], file: Path) -> None:
    for name, section in table.items():
        if name not in SECTIONS:
            homes = [f"[{home}] {name}" for home, kind in SECTIONS.items() if name in kind.__struct_fields__]
            hint = f"Did you mean {homes[0]}?" if homes else did_you_mean(name, SECTIONS)
            raise ConfigError(f"unknown section or key '{name}'", where=file, hint=hint)
        if not isinstance(section, dict):
            raise ConfigError(f"'{name}' is a section", where=file, hint=f"Write it as [{name}]")
