"""Plans, costs and a self-test with fixed figures: what the fake daemon answers to everything but chats."""

from __future__ import annotations

from typing import Any

from assistant import wire

NOW = 1_800_000_000.0
POLICIES = ["battery", "cim-lab", "private"]
PRICES = wire.CloudPrices(currency="USD", input_low=0.10, input_high=0.15, output_low=0.28, output_high=0.60)
OPTIONS = {  # name -> ms per token, J per token, memory, quality, simulated
    "test-3m fake fp32, 1 at once": (2.0, 0.010, 12.4, 0.40, False),
    "test-3m fake int8, 1 at once": (1.0, 0.006, 4.1, 0.35, False),
    "test-3m slow fp32, 1 at once": (8.0, 0.030, 12.4, 0.40, False),
    "test-3m chip int8, 1 at once": (0.2, 0.001, 0.5, 0.35, True),
}
PASSED = wire.SelfTestSummary(
    verdict="PASS",
    finished_at=NOW,
    seconds=75.0,
    rungs={"static": "PASS", "seccomp": "PASS", "honeypot": "PASS", "live": "PASS"},
    why="nothing was sent in 75 s, and the canaries were caught",
    sha256="ab" * 32,
)


def option(name: str) -> wire.OptionView:
    ms, joules, memory, quality, simulated = OPTIONS[name]
    basis = "simulated" if simulated else "modelled"
    values = {
        "ms_per_token": (ms, "ms"), "ttft_s": (ms / 100, "s"), "joules_per_token": (joules, "J"),
        "watts": (joules / ms * 1e3, "W"), "memory_mb": (memory, "MB"), "quality": (quality, "share"),
        "conversations": (1.0, ""),
    }  # fmt: skip
    figures = {key: wire.FigureView(value=value, unit=unit, basis=basis) for key, (value, unit) in values.items()}
    model, backend, precision = name.split(",")[0].split()
    return wire.OptionView(name=name, model=model, backend=backend, precision=precision, where="all useful threads",
                           privacy="on-device", simulated=simulated, untested=False, executable=True,
                           figures=figures)  # fmt: skip


def plan(policy: str, limits: dict[str, Any]) -> wire.PlanView:
    """A solver for four options: best quality, then the fastest, within the limits it understands."""
    bounds = {"privacy": "on-device", "allow_simulated": policy == "cim-lab"} | limits
    views = {key: wire.LimitView(key=key, bound=bound, words=f"{key} {bound}") for key, bound in bounds.items()}
    losers, fitting = [], []
    for name, (ms, joules, memory, quality, simulated) in OPTIONS.items():
        broken = [
            (key, value) for key, value in
            (("max_ms_per_token", ms), ("max_joules_per_token", joules), ("max_memory_mb", memory))
            if value > bounds.get(key, 1e12)
        ]  # fmt: skip
        broken += [("min_quality", quality)] if quality < bounds.get("min_quality", 0) else []
        broken += [("allow_simulated", True)] if simulated and not bounds["allow_simulated"] else []
        breaches = [
            wire.BreachView(limit=views[key], value=value, known=True, words=f"{key} is {value:g}")
            for key, value in broken
        ]
        if broken:
            words = "; ".join(b.words for b in breaches)
            losers.append(wire.LoserView(option=option(name), words=words, breaches=breaches, outranked_by=None))
        else:
            fitting.append(name)
    fitting.sort(key=lambda name: (-OPTIONS[name][3], OPTIONS[name][0]))
    for name in fitting[1:]:
        losers.append(wire.LoserView(option=option(name), words="lower quality, or slower", breaches=[],
                                     outranked_by="quality"))  # fmt: skip
    none = [] if fitting else [views[key] for key in limits]
    return wire.PlanView(
        policy=policy, title="Nothing leaves this machine", prompt_tokens=256, limits=[*views.values()],
        feasible=bool(fitting), choice=option(fitting[0]) if fitting else None, losers=losers,
        why_not=None if fitting else "no option keeps all limits", conflict=none,
        relaxations=[
            wire.RelaxationView(limit=v, needed=1.0, option="test-3m fake int8, 1 at once", words=f"{v.key} to 1")
            for v in none
        ],
        together=[], front=["test-3m fake int8, 1 at once"], calibrated_at=None,
    )  # fmt: skip


def status(policy: str, limits: dict[str, Any]) -> wire.PlanStatus:
    view = plan(policy, limits)
    active = view.choice.name if view.choice else "test-3m fake fp32, 1 at once"
    guess = wire.PredictionView(predicted_ms=2.0, measured_ms=2.2, error=0.1, replies=3)
    return wire.PlanStatus(plan=view, active=active, since=NOW, reason="start", power="mains", pending=None, note=None,
                           prediction=guess, policies=POLICIES, changes=[])  # fmt: skip


def costs(by: wire.CostBy, since: str | None) -> wire.CostReport:
    labels = {"day": ["2027-01-15", "2027-01-14", "2027-01-12"], "session": ["Reading large files", "A letter"],
              "backend": ["chip int8", "fake fp32"]}[by]  # fmt: skip
    rows = [_row(label, 100 * (n + 1), n) for n, label in enumerate(labels)]
    total = wire.CostTotals(
        answers=sum(r.totals.answers for r in rows), completion_tokens=sum(r.totals.completion_tokens for r in rows),
        prompt_tokens=60, decode_s=4.0, elapsed_s=5.0, bytes_moved=sum(r.totals.bytes_moved for r in rows),
        energy_j={"modelled": 6.0, "simulated": 0.5},
    )  # fmt: skip
    return wire.CostReport(by=by, since=since, rows=rows, total=total, equivalents=_same(0.0003),
                           notes=["joules now: modelled from counted work", "nothing is ever sent"])  # fmt: skip


def _row(label: str, tokens: int, n: int) -> wire.CostRow:
    energy = {"modelled": 0.01 * tokens} | ({"simulated": 0.005 * tokens} if n == 0 else {})
    totals = wire.CostTotals(answers=n + 1, prompt_tokens=20, completion_tokens=tokens, decode_s=tokens / 25,
                             elapsed_s=tokens / 24, bytes_moved=12_400_000 * tokens, energy_j=energy)  # fmt: skip
    return wire.CostRow(key=label, label=label, totals=totals, equivalents=_same(tokens * 6e-7))


def _same(high: float) -> wire.Equivalents:
    return wire.Equivalents(currency="USD", electricity={"modelled": 1e-7}, co2_g={"modelled": 0.0012},
                            cloud_low=high / 2, cloud_high=high)  # fmt: skip
