"""How fast a machine that is not here would decode, from its bandwidth: calibrated on two, checked on the others.

Decoding reads every byte of the weights once per token, so tokens/s = efficiency x bandwidth / bytes (the roofline of
Williams et al., CACM 2009, left of its ridge). The efficiency is what a calibration machine reached with a published
model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from backends.profiles import Profile, profile, read

PUBLISHED = "published/reference-machines.toml"


@dataclass(frozen=True, slots=True)
class Row:
    """One machine's published decode rate beside the model's. `band`: tolerated relative error; None if calibrated."""

    machine: str
    role: str  # calibrated | held out
    calibrated_on: str
    bandwidth_bytes_s: float
    efficiency: float
    """That the machine really reached."""
    predicted_tok_s: float
    published_tok_s: float
    source: str
    band: float | None = None
    note: str = ""

    @property
    def error(self) -> float:
        return self.predicted_tok_s / self.published_tok_s - 1

    @property
    def within(self) -> bool:
        return self.band is None or abs(self.error) <= self.band


@cache
def efficiency(machine: str) -> float:
    """Share of peak bandwidth that decoding reached on a machine with published figures. Raises UnknownProfile."""
    found = profile(machine)
    weight_bytes = read(PUBLISHED)["weight_bytes"]["value"]
    return found.value("published.tok_s") * weight_bytes / found.value("memory.bandwidth_bytes_s")


def modelled_efficiency(machine: Profile) -> tuple[float, str]:
    """(efficiency, the machine it was calibrated on); a held-out machine's own figure is never used."""
    source = machine.table("decode")["calibrated_on"]
    if read(PUBLISHED)["machines"].get(source, {}).get("role") != "calibrated":
        raise ValueError(f"'{machine.name}' is calibrated on '{source}', which is held out")
    return efficiency(source), source


def decode_tok_s(machine: Profile, bytes_per_token: float) -> float:
    """Modelled tokens per second of one sequence."""
    return modelled_efficiency(machine)[0] * machine.value("memory.bandwidth_bytes_s") / bytes_per_token


def decode_j_per_token(machine: Profile, bytes_per_token: float) -> float | None:
    """Modelled: the power that the whole system drew while it decoded the published model; None if unpublished."""
    if "published.power_w" not in dict(machine.items()):
        return None
    return machine.value("published.power_w") / decode_tok_s(machine, bytes_per_token)


def rows() -> list[Row]:
    """Every published figure beside the model's, calibrated ones first; nothing is refitted."""
    table, found = read(PUBLISHED), []
    for name, about in table["machines"].items():
        machine = profile(name)
        found.append(Row(
            machine=name, role=about["role"], calibrated_on=modelled_efficiency(machine)[1],
            bandwidth_bytes_s=machine.value("memory.bandwidth_bytes_s"), efficiency=efficiency(name),
            predicted_tok_s=decode_tok_s(machine, table["weight_bytes"]["value"]),
            published_tok_s=machine.value("published.tok_s"), source=machine["published.tok_s"].source,
            band=about.get("band"), note=about.get("note", ""),
        ))  # fmt: skip
    return sorted(found, key=lambda r: r.role)
