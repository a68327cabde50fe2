"""The documentation promises only what exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


def test_readme_opens_with_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    kind, body = FENCE.search(text).groups()
    assert (kind, body) == ("console", "$ make chat\n$ make test\n")
    before = text[: text.index("```")].split("\n", 1)
    assert before[0].startswith("# ")
    assert before[1].strip() == "", "nothing may stand between the title and the commands"


def test_make_targets_in_the_documentation_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    for page in PAGES:
        for _, body in FENCE.findall(page.read_text(encoding="utf-8")):
            assert set(re.findall(r"^\$ make ([a-z]+)", body, re.MULTILINE)) <= targets, page


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def _examples() -> list[tuple[str, list[str]]]:
    return [
        (str(page.relative_to(ROOT)), command.split())
        for page in PAGES
        for kind, body in FENCE.findall(page.read_text(encoding="utf-8"))
        if kind == "console"
        for command in re.findall(r"^\$ assistant (.+)$", body, re.MULTILINE)
    ]


def test_subcommands_in_examples_exist() -> None:
    if importlib.util.find_spec("assistant.cli") is None:
        pytest.skip("assistant.cli is not built yet")
    import click

    from assistant import cli

    group = cli.main
    if not isinstance(group, click.Group):
        group = next(v for v in vars(cli).values() if isinstance(v, click.Group))
    for page, words in _examples():
        command: click.Command | None = group
        for word in words:
            # Options and arguments end the chain of command names.
            if not isinstance(command, click.Group) or not re.fullmatch(r"[a-z][a-z-]*", word):
                break
            command = command.get_command(click.Context(command), word)
            assert command is not None, f"{page}: `assistant {' '.join(words)}`: no '{word}'"


def test_what_skills_say_in_the_documentation_is_what_they_say(tmp_path) -> None:
    """Every row of the table in docs/skills.md, in its order, at the moment that the page names."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from assistant.skills.registry import Registry

    page = (ROOT / "docs" / "skills.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", page[: page.index("## Never by luck")], re.MULTILINE)[1:]
    assert len(rows) >= 15
    registry, now = Registry(root=tmp_path, plugins=[]), datetime(2026, 11, 23, 14, 5, tzinfo=ZoneInfo("Europe/Berlin"))
    for said, answer in rows:
        assert registry.answer(said, now=now).text == answer
    for said in re.findall(r"`([^`]+)`", page[page.index("\nAnd: ") : page.index("`=` is exact")]):
        assert registry.answer(said, now=now), said


def test_the_skill_in_the_documentation_is_one() -> None:
    from assistant.skills.base import Skill

    page = (ROOT / "docs" / "skills.md").read_text(encoding="utf-8")
    made: dict = {}
    exec(next(body for kind, body in FENCE.findall(page) if kind == "python"), made)
    assert isinstance(made["Dice"](), Skill)
    assert made["Dice"]().answer("Roll a die!", None).text.startswith("It is a ")
    assert made["Dice"]().answer("die", None) is None


def test_readings_in_the_documentation_are_what_the_lexicon_says() -> None:
    import shlex

    from click.testing import CliRunner

    from assistant.sense import command

    page = (ROOT / "docs" / "mood.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\$ assistant mood (--lexicon .+)\n((?:(?!```|\$).*\n)+)", page, re.MULTILINE)
    assert shown
    for words, output in shown:
        assert CliRunner().invoke(command, shlex.split(words)).output == output
