"""Policies: named limits and an objective, from `profiles/policies` and the person's own folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from assistant import paths
from assistant.config import checked, did_you_mean, read_toml
from assistant.errors import ConfigError
from assistant.solver.problem import METRICS, Limit, Objective
from backends import profiles

Bound = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Whole = Annotated[int, Meta(ge=1)]


def _about(words: str) -> Meta:
    return Meta(description=words)


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Hard limits; what is left out does not bind."""

    privacy: Annotated[
        Literal["on-device", "lan", "internet"], _about("how far the text of a conversation may travel")
    ] = "on-device"
    allow_simulated: Annotated[bool, _about("whether a chip that is not here may be chosen")] = False
    allow_untested: Annotated[
        bool, _about("whether to convert a model to fewer bits before `assistant eval` has measured what that costs")
    ] = False
    max_ms_per_token: Annotated[Bound | UnsetType, _about("ms, one conversation, median")] = UNSET
    max_ms_per_token_p95: Annotated[Bound | UnsetType, _about("ms, one conversation, 95th percentile")] = UNSET
    max_ms_per_token_busy: Annotated[Bound | UnsetType, _about("ms, with every slot taken, median")] = UNSET
    max_ttft_s: Annotated[Bound | UnsetType, _about("s, to the first token after `prompt_tokens` of prompt")] = UNSET
    max_watts: Annotated[Bound | UnsetType, _about("W while writing")] = UNSET
    max_joules_per_token: Annotated[Bound | UnsetType, _about("J per token, one conversation")] = UNSET
    max_memory_mb: Annotated[Bound | UnsetType, _about("MB of main memory, weights and states")] = UNSET
    max_threads: Annotated[Whole | UnsetType, _about("threads of this machine")] = UNSET
    max_chips: Annotated[Whole | UnsetType, _about("chips of an accelerator")] = UNSET
    max_retention_days: Annotated[Bound | UnsetType, _about("days that anybody else may keep the text")] = UNSET
    max_usd_per_mtok: Annotated[Bound | UnsetType, _about("$ per million tokens to anybody else")] = UNSET
    min_quality: Annotated[Share | UnsetType, _about("share of the probes of `assistant eval` answered well")] = UNSET
    min_conversations: Annotated[Whole | UnsetType, _about("conversations that are written at once")] = UNSET
    backends: Annotated[tuple[str, ...] | UnsetType, _about("only these")] = UNSET
    models: Annotated[tuple[str, ...] | UnsetType, _about("only these")] = UNSET
    precisions: Annotated[tuple[str, ...] | UnsetType, _about("only these")] = UNSET

    def as_limits(self) -> tuple[Limit, ...]:
        out = []
        for key in self.__struct_fields__:
            value = getattr(self, key)
            if value is UNSET:
                continue
            kind, _, subject = key.partition("_")
            if key == "privacy":
                out.append(Limit(key, "privacy", value))
            elif kind in ("max", "min", "allow"):
                out.append(Limit(key, kind, value, subject))
            else:
                out.append(Limit(key, "one-of", value, key.removesuffix("s")))
        return tuple(out)


class Preferences(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What to prefer within the limits: `order` (metric, relative tolerance) or `weights`, not both."""

    order: tuple[tuple[str, Annotated[float, Meta(ge=0)]], ...] = ()
    weights: dict[str, Annotated[float, Meta(ge=0)]] = {}


class Policy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One policy file. `name` is the file's."""

    name: str = ""
    title: str = ""
    prompt_tokens: Annotated[int, Meta(ge=1), _about("length of the prompt that max_ttft_s is about")] = 256
    limits: Limits = msgspec.field(default_factory=Limits)
    objective: Preferences = msgspec.field(default_factory=lambda: Preferences(order=(("ms_per_token", 0.0),)))

    def as_objective(self) -> Objective:
        return Objective(self.objective.order, tuple(self.objective.weights.items()))

    def with_limits(self, **changes: object) -> Policy:
        """A copy with other limits; None takes a limit away."""
        fields = {k: UNSET if v is None else v for k, v in changes.items()}
        return msgspec.structs.replace(self, limits=msgspec.structs.replace(self.limits, **fields))


def changed(found: Policy, limits: dict[str, object]) -> Policy:
    """With limits as a person gives them by the names of policy files. Raises ConfigError (unknown, wrong value)."""
    bound = {key: int(value) if isinstance(value, float) and value.is_integer() else value
             for key, value in limits.items()}  # fmt: skip
    asked = checked(bound, Limits, Path("the limits that were asked for"), "limits")
    return found.with_limits(**{key: getattr(asked, key) for key in limits})


def own_folder() -> Path:
    """Where a person's own policies lie; one of the same name wins over ours."""
    return paths.config_file().parent / "policies"


def names() -> list[str]:
    return sorted({f.stem for folder in _folders() for f in folder.glob("*.toml")})


def policy(name: str) -> Policy:
    """Raises ConfigError: no such policy, or its file is wrong."""
    for folder in _folders():
        if (file := folder / f"{name}.toml").is_file():
            return read(file)
    raise ConfigError(f"there is no policy '{name}'", where=own_folder(), hint=did_you_mean(name, names()))


def read(file: Path) -> Policy:
    """One file, checked. Raises ConfigError that names the key and suggests another."""
    try:
        table = read_toml(file, "the policy is")
    except FileNotFoundError as error:
        raise ConfigError("cannot read the policy", where=file, why=error) from error
    table.pop("name", None)
    for section, kind in (("limits", Limits), ("objective", Preferences)):
        if section in table:
            if not isinstance(table[section], dict):
                raise ConfigError(f"'{section}' is a section", where=file, hint=f"Write it as [{section}]")
            table[section] = checked(table[section], kind, file, section)
    for key in table:  # a limit written above its section is the likeliest mistake
        if key not in Policy.__struct_fields__ and key in Limits.__struct_fields__:
            raise ConfigError(f"unknown key '{key}'", where=file, hint=f"Did you mean [limits] {key}?")
    found = checked(table, Policy, file, "the top")
    _check_objective(found.objective, file)
    return msgspec.structs.replace(found, name=file.stem)


def _check_objective(objective: Preferences, file: Path) -> None:
    if bool(objective.order) == bool(objective.weights):
        raise ConfigError("[objective] needs `order` or `weights`, one of the two", where=file)
    _known_metrics((*dict(objective.order), *objective.weights), file)


def _known_metrics(found: Iterable[str], file: Path) -> None:
    for metric in found:
        if metric not in METRICS:
            raise ConfigError(f"unknown metric '{metric}' in [objective]", where=file,
                              hint=did_you_mean(metric, METRICS))  # fmt: skip


def _folders() -> tuple[Path, Path]:
    return own_folder(), profiles.root() / "policies"
