"""One key is changed; comments, order and everything else in the file stay as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant import config_file
from assistant.errors import ConfigError


@pytest.mark.parametrize(("before", "after"), [
    (None, '[tui]\ntheme = "nord"\n'),
    ("", '[tui]\ntheme = "nord"\n'),
    ("# a comment\n", '# a comment\n\n[tui]\ntheme = "nord"\n'),
    ("[tui]  # looks\n", '[tui]  # looks\ntheme = "nord"\n'),
    ("[tui]\ntheme='old' # why\n[daemon]\nx = 1\n", '[tui]\ntheme = "nord"  # why\n[daemon]\nx = 1\n'),
    ("[other]\ntheme = \"mine\"\n[tui]\na = 1\n", '[other]\ntheme = "mine"\n[tui]\ntheme = "nord"\na = 1\n'),
])  # fmt: skip
def test_put(tmp_path: Path, before: str | None, after: str) -> None:
    file = tmp_path / "deeper" / "config.toml"
    if before is not None:
        file.parent.mkdir()
        file.write_text(before)
        file.chmod(0o640)
    assert config_file.put("tui", "theme", "nord", file).read_text() == after
    assert file.stat().st_mode & 0o777 == (0o600 if before is None else 0o640)
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("text", [
    'tui = { theme = "old" }\n',  # a table in one line
    'tui.theme = "old"\n',
    '[tui]\ntheme = """\nold"""\n',
    "[tui]\ntheme = \n",  # no TOML
    'x = """\n[tui]\n"""\n',  # looks like a section, and is text
    "tui = 3\n",
])  # fmt: skip
def test_what_cannot_be_changed_alone_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match="was not saved"):
        config_file.put("tui", "theme", "nord", file)
    assert file.read_text() == text


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    kept = tmp_path / "kept.toml"
    kept.write_text("")
    link = tmp_path / "config.toml"
    link.symlink_to(kept)
    config_file.put("tui", "theme", "nord", link)
    assert link.is_symlink()
    assert kept.read_text() == '[tui]\ntheme = "nord"\n'
