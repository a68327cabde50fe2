"""One row for each machine: how many tokens per second its memory allows, and how that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assistant.config import did_you_mean
from assistant.errors import UsageError
from assistant.wall.host import Host
from assistant.wall.subject import Subject
from backends import installed, roofline
from backends.base import BackendUnavailable, BadWeights, Workload
from backends.profiles import names, profile

HOST = "host"
SMALL_BYTES = 5e8
SMALL = (
    "the reference machines are calibrated with 2 GB of weights per token; with a model this small the time to start "
    "kernels, which is not modelled, would hold them back: read their rows as bounds"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A machine and one token on it. basis is that of tok_s and energy: never of the bandwidth, which is published
    except on this host, where it is measured."""

    name: str
    title: str
    basis: str  # measured | modelled | simulated | reference
    bytes_per_token: int | None
    bandwidth_bytes_s: float | None
    ideal_tok_s: float | None
    tok_s: float | None
    share: float | None = None  # of the bandwidth, that tok_s means
    j_per_token: float | None = None
    energy_basis: str = ""
    macs_s: float | None = None
    note: str = ""


def known() -> list[str]:
    """Every name that --device takes."""
    return [HOST, *names("reference"), *sorted(_simulated()), *names("cloud")]


def rows(model: Subject, host: Host | None, devices: Sequence[str]) -> list[Row]:
    """In the order of `known`; only those asked for if any are. Raises UsageError with the nearest name."""
    for name in devices:
        if name not in known():
            raise UsageError(f"there is no device '{name}'", hint=did_you_mean(name, known()))
    found = []
    for name in known():
        if devices and name not in devices:
            continue
        if name == HOST:
            found += [_host(model, host)] if host else []
        elif name in names("reference"):
            found.append(_reference(model, name))
        elif name in names("cloud"):
            found.append(_cloud(name))
        else:
            found.append(_chip(model, name))
    return found


def _host(model: Subject, host: Host) -> Row:
    what = model.one("", 1, 1)
    wall, moved = host.reading.bytes_s, what.bytes_moved
    title, about = f"this host, {host.backend}", {"j_per_token": host.energy_j_per_token, "energy_basis": "modelled"}
    if host.passes:
        one = host.passes[0]
        return Row(HOST, title, "measured", moved, wall, wall / moved, one.tok_s, one.bytes_s / wall,
                   macs_s=one.macs_s, **about)  # fmt: skip
    note = f"not run: {host.why_not}"
    if seconds := dict(host.predicted_s).get("batch 1"):
        return Row(HOST, title, "modelled", moved, wall, wall / moved, 1 / seconds, moved / seconds / wall,
                   macs_s=what.macs / seconds, note=f"{note}; predicted from `bench --calibrate`", **about)  # fmt: skip
    return Row(HOST, title, "modelled", moved, wall, wall / moved, None, note=note, **about)


def _reference(model: Subject, name: str) -> Row:
    machine, what = profile(name), model.one("", 1, 1)
    bandwidth = machine.value("memory.bandwidth_bytes_s")
    tok_s = roofline.decode_tok_s(machine, what.bytes_moved)
    share, source = roofline.modelled_efficiency(machine)
    miss = next((r for r in roofline.rows() if r.machine == name and r.role == "held out" and abs(r.error) > 0.1), None)
    note = f"efficiency of {source}" if source != name else "calibrated"
    if miss:
        note += f"; off by {miss.error:+.0%} where it was measured"
    return Row(name, machine.title, "modelled", what.bytes_moved, bandwidth, bandwidth / what.bytes_moved, tok_s, share,
               roofline.decode_j_per_token(machine, what.bytes_moved), "modelled", tok_s * what.macs, note)  # fmt: skip


def _chip(model: Subject, name: str) -> Row:
    what = model.one("", 1, 1)
    try:
        kind = _simulated()[name]
        cost = kind().estimate(model.config, Workload(1, 1, kind.info.precisions[0]))
    except (BackendUnavailable, BadWeights) as error:
        return Row(name, name, "simulated", None, None, None, None, note=str(error))
    return Row(name, profile(name).title, "simulated", cost.bytes_moved, None, None, 1 / cost.latency_s,
               j_per_token=cost.energy_j, energy_basis="simulated", macs_s=what.macs / cost.latency_s,
               note=f"{kind.info.precisions[0]}; not here")  # fmt: skip


def _cloud(name: str) -> Row:
    service = profile(name)
    rate, first = service.band("published.tok_s"), service.band("published.ttft_s")
    return Row(name, service.title, "reference", None, None, None, rate.mid,
               note=f"{rate.high:.0f}-{rate.low:.0f} tok/s, first token after {first.low:g}-{first.high:g} s; "
               "never used: there is no network code")  # fmt: skip


def _simulated() -> dict[str, type]:
    return {name: kind for name, kind in installed.kinds().items() if kind.info.simulated}
