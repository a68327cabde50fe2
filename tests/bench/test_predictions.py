"""Predicted against measured time per token on shapes that the calibration has not seen, and on the embedded model.

`make bench ARGS=tests/bench/test_predictions.py`. BENCH_LARGE=1 adds the 0.1B shape (190 million weights).
"""

from __future__ import annotations

import os
import statistics

import pytest

from assistant.models.store import Store
from assistant.planning import devices
from assistant.planning.calibrate import SHAPES, calibrate, random_weights, shape, tasks, thread_counts, time_pass
from assistant.planning.calibration import PREFILL_CHUNK, Predictor
from assistant.planning.survey import config_of

pytestmark = pytest.mark.bench
HELD_OUT = [shape(10, 320, 6144), shape(6, 640, 12288)] + [shape(12, 768, 65536)] * bool(os.environ.get("BENCH_LARGE"))
ROUNDS = 3
GOAL = 0.15


def test_predictions():
    store = Store()
    embedded = store.show("embedded")
    precisions = ("int8", "int4", "fp32") if os.environ.get("BENCH_ALL") else ("int8", "int4")
    calibration = calibrate(tasks([lambda p: store.open("embedded", p)], [embedded], SHAPES, precisions=precisions))
    predictor = Predictor(calibration)
    errors: dict[str, list[float]] = {}
    print(f"\n{calibration.machine}; ms, predicted and measured (median of {ROUNDS} rounds)")
    for name, kind in devices.kinds().items():
        if kind.info.simulated or devices.unavailable(name):
            continue
        for precision in (p for p in precisions if p in kind.info.precisions):
            for label, config, open_weights, model in held_out(store, embedded, precision):
                if name == "reference" and config.vocab > 20000:
                    continue
                backend = devices.make(name, {"threads": 1})
                backend.load(open_weights())
                for threads in thread_counts() if devices.takes_threads(kind) else (1,):
                    if devices.takes_threads(kind):
                        backend.set_threads(threads)
                    for tokens in (1, PREFILL_CHUNK):
                        predicted = predictor.pass_s(name, precision, threads, config, tokens, 1, model)[0]
                        measured = statistics.median(time_pass(backend, config, tokens, 1)[0] for _ in range(ROUNDS))
                        error = predicted / measured - 1
                        kind_of = "decode" if tokens == 1 else "prefill"
                        errors.setdefault(f"{name} {kind_of}", []).append(abs(error))
                        print(f"{name:10} {precision:5} {threads} thr  {label:22} {kind_of:8} {predicted * 1e3:8.3f} "
                              f"{measured * 1e3:8.3f}  {error:+.0%}")  # fmt: skip
                backend.close()
    for what, found in errors.items():
        print(f"{what:18} median error {statistics.median(found):.1%}, worst {max(found):.0%}, n = {len(found)}")
    decode = [e for what, found in errors.items() if what.endswith("decode") for e in found]
    print(f"all decode: median error {statistics.median(decode):.1%} (goal {GOAL:.0%})")
    assert decode


def held_out(store, embedded, precision):
    for config in HELD_OUT:
        label = f"{config.layers} x {config.width}, V {config.vocab}"
        yield label, config, lambda c=config: random_weights(c, precision), ""
    yield "embedded", config_of(embedded), lambda: store.open("embedded", precision).weights, embedded.source.sha256
