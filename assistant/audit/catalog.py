"""What is known of each AI tool: how to find it, and what its documentation says, with date and source.

Read from `profiles/tools/*.toml`, and from `tools/*.toml` beside the person's configuration, which may add or replace.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from assistant import paths
from assistant.config import did_you_mean, read_toml
from assistant.errors import ConfigError
from backends import profiles

Reply = Literal["yes", "no", "partly", "unknown"]
Kind = Literal["chat", "coding", "editor", "server", "desktop", "library", "voice", "image", "app"]
FOLDER = "tools"


class Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer of a tool's documentation."""

    answer: Reply
    why: str = ""
    source: str = ""
    date: str = ""  # when it was looked up
    confidence: Literal["H", "M", "L", ""] = ""


class Charge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a tool costs money."""

    model: Literal["free", "subscription", "tokens", "unknown"] = "unknown"
    per_month: float | None = None  # of the smallest plan that is paid
    free_plan: bool = False
    currency: str = "USD"
    why: str = ""
    source: str = ""
    date: str = ""
    confidence: Literal["H", "M", "L", ""] = ""


class ConfigFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of which only the values of these keys are read: names of models and providers, addresses of servers."""

    path: str
    keys: list[str]


class Tool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    name: str
    kind: Kind
    executables: list[str] = []
    distributions: list[str] = []  # of Python
    npm: list[str] = []
    extensions: list[str] = []  # of VS Code and its relatives: publisher.name
    apps: list[str] = []  # ids of desktop entries and flatpaks, without a suffix
    paths: list[str] = []
    processes: list[str] = []
    ports: list[int] = []
    env: list[str] = []  # names of variables; * at an end
    configs: list[ConfigFile] = []
    model_files: list[str] = []  # whose folder's and own name are a model's name and tag
    usage: str = ""  # the reader of its log, see usage.py
    hosts: list[str] = []  # that its documentation names
    network: Said = Said(answer="unknown")
    leave: Said = Said(answer="unknown")
    cost: Charge = Charge()
    substitute: str = ""  # instead of what is said of its kind


SUBSTITUTES: dict[str, str] = {
    "chat": "yes for small talk, simple questions, notes, arithmetic; no for long texts, research, other languages",
    "coding": "no: our model does not write programs",
    "editor": "no for completions and edits; yes for a question beside it",
    "server": "yes as a local OpenAI or Ollama endpoint for small RWKV-7 models; no for other models or GPUs",
    "desktop": "yes for private small talk in the terminal; no for larger models, documents with pictures, a window",
    "library": "not a substitute: a part that other programs are built of",
    "voice": "yes for speaking and listening to short English sentences; no for dictation of meetings, other languages",
    "image": "no: no pictures",
    "app": "no for its own work; yes for private questions beside it",
}
"""What of a kind's work this assistant can do. Honest: mostly little."""

MEANING = {
    "network": "Network down: does it work?",
    "price": "Price x10: would I keep it?",
    "leave": "Data may not leave: does it function?",
}


def own_folder() -> Path:
    return paths.config_file().parent / FOLDER


def load() -> list[Tool]:
    """Every tool, by id. Raises ConfigError naming file, tool and remedy."""
    found: dict[str, Tool] = {}
    for folder in (profiles.root() / FOLDER, own_folder()):
        for file in sorted(folder.glob("*.toml")) if folder.is_dir() else []:
            for tool in _tools(file):
                found[tool.id] = tool
    return [found[name] for name in sorted(found)]


def find(tools: list[Tool], word: str) -> Tool | None:
    """By id, program, distribution or package."""
    for tool in tools:
        if word in (tool.id, *tool.executables, *tool.distributions, *tool.npm):
            return tool
    return None


def substitute(tool: Tool) -> str:
    return tool.substitute or SUBSTITUTES[tool.kind]


def _tools(file: Path) -> list[Tool]:
    table = read_toml(file, "the table of tools is")
    tools = []
    for name, entry in table.items():
        try:
            tool = msgspec.convert({"id": name, **entry}, Tool)
        except (msgspec.ValidationError, TypeError) as error:
            unknown = [key for key in entry if key not in Tool.__struct_fields__] if isinstance(entry, dict) else []
            hint = did_you_mean(unknown[0], Tool.__struct_fields__) if unknown else None
            raise ConfigError(f"wrong entry for the tool '{name}'", where=file, why=error, hint=hint) from error
        for what, said in (("network", tool.network), ("leave", tool.leave), ("cost", tool.cost)):
            known = said.answer != "unknown" if isinstance(said, Said) else said.model != "unknown"
            if known and not (said.source and said.date):
                raise ConfigError(f"'{what}' of the tool '{name}' has no source or no date", where=file,
                                  hint='Write both, or "unknown"')  # fmt: skip
        tools.append(tool)
    return tools
