"""Money and CO2 of joules and tokens, from a dated table that ships with us and that a person may change."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import msgspec

from assistant import paths, wire
from assistant.config import did_you_mean, read_toml
from assistant.errors import ConfigError
from backends import profiles

J_PER_KWH = 3.6e6
FILE = "prices.toml"


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One number, what it is per, and where and when it comes from."""

    value: float
    unit: str = ""
    source: str = "your own"
    date: str = ""
    confidence: str = ""
    low: float | None = None
    high: float | None = None

    @property
    def band(self) -> tuple[float, float]:
        return (self.value if self.low is None else self.low, self.value if self.high is None else self.high)


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """The table. Energy per kWh, tokens per million, CO2 in grams per kWh."""

    currency: str
    electricity_per_kwh: Price
    co2_g_per_kwh: Price
    cloud_input_per_mtok: Price
    cloud_output_per_mtok: Price
    file: str = ""  # the person's own, if there is one

    def equivalents(self, totals: wire.CostTotals) -> wire.Equivalents:
        """What the joules cost and emit, by basis, and what a cloud service would have asked for the same tokens."""
        prompt, said = totals.prompt_tokens + totals.cached_tokens, totals.completion_tokens
        low, high = (prompt * a + said * b for a, b in zip(self.cloud_input_per_mtok.band,
                                                           self.cloud_output_per_mtok.band, strict=True))  # fmt: skip
        return wire.Equivalents(
            currency=self.currency,
            electricity={k: j / J_PER_KWH * self.electricity_per_kwh.value for k, j in totals.energy_j.items()},
            co2_g={k: j / J_PER_KWH * self.co2_g_per_kwh.value for k, j in totals.energy_j.items()},
            cloud_low=low / 1e6,
            cloud_high=high / 1e6,
        )

    def notes(self) -> list[str]:
        """One line for each price that was used."""
        named = {"electricity": self.electricity_per_kwh, "grid": self.co2_g_per_kwh,
                 "cloud, prompt": self.cloud_input_per_mtok, "cloud, answer": self.cloud_output_per_mtok}  # fmt: skip
        return [
            f"{name}: {_range(p)} {p.unit} ({', '.join(x for x in (p.date, p.source) if x)})"
            for name, p in named.items()
        ]


KEYS = {"electricity": ("per_kwh",), "grid": ("co2_g_per_kwh",), "cloud": ("input_per_mtok", "output_per_mtok")}
_FIELDS = {("electricity", "per_kwh"): "electricity_per_kwh", ("grid", "co2_g_per_kwh"): "co2_g_per_kwh",
           ("cloud", "input_per_mtok"): "cloud_input_per_mtok",
           ("cloud", "output_per_mtok"): "cloud_output_per_mtok"}  # fmt: skip


def user_file() -> Path:
    return paths.config_file().with_name(FILE)


def load(shipped: Path | None = None, own: Path | None = None) -> Prices:
    """Our table with the person's changes over it. Raises ConfigError naming file, key and remedy."""
    shipped, own = shipped or profiles.root() / FILE, own or user_file()
    base, mine = _table(shipped), _table(own) if own.exists() else {}
    currency = mine.get("currency", base.get("currency"))
    if not isinstance(currency, str) or not currency:
        raise ConfigError("'currency' is missing or no text", where=own if "currency" in mine else shipped)
    found: dict[str, Price] = {}
    for (section, key), name in _FIELDS.items():
        given = mine.get(section, {}).get(key)
        price = _price(given, section, key, own) if given is not None else None
        if price is None:
            if key not in base.get(section, {}):
                raise ConfigError(f"the price '{section}.{key}' is missing", where=shipped,
                                  hint=f"Write it under [{section}] in {own}")  # fmt: skip
            price = _price(base[section][key], section, key, shipped)
            if currency != base.get("currency") and section != "grid":
                raise ConfigError(f"the currency is {currency}, but {section}.{key} is still in {base.get('currency')}",
                                  where=own, hint=f"Write {key} under [{section}] as well")  # fmt: skip
        elif not price.unit:
            unit = {"per_kwh": f"{currency}/kWh", "co2_g_per_kwh": "g/kWh"}.get(key, f"{currency}/Mtok")
            when = datetime.date.fromtimestamp(own.stat().st_mtime).isoformat()
            price = msgspec.structs.replace(price, unit=unit, date=price.date or when)
        found[name] = price
    return Prices(currency=currency, file=str(own) if mine else "", **found)


def _table(file: Path) -> dict[str, Any]:
    try:
        table = read_toml(file, "the prices are")
    except FileNotFoundError as error:
        raise ConfigError("cannot read the prices", where=file, why=error) from error
    for name, section in table.items():
        if name == "currency":
            continue
        if name not in KEYS:
            homes = [f"[{home}] {name}" for home, keys in KEYS.items() if name in keys]
            hint = f"Did you mean {homes[0]}?" if homes else did_you_mean(name, ("currency", *KEYS))
            raise ConfigError(f"unknown section or key '{name}'", where=file, hint=hint)
        if not isinstance(section, dict):
            raise ConfigError(f"'{name}' is a section", where=file, hint=f"Write it as [{name}]")
        for key in section:
            if key not in KEYS[name]:
                raise ConfigError(f"unknown key '{key}' in [{name}]", where=file, hint=did_you_mean(key, KEYS[name]))
    return table


def _price(given: Any, section: str, key: str, file: Path) -> Price:
    try:
        price = msgspec.convert(given if isinstance(given, dict) else {"value": given}, Price)
    except msgspec.ValidationError as error:
        raise ConfigError(f"wrong value for '{key}' in [{section}]", where=file, why=error,
                          hint="Write a number, or a table with value, unit, source and date") from error  # fmt: skip
    if not 0 <= price.value < float("inf"):
        raise ConfigError(f"wrong value for '{key}' in [{section}]", where=file, why=f"it says {price.value}")
    return price


def _range(price: Price) -> str:
    low, high = price.band
    return f"{price.value:g}" if low == high else f"{low:g}-{high:g}"
