"""`assistant config`: check the files a person may write, explain every key, print the schemas."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from assistant import config as configuration
from assistant import paths
from assistant.config import SECTIONS, Config, did_you_mean
from assistant.errors import EXIT_CONFIG, AssistantError, ConfigError, UsageError
from assistant.meter import prices
from assistant.solver import policies
from assistant.solver.problem import METRICS
from backends import profiles

FILE = click.Path(exists=True, path_type=Path)


@click.group("config")
def command() -> None:
    """Check, explain and describe the configuration, policies and hardware profiles."""


@command.command()
@click.argument("files", nargs=-1, type=FILE)
def validate(files: tuple[Path, ...]) -> None:
    """Check FILES, or everything that is in use: config.toml, prices, policies, hardware profiles.

    Ends with exit code 78 if anything is wrong, and names file, key and remedy.
    """
    wrong = 0
    for file, check in [(f, _check_of(f)) for f in files] or list(_in_use()):
        try:
            check(file)
        except (AssistantError, profiles.BadProfile) as error:
            wrong += 1
            click.echo(f"wrong   {error}")
        else:
            click.echo(f"fine    {file}")
    if wrong:
        raise SystemExit(EXIT_CONFIG)


@command.command()
@click.argument("key", required=False)
def explain(key: str | None) -> None:
    """Tell what KEY means (a section, `section.key`, a limit or a metric of a policy), or all of them.

    Shows the value in use, and the default where that is another.
    """
    now, found = configuration.load(), 0
    click.echo(f"{paths.config_file()}{'' if paths.config_file().exists() else ' (not there: all as by default)'}")
    for section, kind in SECTIONS.items():
        rows = [row for row in _keys(section, kind, now) if key in (None, section, row[0], row[0].partition(".")[2])]
        if rows:
            click.echo(f"\n[{section}]  {_first_line(kind)}")
            _rows([(name.partition(".")[2], value, words) for name, value, words in rows])
        found += len(rows)
    limits = [(k, w) for k, w in _descriptions(policies.Limits).items() if key in (None, "limits", k)]
    if limits:
        click.echo("\n[limits] of a policy, and options of `assistant plan`")
        _rows(limits)
    metrics = [(m.name, f"{m.words}; {m.better} is better") for m in METRICS.values()
               if key in (None, "objective", m.name)]  # fmt: skip
    if metrics:
        click.echo("\n[objective] of a policy: metrics for `order` and `weights`")
        _rows(metrics)
    if not found and not limits and not metrics:
        known = [*SECTIONS, *(r[0] for s, k in SECTIONS.items() for r in _keys(s, k, now)),
                 *_descriptions(policies.Limits), *METRICS]  # fmt: skip
        raise UsageError(f"there is no key '{key}'", hint=did_you_mean(key, known))


@command.command()
@click.argument("what", type=click.Choice(["config", "policy"]), default="config")
def schema(what: str) -> None:
    """Print the JSON Schema of config.toml or of a policy file, for editors."""
    kind = Config if what == "config" else policies.Policy
    found = msgspec.json.schema(kind)
    for part in found.get("$defs", {}).values():
        part["additionalProperties"] = False  # unknown keys are errors
    click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))


# --- what to check ---


def _in_use() -> Iterator[tuple[Path, Any]]:
    if paths.config_file().exists():
        yield paths.config_file(), _config
    for file in (prices.user_file(), profiles.root() / prices.FILE):
        if file.exists():
            yield file, _prices
    for folder in (policies.own_folder(), profiles.root() / "policies"):
        for file in sorted(folder.glob("*.toml")):
            yield file, policies.read
    for file in sorted((profiles.root() / "hardware").glob("*.toml")):
        yield file, profiles.check


def _check_of(file: Path) -> Any:
    """By content, because a file may lie anywhere while it is being written."""
    try:
        keys = set(tomllib.loads(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return _config  # which says what is wrong with it
    if keys & {"limits", "objective"}:
        return policies.read
    if keys and keys <= {"currency", *prices.KEYS}:
        return _prices
    return profiles.check if "name" in keys and not keys & set(SECTIONS) else _config


def _config(file: Path) -> None:
    from assistant.skills.registry import Registry

    found = configuration.load(file)
    for name in (found.plan.policy, found.plan.on_battery):
        if name and name not in policies.names():
            raise ConfigError(f"there is no policy '{name}' as [plan] asks for", where=file,
                              hint=did_you_mean(name, policies.names()))  # fmt: skip
    try:
        Registry(found.skills)
    except ConfigError as error:  # a skill that is not there
        raise ConfigError(error.what, where=file, hint=error.hint) from error


def _prices(file: Path) -> None:
    prices.load(own=file)


# --- what to tell ---


def _keys(section: str, kind: type[msgspec.Struct], now: Config) -> list[tuple[str, str, str]]:
    """(section.key, value in use, what it means)."""
    rows = []
    for name, words in _descriptions(kind).items():
        value, default = getattr(getattr(now, section), name), getattr(kind(), name)
        changed = "" if value == default else f" (default: {_toml(default)})"
        rows.append((f"{section}.{name}", f"{_toml(value)}{changed}", words))
    return rows


def _descriptions(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Key -> description, from the schema: the one place where msgspec gathers them."""
    found = msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"]
    return {name: found[name].get("description", "") for name in kind.__struct_fields__}


def _rows(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    for *cells, words in rows:
        click.echo("  " + "  ".join(f"{c:<{w}}" for c, w in zip(cells, widths, strict=True)) + f"  {words}")


def _toml(value: object) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else (
        f'"{value}"' if isinstance(value, str) else f"{value}")  # fmt: skip


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").partition("\n")[0]
