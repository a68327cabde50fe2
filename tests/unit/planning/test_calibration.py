"""Laws recover what made the points, predictions interpolate, and a foreign or damaged file counts as none."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from assistant.meter.power import Found
from assistant.models.store import Store
from assistant.planning import calibrate as calibrating
from assistant.planning import calibration
from assistant.planning.calibrate import SHAPES, Wattmeter, calibrate, random_weights, shape, tasks
from assistant.planning.calibration import BUSY, PREFILL_CHUNK, Calibration, Point, Predictor
from assistant.planning.survey import Question, survey
from backends.base import State
from backends.census import pass_bytes, pass_macs
from backends.reference import ReferenceBackend

TRUTH = {1: (20e-6, 9e-6, 1 / 20e9), PREFILL_CHUNK: (50e-6, 80e-6, 1 / 150e9)}
UNSEEN = shape(10, 320, 6144)


def true_seconds(config, tokens: int, batch: int) -> float:
    fixed, per_layer, per_unit = TRUTH[tokens]
    moved, macs = pass_bytes(config, tokens, batch, "int8"), pass_macs(config, tokens, batch)
    return fixed + per_layer * config.layers + per_unit * (moved if tokens == 1 else macs)


def made(noise: float = 0.0, seed: int = 0, model: str = "") -> Calibration:
    rng, points = np.random.default_rng(seed), []
    for config in SHAPES:
        for tokens, batch in ((1, 1), (1, BUSY), (PREFILL_CHUNK, 1)):
            seconds = true_seconds(config, tokens, batch) * (1 + noise * rng.standard_normal())
            points.append(Point(
                backend="cpu", precision="int8", threads=2, tokens=tokens, batch=batch, layers=config.layers,
                bytes_moved=pass_bytes(config, tokens, batch, "int8"), macs=pass_macs(config, tokens, batch),
                seconds=seconds, p95_s=1.2 * seconds, model=model,
            ))  # fmt: skip
    return Calibration(machine=calibration.fingerprint(), measured_at="2026-11-23", points=points,
                       read_bytes_s={1: [(1000, 5.0), (10**9, 2.0)], 2: [(10**9, 3.0)]})  # fmt: skip


def predict(found: Calibration, config=UNSEEN, tokens=1, batch=1, model=""):
    return Predictor(found).pass_s("cpu", "int8", 2, config, tokens, batch, model)


@pytest.mark.parametrize("tokens", [1, PREFILL_CHUNK])
def test_a_law_recovers_what_made_the_points(tokens):
    median_s, p95_s, same = predict(made(), tokens=tokens)
    assert median_s == pytest.approx(true_seconds(UNSEEN, tokens, 1), rel=1e-6)
    assert p95_s == pytest.approx(1.2 * median_s)
    assert not same


def test_a_law_survives_noise_and_never_promises_less_than_nothing():
    for seed in range(30):
        noisy = made(noise=0.05, seed=seed)
        assert predict(noisy)[0] == pytest.approx(true_seconds(UNSEEN, 1, 1), rel=0.25)
        assert predict(noisy, shape(1, 64, 300))[0] >= 0


def test_more_conversations_lie_between_one_and_the_measured_batch():
    seconds = [predict(made(), batch=n)[0] for n in (1, 2, 4, BUSY, 2 * BUSY)]
    assert seconds == sorted(seconds)
    assert seconds[3] == pytest.approx(true_seconds(UNSEEN, 1, BUSY), rel=1e-6)


def test_a_long_prompt_is_several_chunks():
    assert predict(made(), tokens=4 * PREFILL_CHUNK)[0] == pytest.approx(4 * predict(made(), tokens=PREFILL_CHUNK)[0])


def test_a_model_that_was_measured_itself_needs_no_law():
    found = made()
    own = Point(backend="cpu", precision="int8", threads=2, tokens=1, batch=1, layers=10, bytes_moved=1, macs=1,
                seconds=0.5, p95_s=0.7, model="sha")  # fmt: skip
    known = Calibration(machine=found.machine, measured_at="", points=[*found.points, own])
    assert predict(known, model="sha") == (0.5, 0.7, True)
    assert predict(known, model="another")[0] < 0.1


def test_what_was_not_measured_is_not_predicted():
    predictor = Predictor(made())
    assert predictor.pass_s("onnx", "int8", 2, UNSEEN) is None
    assert predictor.pass_s("cpu", "int8", 7, UNSEEN) is None


def test_bandwidth_is_the_one_of_about_as_many_bytes():
    found = made()
    assert found.bandwidth_bytes_s(900) == 5.0
    assert found.bandwidth_bytes_s(5 * 10**8) == 3.0
    assert found.bandwidth_bytes_s(5 * 10**8, threads=1) == 2.0


def test_the_file_survives_and_a_foreign_or_damaged_one_counts_as_none(tmp_path):
    file = tmp_path / "deep" / "calibration.json"
    assert calibration.load(file) is None
    calibration.save(made(), file)
    assert predict(calibration.load(file))[0] == predict(made())[0]
    foreign = Calibration(machine="another processor", measured_at="")
    calibration.save(foreign, file)
    assert calibration.load(file) is None
    file.write_text("{ not json")
    assert calibration.load(file) is None


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "int4"])
def test_random_weights_are_a_model_that_computes(precision):
    config = shape(2, 64, 300)
    backend = ReferenceBackend()
    backend.load(random_weights(config, precision))
    assert np.isfinite(backend.decode(np.zeros(1, np.int32), [State(config)]).logits).all()


class FakeSensor:
    """5 W idle; 12 W while somebody works; `work_s` of a fake clock pass at each piece of work."""

    name, covers = "fake", "a fake machine"

    def __init__(self):
        self.now_s, self.joules = 0.0, 0.0

    def clock_s(self) -> float:
        return self.now_s

    def energy_j(self, now_s: float) -> float:
        assert now_s == self.now_s
        return self.joules

    def passes(self, seconds: float, watts: float) -> None:
        self.now_s, self.joules = self.now_s + seconds, self.joules + seconds * watts


def test_power_is_what_work_adds_to_the_idle_machine(monkeypatch):
    sensor = FakeSensor()
    monkeypatch.setattr(calibrating.time, "sleep", lambda seconds: sensor.passes(seconds, 5.0))
    meter = Wattmeter(lambda: Found(sensor, ()), sensor.clock_s)
    assert meter.idle_w == pytest.approx(5.0)
    result, watts = meter.over(lambda: sensor.passes(0.2, 12.0) or "done")
    assert (result, watts) == ("done", pytest.approx(7.0))
    assert meter.covers == "fake: a fake machine, above idle"


def test_without_a_sensor_there_is_no_power():
    meter = Wattmeter(lambda: Found(None, ("none",)), idle_s=0)
    assert meter.over(lambda: 3) == (3, None)
    assert made().watts("cpu", "int8", 2) is None


def test_measured_power_is_what_plans_rest_on(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    found = made()
    points = [msgspec.structs.replace(p, watts=9.0) for p in found.points]
    options = survey(Question([Store().show("embedded")], backend="cpu", precision="int8"),
                     Predictor(msgspec.structs.replace(found, points=points, sensor="RAPL")))  # fmt: skip
    figure = options[0].figures["watts"]
    assert figure.value == pytest.approx(9.0)
    assert "power measured here (RAPL)" in figure.note


def test_calibrating_measures_every_setting_it_was_given():
    said = []
    wanted = tasks([], [], [shape(1, 64, 300), shape(2, 64, 300)], ["reference"], ["int8"])
    found = calibrate(wanted, said.append)
    assert len(said) == len(wanted) == 2
    assert {(p.tokens, p.batch) for p in found.points} == {(1, 1), (1, BUSY), (PREFILL_CHUNK, 1)}
    assert all(0 < p.seconds <= p.p95_s for p in found.points)
    assert Predictor(found).pass_s("reference", "int8", 1, shape(3, 64, 300))[0] > 0
