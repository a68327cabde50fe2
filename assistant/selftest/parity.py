"""Every installed backend computes the embedded model here, and is compared with the slowest one: the definition.

`python -m assistant.selftest.parity [--until-eof]` prints the checks as JSON; until the end of its input it goes on
computing on all of them.
"""

from __future__ import annotations

import logging
import select
import sys
import time
from collections.abc import Iterator

import msgspec
import numpy as np

from assistant import silence
from assistant.models.store import LoadedModel, Store
from assistant.selftest.report import Check
from backends import installed
from backends.base import Backend, BackendUnavailable, BadWeights, State

TEXT, STEPS = "User: Hello! Who are you?\n\nAssistant:", 4
BUDGET = {"fp32": 1e-4, "fp16": 5e-3, "bf16": 3e-2, "int8": 3e-2, "int4": 5e-2}
"""RMS error of the logits over the deviation of the definition's: the rounding of activations (tests/contract)."""
SIMULATED_BUDGET = 0.5
"""A simulated chip is noisy by nature; beyond this it is broken."""


def trace(backend: Backend, model: LoadedModel) -> np.ndarray:
    """f32[STEPS + 1, V]: logits after a prompt and after each of some tokens that are given, not sampled."""
    tokens = np.asarray(model.tokenizer.encode(TEXT.encode()), np.int32)
    state = State(model.weights.config)
    rows = [backend.prefill(tokens, state).logits.copy()]
    rows += [backend.decode(tokens[i : i + 1], [state]).logits[0].copy() for i in range(STEPS)]
    return np.stack(rows)


def compare(model: LoadedModel) -> tuple[list[Check], list[Backend]]:
    """A check for each backend that is installed, and those that work, loaded."""
    checks = [
        Check(name=f"backend {name}", ok=False, detail=f"cannot be loaded: {why}")
        for name, why in installed.broken().items()
    ]
    loaded: list[Backend] = []
    truth = None
    definition_first = sorted(
        installed.kinds().items(), key=lambda item: (item[1].info.simulated, item[1].info.preference)
    )
    for name, kind in definition_first:
        started = time.perf_counter()
        check = Check(name=f"backend {name}", ok=False)
        try:
            backend = kind()
            backend.load(model.weights)
            found = trace(backend, model)
        except (BackendUnavailable, BadWeights) as error:
            check.required, check.detail = False, f"unavailable: {error}"
        except Exception as error:
            check.detail = f"{type(error).__name__}: {error}"
        else:
            loaded.append(backend)
            truth = found if truth is None else truth
            error = float(np.sqrt(np.mean((found - truth) ** 2)) / truth.std())
            limit = SIMULATED_BUDGET if kind.info.simulated else BUDGET[model.weights.precision]
            check.ok = bool(np.isfinite(found).all()) and error <= limit
            what = "simulated; " if kind.info.simulated else ""
            check.detail = f"{what}error {error:.1e} of {limit:.0e} allowed"
        check.seconds = round(time.perf_counter() - started, 3)
        checks.append(check)
    if truth is None:
        checks.append(Check(name="backends", ok=False, detail="none works"))
    return checks, loaded


def until_eof() -> Iterator[None]:
    """Again and again, until the standard input is closed."""
    while not select.select([sys.stdin], [], [], 0.5)[0]:
        yield


def main(arguments: list[str]) -> int:
    silence.switch_off_telemetry()
    logging.disable(logging.WARNING)
    model = Store().open("embedded")
    checks, loaded = compare(model)
    if "--until-eof" in arguments:
        for _ in until_eof():
            for backend in loaded:
                if not backend.info.simulated:
                    backend.decode(np.zeros(1, np.int32), [State(model.weights.config)])
    for backend in loaded:
        backend.close()
    print(msgspec.json.encode(checks).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
