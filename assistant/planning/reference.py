"""What a cloud service would be, as a row to compare with: never executable, because there is no network code."""

from __future__ import annotations

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
        "usd_per_mtok": Figure(None, "modelled", "see `assistant cost`"),
        "retention_days": Figure(None, "modelled", "as the provider says, and nobody here can check it"),
    }
    traits = {"model": "a large one", "backend": api.name, "precision": "", "where": ""}
    return [Option(api.title, figures, traits, privacy="internet", unusable=NO_NETWORK)]
