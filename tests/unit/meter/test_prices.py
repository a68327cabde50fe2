"""The price table: dated, overridable, and clear about what is wrong in it."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from assistant import wire
from assistant.errors import ConfigError
from assistant.meter import prices
from backends import profiles


def own(text: str) -> None:
    file = prices.user_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_what_ships_is_dated_and_sourced():
    table = profiles.read("prices.toml")
    for section, keys in prices.KEYS.items():
        for key in keys:
            entry = table[section][key]
            assert entry["source"], key
            assert entry["date"], key
            assert entry["unit"], key
            assert entry["confidence"] in profiles.CONFIDENCES
    assert prices.load().currency == "USD"


def test_equivalents():
    totals = wire.CostTotals(prompt_tokens=600_000, cached_tokens=400_000, completion_tokens=2_000_000,
                             energy_j={"measured": 7.2e6, "simulated": 3.6e6})  # fmt: skip
    own("[electricity]\nper_kwh = 0.30\n[grid]\nco2_g_per_kwh = 100\n")
    found = prices.load().equivalents(totals)
    assert found.electricity == {"measured": pytest.approx(0.60), "simulated": pytest.approx(0.30)}
    assert found.co2_g == {"measured": pytest.approx(200), "simulated": pytest.approx(100)}
    assert (found.cloud_low, found.cloud_high) == (pytest.approx(0.10 + 2 * 0.28), pytest.approx(0.15 + 2 * 0.60))


def test_a_persons_own_price_is_named_as_theirs():
    own("[electricity]\nper_kwh = 0.30\n")
    table = prices.load()
    assert table.electricity_per_kwh.unit == "USD/kWh"
    assert "your own" in table.notes()[0]
    assert table.co2_g_per_kwh.value == 436


def test_another_currency_needs_all_prices():
    own('currency = "EUR"\n[electricity]\nper_kwh = 0.30\n')
    with pytest.raises(ConfigError, match=r"cloud\.input_per_mtok is still in USD"):
        prices.load()
    own('currency = "EUR"\n[electricity]\nper_kwh = 0.30\n[cloud]\ninput_per_mtok = 0.1\noutput_per_mtok = 0.4\n')
    assert prices.load().cloud_output_per_mtok.unit == "EUR/Mtok"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[electricty]\nper_kwh = 1", r"Did you mean 'electricity'"),
        ("[electricity]\nper_kwhr = 1", r"Did you mean 'per_kwh'"),
        ("per_kwh = 1", r"Did you mean \[electricity\] per_kwh"),
        ("electricity = 1", r"Write it as \[electricity\]"),
        ("[grid]\nco2_g_per_kwh = 'much'", "wrong value for 'co2_g_per_kwh'"),
        ("[grid]\nco2_g_per_kwh = -1", "wrong value"),
        ("[grid]\nco2_g_per_kwh = nan", "wrong value"),
        ("[grid]\nco2_g_per_kwh = {value = 1, unti = 'g'}", "unti"),
        ("currency = 3", "'currency' is missing or no text"),
        ("[grid", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_told_with_the_file(text, words):
    own(text)
    with pytest.raises(ConfigError, match=words) as error:
        prices.load()
    assert str(prices.user_file()) in str(error.value)
    assert error.value.exit_code == 78


def test_the_example_of_the_documentation_is_valid():
    page = (Path(__file__).parents[3] / "docs" / "cost.md").read_text(encoding="utf-8")
    block = re.search(r"^    currency.*?(?=^\S)", page, re.MULTILINE | re.DOTALL)[0]
    own(textwrap.dedent(block))
    assert prices.load().electricity_per_kwh.value == 0.31


def test_a_table_that_lacks_a_price_is_told(tmp_path):
    shipped = tmp_path / "prices.toml"
    shipped.write_text('currency = "USD"\n[electricity]\nper_kwh = 0.2\n')
    with pytest.raises(ConfigError, match=r"the price 'grid\.co2_g_per_kwh' is missing"):
        prices.load(shipped)


def test_config_validate_checks_prices_too(tmp_path):
    from click.testing import CliRunner

    from assistant.settings import command

    own("[electricity]\nper_kwhr = 1")
    everything = CliRunner().invoke(command, ["validate"])
    assert everything.exit_code == 78
    assert "Did you mean 'per_kwh'" in everything.output
    elsewhere = tmp_path / "draft.toml"
    elsewhere.write_text("[grid]\nco2_g_per_kwh = 30\n")
    assert "fine" in CliRunner().invoke(command, ["validate", str(elsewhere)]).output
