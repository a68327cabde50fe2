"""The configuration file: defaults, what is accepted, and errors that say what to change."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant import config, paths
from assistant.errors import ConfigError


@pytest.fixture
def write(tmp_path: Path):
    def _write(text: str) -> Path:
        file = tmp_path / "config.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return _write


def test_no_file_means_defaults() -> None:
    loaded = config.load()
    assert loaded == config.Config()
    assert loaded.backend.name == "auto"
    assert loaded.sampling.seed is None


def test_the_usual_file_is_found() -> None:
    file = paths.config_file()
    file.parent.mkdir(parents=True)
    file.write_text("[daemon]\nmax_batch = 3\n")
    assert config.load().daemon.max_batch == 3
    assert config.load().daemon.prefill_chunk == config.Daemon().prefill_chunk


def test_a_whole_number_is_a_fraction_too(write) -> None:
    assert config.load(write("[sampling]\ntemperature = 1\nseed = 7")).sampling.temperature == 1.0


def test_it_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        config.load().model.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[samplin]\n", "unknown section or key 'samplin' (FILE). Did you mean 'sampling'?"),
        (
            "[sampling]\ntemprature = 1\n",
            "unknown key 'temprature' in [sampling] (FILE). Did you mean 'temperature'?",
        ),
        (
            "temperature = 1\n",
            "unknown section or key 'temperature' (FILE). Did you mean [sampling] temperature?",
        ),
        (
            "[history]\nzzz = 1\n",
            "unknown key 'zzz' in [history] (FILE). Known are: enabled, checkpoint_cap_mb",
        ),
        ("model = 'x'\n", "'model' is a section (FILE). Write it as [model]"),
        (
            "[backend]\nthreads = 'four'\n",
            "wrong value for 'threads' in [backend] (FILE): expected int, got str (it says 'four')",
        ),
        (
            "[history]\nenabled = 1\n",
            "wrong value for 'enabled' in [history] (FILE): expected bool, got int (it says 1)",
        ),
        (
            "[sampling]\ntop_p = 1.5\n",
            "wrong value for 'top_p' in [sampling] (FILE): expected float <= 1.0 (it says 1.5)",
        ),
        (
            "[daemon]\nmax_batch = 0\n",
            "wrong value for 'max_batch' in [daemon] (FILE): expected int >= 1 (it says 0)",
        ),
    ],
)
def test_errors_name_file_key_and_remedy(write, text: str, message: str) -> None:
    file = write(text)
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    assert str(caught.value) == message.replace("FILE", str(file))
    assert caught.value.exit_code == 78


def test_broken_toml_names_the_line(write) -> None:
    with pytest.raises(ConfigError, match=r"not valid TOML .*line 1"):
        config.load(write("[model\n"))


def test_a_file_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such configuration file .*gone\.toml"):
        config.load(tmp_path / "gone.toml")


def test_a_folder_or_other_encoding_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        config.load(tmp_path)
    (tmp_path / "latin").write_bytes(b"[model]\nname = '\xe9'\n")
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        config.load(tmp_path / "latin")


_VALUES = st.one_of(st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()), st.none())


@given(
    section=st.sampled_from(sorted(config.SECTIONS)),
    table=st.dictionaries(st.text(min_size=1), _VALUES),
)
def test_any_table_is_a_struct_or_a_clear_error(section: str, table: dict) -> None:
    known = {key: table[key] for key in table if key in config.SECTIONS[section].__struct_fields__}
    if known != table:
        with pytest.raises(ConfigError, match=r"c\.toml"):
            config.checked(table, config.SECTIONS[section], Path("c.toml"), section)
    message = ""
    try:
        made = config.checked(known, config.SECTIONS[section], Path("c.toml"), section)
    except ConfigError as error:  # a key that exists, by chance, with a value that it cannot have
        message = str(error)
    assert "c.toml" in message if message else isinstance(made, config.SECTIONS[section])


@given(value=_VALUES, data=st.data())
def test_any_value_is_accepted_or_named(value: object, data: st.DataObject) -> None:
    section = data.draw(st.sampled_from(sorted(config.SECTIONS)))
    key = data.draw(st.sampled_from(config.SECTIONS[section].__struct_fields__))
    made = None
    message = ""
    try:
        made = config.checked({key: value}, config.SECTIONS[section], Path("c.toml"), section)
    except ConfigError as error:
        message = str(error)
    if made is None:
        assert f"'{key}' in [{section}] (c.toml): " in message
    else:
        assert getattr(made, key) == value
