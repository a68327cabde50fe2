"""All skills of this installation in the order in which they are asked; one that fails breaks nothing but itself."""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from assistant import config, paths, wire
from assistant.errors import ConfigError, SkillError
from assistant.skills import tools
from assistant.skills.abilities import Abilities
from assistant.skills.base import Context, Skill
from assistant.skills.tools import Tool
from assistant.skills.zones import local_zone

GROUP = "assistant.skills"
OURS = (
    ("care", "assistant.skills.care:Care"),
    ("clock", "assistant.skills.clock:Clock"),
    ("calculator", "assistant.skills.calculator:Calculator"),
    ("units", "assistant.skills.units:Units"),
    ("reminders", "assistant.skills.reminders:Reminders"),
    ("notes", "assistant.skills.notes:Notes"),
    ("system", "assistant.skills.system:System"),
    ("dictionary", "assistant.skills.dictionary:Dictionary"),
    ("abilities", "assistant.skills.abilities:Abilities"),
)  # name -> where; the strictest grammars first
CARE, CARE_LIMIT_CHARS = OURS[0][0], 8000
"""Speaks also where skills are switched off, unless it is named there; a letter may be longer than a request."""
LAST = (("documents", "assistant.skills.documents:Documents"),)  # asked after the plug-ins
REMINDERS = "reminders"
PLUGIN_LIMIT_S = 1.0
TEXT_LIMIT_CHARS = 2000
"""A longer text is something to work on, not something to do."""
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Entry:
    """A skill and its standing. `skill` is None if it could not be made."""

    name: str
    skill: Skill | None
    plugin: str = ""  # the distribution that brings it; empty for ours
    why_off: str = ""

    def view(self) -> wire.SkillView:
        skill = self.skill
        return wire.SkillView(name=self.name, help=skill.help if skill else "", plugin=self.plugin,
                              examples=list(skill.examples) if skill else [], on=not self.why_off,
                              why_off=self.why_off)  # fmt: skip


class Registry:
    """Asks skills one after the other. Safe to call from any thread; one text at a time."""

    def __init__(self, settings: config.Skills | None = None, root: Path | None = None,
                 plugins: Iterable[EntryPoint] | None = None):  # fmt: skip
        """`root`: the folder of the skills' folders. Raises ConfigError for a name in `off` that no skill has."""
        settings = settings or config.Skills()
        self._root, self._asking = root or paths.skills_dir(), threading.Lock()
        found = sorted(entry_points(group=GROUP) if plugins is None else plugins, key=lambda e: e.name)
        self.entries = [_ours(*pair) for pair in OURS]
        taken = {name for name, _ in (*OURS, *LAST)}
        self.entries += [_plugin(entry, taken) for entry in found]
        self.entries += [_ours(*pair) for pair in LAST]
        self.off(settings)
        for entry in self.entries:
            if isinstance(entry.skill, Abilities):
                entry.skill.views = self.views

    def off(self, settings: config.Skills) -> None:
        """Silence what the settings silence."""
        names = [entry.name for entry in self.entries]
        for name in settings.off:
            if name not in names:
                raise ConfigError(f"there is no skill '{name}' as [skills] off says", where=paths.config_file(),
                                  hint=config.did_you_mean(name, names))  # fmt: skip
        for entry in self.entries:
            if not settings.enabled and entry.name != CARE:
                entry.why_off = entry.why_off or "[skills] enabled = false"
            elif entry.name in settings.off:
                entry.why_off = entry.why_off or "named in [skills] off"

    def views(self) -> list[wire.SkillView]:
        return [entry.view() for entry in self.entries]

    def concerns(self, text: str) -> bool:
        """Whether asking is worth it at all."""
        return bool(text) and any(_is_for(entry, text) for entry in self.entries)

    def answer(
        self,
        text: str,
        *,
        now: datetime | None = None,
        chat_id: str | None = None,
        before: Iterable[wire.SkillAnswer] = (),
        status: Callable[[], wire.Ready] | None = None,
    ) -> wire.SkillAnswer | None:
        """The first answer that a skill has, or None. Never raises; may take PLUGIN_LIMIT_S for each plug-in.

        `before`: what was said to this very message earlier, if it is answered again.
        """
        if not self.concerns(text):
            return None
        now, said = now or datetime.now(local_zone()), {answer.skill: answer for answer in before}
        with self._asking:
            for entry in self.entries:
                if not _is_for(entry, text):
                    continue
                context = Context(now, self._root / entry.name, chat_id, said.get(entry.name), status)
                if (answer := _asked(entry, text, context)) is not None:
                    return answer
        return None

    def warm(self) -> None:
        """Do what the first message would otherwise wait for."""
        self.answer("-")

    def tools(self) -> list[Tool]:
        """What a model may call, of the skills that are on; a plug-in's are in its attribute `tools`."""
        found: list[Tool] = []
        for entry in self.entries:
            if not entry.why_off:
                found += tools.OURS.get(entry.name, ()) if not entry.plugin else getattr(entry.skill, "tools", ())
        return found

    def call(self, name: str, arguments: dict[str, Any], **context: Any) -> wire.SkillAnswer:
        """What a tool answers; `context` as for `answer`. A refusal is an answer too: the model has to read it.

        Raises SkillError for a tool that is not there and for arguments that do not fit.
        """
        tool = next((tool for tool in self.tools() if tool.name == name), None)
        if tool is None:
            raise SkillError(
                f"there is no tool '{name}'", hint=config.did_you_mean(name, [t.name for t in self.tools()])
            )
        said = tool.say(arguments)
        answer = self.answer(said, **context)
        if answer is None:
            raise SkillError(f"{name} does not understand its arguments", why=f'it was told "{said[:100]}"')
        return answer

    def remind(self, text: str, now: datetime | None = None) -> wire.Reminder | None:
        """Set a reminder by a sentence; None if it sets none. Raises SkillError."""
        entry = next(entry for entry in self.entries if entry.name == REMINDERS)
        if entry.why_off:
            raise SkillError("reminders are switched off", why=entry.why_off)
        with self._asking:
            return entry.skill.remind(text, Context(now or datetime.now(local_zone()), self._root / entry.name))

    def folder(self, name: str) -> Path:
        """What a skill keeps."""
        return self._root / name

    def is_on(self, name: str) -> bool:
        return any(entry.name == name and not entry.why_off for entry in self.entries)


def _is_for(entry: Entry, text: str) -> bool:
    return not entry.why_off and len(text) <= (CARE_LIMIT_CHARS if entry.name == CARE else TEXT_LIMIT_CHARS)


def _asked(entry: Entry, text: str, context: Context) -> wire.SkillAnswer | None:
    """One skill's answer, with its failures turned into silence."""
    try:
        return _patiently(entry, text, context) if entry.plugin else entry.skill.answer(text, context)
    except SkillError as error:
        return wire.SkillAnswer(skill=entry.name, text=sentence(error))
    except Exception as error:
        log.exception("the skill '%s' failed and is skipped", entry.name)
        if entry.plugin:
            entry.why_off = f"it failed with {type(error).__name__}: {error}"
        return None


def _patiently(entry: Entry, text: str, context: Context) -> wire.SkillAnswer | None:
    """A plug-in's answer, if it comes in time and is one. A thread that hangs is left alone, and its skill with it."""
    result: list[object] = []

    def run() -> None:
        try:
            result.append(entry.skill.answer(text, context))
        except BaseException as error:
            result.append(error)

    worker = threading.Thread(target=run, name=f"skill-{entry.name}", daemon=True)
    worker.start()
    worker.join(PLUGIN_LIMIT_S)
    if not result:
        entry.why_off = f"it took more than {PLUGIN_LIMIT_S:.0f} s"
        log.warning("the skill '%s' is skipped from now on: %s", entry.name, entry.why_off)
        return None
    answer = result[0]
    if isinstance(answer, BaseException):
        raise answer if isinstance(answer, Exception) else RuntimeError(repr(answer))
    if answer is not None and not (isinstance(answer, wire.SkillAnswer) and answer.text.strip()):
        raise TypeError(f"its answer is {answer!r:.100}, not a SkillAnswer with a text")
    return answer and wire.SkillAnswer(skill=entry.name, text=answer.text, quotes=answer.quotes)


def _ours(name: str, where: str) -> Entry:
    module, _, attribute = where.partition(":")
    return Entry(name, getattr(importlib.import_module(module), attribute)())


def _plugin(entry: EntryPoint, taken: set[str]) -> Entry:
    """A plug-in's skill, or what is wrong with it."""
    source = entry.dist.name if entry.dist else "a plug-in"
    try:
        if entry.name in taken:
            raise ValueError("another skill has this name")
        taken.add(entry.name)
        skill = entry.load()()
        if not isinstance(skill, Skill):
            raise TypeError("it is no skill (see assistant/skills/base.py)")
    except Exception as error:
        log.warning("the skill '%s' of %s cannot be used: %s", entry.name, source, error)
        return Entry(entry.name, None, source, f"it cannot be loaded: {type(error).__name__}: {error}")
    return Entry(entry.name, skill, source)


def sentence(error: SkillError) -> str:
    """An error as an answer."""
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")
