"""The configuration file: TOML into frozen structs, with errors that name key and remedy."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from assistant import paths
from assistant.errors import ConfigError

T = TypeVar("T")


def about(words: str, **bounds: float) -> Meta:
    """What a key means, for `assistant config explain`; what its values can be, for everybody."""
    return Meta(description=words, **bounds)


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """Which model answers."""

    name: Annotated[str, about("a name in the store; default: the embedded model; auto: the policy chooses")] = (
        "default"
    )
    precision: Annotated[str, about("auto: as the policy chooses; or fp32, bf16, fp16, int8, int4")] = "auto"


class Backend(msgspec.Struct, frozen=True, kw_only=True):
    """Which device runs it."""

    name: Annotated[str, about("auto: as the policy chooses; or the name of a backend")] = "auto"
    threads: Annotated[int, about("0: as the policy chooses", ge=0)] = 0


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How a token is drawn, unless a request says otherwise."""

    temperature: Annotated[float, about("0: always the likeliest token", ge=0, le=5)] = 0.8
    top_p: Annotated[float, about("only the likeliest tokens that make up this share", ge=0, le=1)] = 0.6
    top_k: Annotated[int, about("only so many of the likeliest tokens; 0: no limit", ge=0)] = 0
    presence_penalty: Annotated[float, about("against words that were said at all", ge=-2, le=2)] = 0.2
    frequency_penalty: Annotated[float, about("against words by how often they were said", ge=-2, le=2)] = 0.2
    penalty_decay: Annotated[float, about("per token, so that old words become free again", ge=0, le=1)] = 0.996
    seed: Annotated[
        Annotated[int, Meta(ge=0, le=2**63 - 1)] | None, about("none: a new one for each reply")
    ] = None  # fmt: skip
    max_tokens: Annotated[int, about("of a reply", ge=1)] = 1024


class Daemon(msgspec.Struct, frozen=True, kw_only=True):
    """The background process that holds the model."""

    idle_exit_s: Annotated[float, about("seconds without a request until it leaves; 0: never", ge=0)] = 900.0
    unload_after_s: Annotated[float, about("idle time until the weights leave the memory; 0: never", ge=0)] = 300.0
    drain_s: Annotated[float, about("a stop lets replies under way be finished for so long", ge=0)] = 10.0
    max_batch: Annotated[int, about("most conversations that share one pass over the weights", ge=1)] = 8
    prefill_chunk: Annotated[int, about("prompt tokens between two decode steps of the others", ge=1)] = 64
    max_queue: Annotated[int, about("requests that may wait for a place; more are asked to come back later", ge=1)] = 64
    max_connections: Annotated[int, about("most connections at once", ge=1)] = 256
    max_prompt_tokens: Annotated[
        int, about("most tokens read for one request, beside what a state stands for", ge=1)
    ] = 1 << 17
    max_reply_tokens: Annotated[int, about("most tokens written for one request", ge=1)] = 1 << 20
    client_timeout_s: Annotated[
        float, about("seconds to send a whole request, or to leave an answer unread", ge=0.1)
    ] = 20.0


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept on disk."""

    enabled: Annotated[bool, about("false: nothing is written, and a restart forgets everything")] = True
    checkpoint_cap_mb: Annotated[int, about("MB of states to go on from; the oldest go first", ge=0)] = 512


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What decides where and how the model runs. What [model] and [backend] name is not decided but followed."""

    policy: Annotated[str, about("`assistant plan --policy NAME` shows what a policy chooses")] = "private"
    on_battery: Annotated[str, about("the policy while the machine runs on its battery; empty: the same")] = "battery"
    keep_free_mb: Annotated[int, about("MB of memory that are left to other programs", ge=0)] = 256
    power_supply: Annotated[str, about("where the kernel tells what feeds the machine")] = "/sys/class/power_supply"


class Skills(msgspec.Struct, frozen=True, kw_only=True):
    """What code answers in chats, without the model."""

    enabled: Annotated[bool, about("false: the model answers everything but words of crisis")] = True
    off: Annotated[list[str], about("names of skills that stay silent; `assistant skills` lists them")] = []
    by_model: Annotated[
        bool, about("true: a model that was trained to call tools may call skills; each new chat reads them first")
    ] = False


class Mood(msgspec.Struct, frozen=True, kw_only=True):
    """Whether messages are read for how they sound."""

    enabled: Annotated[bool, about("false: no message of a chat is read for its mood")] = True


class Tui(msgspec.Struct, frozen=True, kw_only=True):
    """How the terminal looks."""

    theme: Annotated[str, about("a theme of Textual; Ctrl+P in the chat lists them")] = "textual-dark"


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """How it listens and speaks, where the extra is installed."""

    input: Annotated[str, about("the microphone: a part of its name, or its number; empty: the default one")] = ""
    output: Annotated[str, about("the loudspeaker, in the same way")] = ""
    engine: Annotated[Literal["espeak", "piper"], about("what speaks: espeak or piper")] = "espeak"
    voice: Annotated[str, about("a voice of espeak-ng, or a .onnx file for piper; empty: its usual one")] = ""
    words_per_minute: Annotated[int, about("how fast it speaks", ge=80, le=450)] = 165
    wake: Annotated[str, about("only what begins with this word is answered; empty: everything is")] = ""
    half_duplex: Annotated[bool, about("true: hear nothing while speaking: nobody can interrupt")] = False
    end_s: Annotated[float, about("seconds of silence that end what you say", ge=0.2, le=3)] = 0.6


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All settings; a file states only what differs from these."""

    model: Model = msgspec.field(default_factory=Model)
    backend: Backend = msgspec.field(default_factory=Backend)
    sampling: Sampling = msgspec.field(default_factory=Sampling)
    daemon: Daemon = msgspec.field(default_factory=Daemon)
    history: History = msgspec.field(default_factory=History)
    plan: Plan = msgspec.field(default_factory=Plan)
    skills: Skills = msgspec.field(default_factory=Skills)
    mood: Mood = msgspec.field(default_factory=Mood)
    tui: Tui = msgspec.field(default_factory=Tui)
    voice: Voice = msgspec.field(default_factory=Voice)


SECTIONS: dict[str, type[msgspec.Struct]] = {field.name: field.type for field in msgspec.structs.fields(Config)}


def load(path: Path | None = None) -> Config:
    """Read the file, or the usual one; no file means the defaults."""
    file = Path(path) if path else paths.config_file()
    try:
        table = read_toml(file, "the configuration is")
    except FileNotFoundError:
        if path is None:
            return Config()
        raise ConfigError("there is no such configuration file", where=file) from None
    _refuse_unknown(table, file)
    return Config(**{name: checked(table[name], SECTIONS[name], file, name) for name in table})


def read_toml(file: Path, what_is: str) -> dict[str, Any]:
    """The table of a file; `what_is` begins the error: "the policy is". Raises ConfigError; a missing file as it is."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {what_is.rpartition(' ')[0]}", where=file, why=error) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{what_is} not valid TOML", where=file, why=error) from error


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
        key = re.sub(r"^`\$\.?|(\[.*)?`$", "", place)  # of a list: the list
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
