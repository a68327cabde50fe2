"""What a cloud service would be, as a row to compare with: never executable, because there is no network code."""

from __future__ import annotations

from assistant.errors import ConfigError
from assistant.meter import prices
from assistant.solver.problem import Figure, Option
from backends.profiles import UnknownProfile, profile

NO_NETWORK = "for comparison only: this program has no network code"


def cloud() -> list[Option]:
    """The dated figures of profiles/hardware/cloud-api.toml; empty where that profile is missing."""
    try:
        api = profile("cloud-api")
        tok_s, ttft_s = api["published.tok_s"], api["published.ttft_s"]
    except UnknownProfile:
        return []
    figures = {
        "ms_per_token": Figure(1e3 / tok_s.value, "modelled", tok_s.source),
        "ttft_s": Figure(ttft_s.value, "modelled", ttft_s.source),
        "usd_per_mtok": _price(),
        "retention_days": Figure(None, "modelled", "as the provider says, and nobody here can check it"),
    }
    traits = {"model": "a large one", "backend": api.name, "precision": "", "where": ""}
    return [Option(api.title, figures, traits, privacy="internet", unusable=NO_NETWORK)]


def _price() -> Figure:
    """Of answers, from the dated table that a person may change."""
    try:
        table = prices.load()
    except ConfigError as error:  # `assistant cost` and `assistant config validate` tell more
        return Figure(None, "modelled", error.what)
    if table.currency != "USD":
        return Figure(None, "modelled", f"the table is in {table.currency}")
    price = table.cloud_output_per_mtok
    return Figure(price.value, "modelled", ", ".join(part for part in (price.date, price.source) if part))
