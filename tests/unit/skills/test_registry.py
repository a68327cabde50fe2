"""Order, switches and plug-ins: one that fails, hangs or answers nonsense breaks nothing but itself."""

from __future__ import annotations

import sys
import threading
from importlib.metadata import entry_points

import jsonschema
import pytest

from assistant import config, wire
from assistant.errors import ConfigError, SkillError
from assistant.skills import registry as registry_module
from assistant.skills.registry import GROUP, Registry
from tests.unit.skills.conftest import NOW

PLUGIN = """
import threading
from assistant.errors import SkillError
from assistant.wire import SkillAnswer

class Dice:
    name, help, examples = "dice", "throws dice", ("roll a die",)
    def answer(self, text, context):
        return SkillAnswer(skill="anything", text="4") if text == "roll a die" else None

class Refuses(Dice):
    def answer(self, text, context):
        raise SkillError("it cannot be done", why="of the reason")

class Raises(Dice):
    def answer(self, text, context):
        raise KeyError("oh")

class Slow(Dice):
    def answer(self, text, context):
        threading.Event().wait(30)

class Nonsense(Dice):
    def answer(self, text, context):
        return "4"

class NoSkill:
    pass
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution with these entry points, as pip would: found by the metadata, imported by name."""

    def make(**names: str) -> Registry:
        (tmp_path / "dice_skill.py").write_text(PLUGIN)
        info = tmp_path / "dice_skill-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dice-skill\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            f"[{GROUP}]\n" + "".join(f"{name} = dice_skill:{kind}\n" for name, kind in names.items())
        )
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "dice_skill", raising=False)
        assert {e.name for e in entry_points(group=GROUP)} >= set(names)
        return Registry(root=tmp_path / "skills")

    return make


def _view(registry: Registry, name: str) -> wire.SkillView:
    return next(view for view in registry.views() if view.name == name and view.plugin)


def test_a_plugin_is_found_and_asked_after_ours(install):
    registry = install(dice="Dice")
    assert registry.answer("roll a die") == wire.SkillAnswer(skill="dice", text="4")
    assert _view(registry, "dice").plugin == "dice-skill"
    assert registry.answer("2 + 2").skill == "calculator"
    assert 'dice: throws dice, such as "roll a die"' in registry.answer("what can you do?").text


@pytest.mark.parametrize(("kind", "why"), [("Raises", "KeyError"), ("Nonsense", "not a SkillAnswer")])
def test_a_plugin_that_fails_is_named_and_skipped(install, kind, why, caplog):
    registry = install(bad=kind, dice="Dice")
    assert registry.answer("roll a die").skill == "dice"
    view = _view(registry, "bad")
    assert not view.on
    assert why in view.why_off
    assert "bad" in caplog.text
    assert registry.answer("roll a die").text == "4"


def test_a_plugin_that_hangs_is_left_behind(install, monkeypatch):
    monkeypatch.setattr(registry_module, "PLUGIN_LIMIT_S", 0.02)
    registry = install(a_slow="Slow", dice="Dice")
    assert registry.answer("roll a die").skill == "dice"
    assert "took more than" in _view(registry, "a_slow").why_off
    threads = threading.active_count()
    registry.answer("roll a die")
    assert threading.active_count() == threads  # it is not asked again


def test_a_plugin_may_say_that_it_cannot(install):
    assert install(no="Refuses").answer("roll a die").text == "It cannot be done: of the reason."


def test_what_is_no_skill_is_not_asked(install):
    registry = install(empty="NoSkill", missing="Nothing", clock="Dice")
    for name, why in (("empty", "no skill"), ("missing", "AttributeError"), ("clock", "another skill has this name")):
        assert why in _view(registry, name).why_off
    assert registry.answer("what time is it?").skill == "clock"


def test_switches(tmp_path):
    off = Registry(config.Skills(off=["clock"]), tmp_path, [])
    assert off.answer("what time is it?") is None
    assert off.answer("2 + 2")
    assert {v.name: v.why_off for v in off.views() if not v.on} == {"clock": "named in [skills] off"}
    none = Registry(config.Skills(enabled=False), tmp_path, [])
    assert none.answer("2 + 2") is None
    assert [v.name for v in none.views() if v.on] == ["care"]
    assert none.answer("I want to kill myself").skill == "care"
    silent = Registry(config.Skills(enabled=False, off=["care"]), tmp_path, [])
    assert not silent.concerns("2 + 2")
    assert silent.answer("I want to kill myself") is None


def test_a_letter_is_read_for_words_of_crisis_and_for_nothing_else(tmp_path):
    registry = Registry(config.Skills(), tmp_path, [])
    letter = "It rained all day and nobody came. " * 100
    assert registry.answer(letter + "I want to kill myself.").skill == "care"
    assert registry.answer("2 + 2" + " " * 2000) is None
    assert not registry.concerns(letter * 3)
    with pytest.raises(ConfigError, match=r"Did you mean 'calculator'\?"):
        Registry(config.Skills(off=["calculater"]), tmp_path, [])


def test_our_own_failures_are_logged_and_cost_one_answer(tmp_path, monkeypatch, caplog):
    registry = Registry(root=tmp_path, plugins=[])

    def fail(*_args):
        raise ZeroDivisionError

    clock = next(entry for entry in registry.entries if entry.name == "clock")
    monkeypatch.setattr(clock.skill, "answer", fail)
    assert registry.answer("what time is it?") is None
    assert registry.answer("2 + 2").text == "2 + 2 = 4"
    assert "clock" in caplog.text


CALLS = {
    "current_time": {}, "time_in": {"city": "Tokyo"}, "days_until": {"day": "Christmas"},
    "calculate": {"expression": "(3 + 4) * 2"}, "convert_units": {"amount": 5, "source": "miles", "target": "km"},
    "set_timer": {"duration": "10 minutes"}, "remind": {"when": "tomorrow at 9", "what": "call Ann"},
    "list_reminders": {}, "write_note": {"text": "buy milk"}, "find_notes": {"words": "milk"}, "system_status": {},
}  # fmt: skip


def test_skills_are_tools_with_schemas_and_each_can_be_called(registry):
    names = [tool.name for tool in registry.tools()]
    assert set(names) == set(CALLS)
    for tool in registry.tools():
        jsonschema.Draft202012Validator.check_schema(tool.schema()["function"]["parameters"])
        jsonschema.validate(CALLS[tool.name], tool.schema()["function"]["parameters"])
        assert registry.call(tool.name, CALLS[tool.name], now=NOW).text
    assert registry.call("calculate", {"expression": "1 / 0"}).text == "A division by zero has no result."


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [("calculat", {}, "Did you mean 'calculate'"), ("calculate", {}, "expression is missing"),
     ("calculate", {"expression": 5}, "must be a string"), ("convert_units", {"amount": True,
      "source": "m", "target": "km"}, "must be a number"),
     ("calculate", {"expression": "the moon"}, "does not understand"),
     ("calculate", {"expression": "1" * 600}, "must be a string")],
)  # fmt: skip
def test_wrong_calls_say_what_is_wrong(registry, name, arguments, why):
    with pytest.raises(SkillError, match=why):
        registry.call(name, arguments)
