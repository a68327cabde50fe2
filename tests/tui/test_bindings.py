"""Every key that the help names is pressed by some test of this folder."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

from textual.binding import Binding
from textual.dom import DOMNode

import assistant.tui


def owners() -> set[type[DOMNode]]:
    found: set[type[DOMNode]] = set()
    for module in pkgutil.walk_packages(assistant.tui.__path__, "assistant.tui."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, DOMNode) and value.__module__.startswith("assistant."):
                found.add(value)
    return found


def test_every_binding_is_pressed_somewhere() -> None:
    tests = "\n".join(file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_*.py"))
    pressed = set(re.findall(r'"([a-z0-9+]+)"', tests)) | set("".join(re.findall(r'\*"([^"]*)"', tests)))
    keys = {
        key.strip()
        for owner in owners()
        for binding in Binding.make_bindings(owner.__dict__.get("BINDINGS", []))
        for key in [binding.key]
    }
    assert keys <= pressed, sorted(keys - pressed)


def test_everything_on_a_screen_has_its_help() -> None:
    silent = {"ChatApp", "HelpScreen", "AskLine", "Page", "Plot", "ChatScreen", "Note", "Noted", "MoodTag"}
    missing = {owner.__name__ for owner in owners() if not getattr(owner, "HELP", None)} - silent
    assert not missing
