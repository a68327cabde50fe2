"""`python -m backends`: every installed backend computes a small synthetic model, compared with the reference."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

from backends import installed
from backends.base import Backend, BackendUnavailable, State, Weights
from backends.reference import ReferenceBackend
from backends.synthetic import TINY, in_int8, synthetic_weights

LIMIT, SIMULATED_LIMIT = {"fp32": 1e-4, "int8": 3e-2}, 0.15
"""RMS error of the logits over the deviation of the reference's with the same stored weights, as in tests/contract:
the rounding of activations. A simulated chip adds its noise."""


def trace(backend: Backend, weights: Weights) -> np.ndarray:
    """f32[3, V]: the logits after a prompt and after two further tokens."""
    backend.load(weights)
    state = State(TINY)
    rows = [backend.prefill(np.arange(1, 12, dtype=np.int32), state).logits.copy()]
    rows += [backend.decode(np.array([token], np.int32), [state]).logits[0].copy() for token in (20, 30)]
    return np.stack(rows)


def check(kind: type[Backend], precision: str) -> tuple[str, str]:
    """(PASS | FAIL | UNAVAILABLE, what was found)."""
    weights = synthetic_weights(TINY)
    weights = in_int8(weights) if precision == "int8" else weights
    try:
        backend = kind()
    except BackendUnavailable as error:
        return "UNAVAILABLE", error.reason
    try:
        truth, found = trace(ReferenceBackend(), weights), trace(backend, weights)
    except Exception as error:  # a plug-in may fail in any way
        return "FAIL", f"{type(error).__name__}: {error}"
    finally:
        backend.close()
    error = float(np.sqrt(np.mean((found - truth) ** 2)) / truth.std())
    limit = SIMULATED_LIMIT if kind.info.simulated else LIMIT[precision]
    told = f"error {error:.1e} of {limit:g} allowed{'; simulated' if kind.info.simulated else ''}"
    return "PASS" if error <= limit else "FAIL", told


def checks() -> Iterator[tuple[str, str, str, str]]:
    """(name, precision, verdict, detail) of each backend at float32 and int8, as far as it takes them."""
    for name, kind in installed.kinds().items():
        for precision in LIMIT:
            if precision in kind.info.precisions:
                yield name, precision, *check(kind, precision)
    for name, why in installed.broken().items():
        yield name, "", "FAIL", f"cannot be loaded: {why}"


def main() -> int:
    """0 if everything that is available here computes what it should."""
    failed = False
    for name, precision, verdict, detail in checks():
        print(f"{verdict:11} {name:14} {precision:5} {detail}", flush=True)
        failed |= verdict == "FAIL"
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
