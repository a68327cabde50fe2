"""What is particular to the ONNX Runtime backend: memory in place, the cache, the choice of threads, the session."""

from __future__ import annotations

import json

import numpy as np
import pytest

from assistant.models.quantize import pack
from backends.base import BackendUnavailable, State, Weights, Workload
from backends.census import pass_bytes
from backends.onnx import PREFILL_CHUNK, OnnxBackend, cache, graph, loading
from backends.onnx.decoder import inputs_of
from backends.onnx.layout import external_tensors
from backends.onnx.session import OnnxError, OnnxSession
from backends.reference import ReferenceBackend
from tests.contract.budgets import relative_error
from tests.synthetic import TINY, synthetic_tensors, synthetic_weights


@pytest.fixture(scope="module")
def weights() -> Weights:
    return synthetic_weights(TINY, seed=3)


def loaded(weights: Weights, **options) -> OnnxBackend:
    backend = OnnxBackend(**{"threads": 1} | options)
    backend.load(weights)
    return backend


def logits(backend, length: int = 12) -> np.ndarray:
    return backend.prefill(np.arange(length), State(TINY)).logits


# --- memory ---


@pytest.mark.parametrize("time", [1, 2, 9])
def test_state_updated_in_place_is_the_same_as_beside(weights, time):
    """The graph promises that an output of the state may lie where its input does."""
    decoder = loaded(weights)._decoder
    rng = np.random.default_rng(1)
    state = State(TINY, (rng.standard_normal(TINY.state_floats) * 0.1).astype(np.float32))
    tokens = rng.integers(0, TINY.vocab, (1, time))
    views = inputs_of(state.shift_tmix[:, None], state.wkv[:, None], state.shift_cmix[:, None])
    inputs = {name: array.copy() for name, array in views.items()}
    beside = decoder.session.run({"tokens": tokens, **inputs})
    address = state.data.ctypes.data
    got = decoder(tokens, [state])
    assert np.array_equal(got, beside["logits"])
    assert state.data.ctypes.data == address
    for name, array in views.items():
        assert np.array_equal(array, beside[name + ".out"]), name
        assert not np.array_equal(array, inputs[name]), name


def test_one_state_after_the_other_and_back(weights):
    """The decoder keeps the last state bound."""
    backend, fresh = loaded(weights), loaded(weights)
    mine, other = State(TINY), State(TINY)
    for token in (3, 5, 7):
        got = backend.decode(np.array([token]), [mine]).logits
        kept = got.copy()
        backend.decode(np.array([token + 1]), [other])
        assert np.array_equal(got, kept), "logits that were handed out have changed"
    replayed = State(TINY)
    for token in (3, 5, 7):
        again = fresh.decode(np.array([token]), [replayed]).logits
    assert np.array_equal(again, got)
    assert np.array_equal(replayed.data, mine.data)


def test_stored_int4_bytes_are_used_as_they_are(weights):
    packed = pack(weights, "int4")
    tensors = external_tensors(packed)
    for name in ("head.weight", "blocks.1.att.key.weight", "blocks.0.ffn.value.weight"):
        assert np.shares_memory(tensors[name], packed.raw(name).q)
    assert np.shares_memory(tensors["emb.weight"], packed.raw("emb.weight").q)


def test_a_prompt_longer_than_a_run(weights):
    backend, reference = loaded(weights), ReferenceBackend()
    reference.load(weights)
    assert relative_error(logits(backend, PREFILL_CHUNK + 3), logits(reference, PREFILL_CHUNK + 3)) < 1e-4


def test_the_graph_stays_small(weights):
    """Every node costs half a microsecond or more per token."""
    nodes = graph.build_model(pack(weights, "int4")).graph.node
    assert len(nodes) / TINY.layers <= 72


def test_the_bill_counts_the_scales_that_the_operators_want(weights):
    for precision in ("int8", "int4"):
        work = Workload(precision=precision)
        assert OnnxBackend().estimate(TINY, work).bytes_moved > pass_bytes(TINY, 1, 1, precision)
    wide, narrow = (OnnxBackend().estimate(TINY, Workload(precision=p)).bytes_moved for p in ("bf16", "fp32"))
    assert wide == narrow, "other formats are expanded to float32"


# --- the cache ---


def test_the_second_start_builds_nothing(weights, tmp_path, monkeypatch):
    first = logits(loaded(weights, cache_dir=tmp_path))
    monkeypatch.setattr(graph, "build_model", None)
    assert np.array_equal(logits(loaded(weights, cache_dir=tmp_path)), first)
    (entry,) = tmp_path.iterdir()
    assert entry.stat().st_mode & 0o077 == 0
    assert (entry / "graph.onnx").stat().st_size < weights.nbytes / 2, "matrices stay in the model store"


def test_another_model_another_precision_and_another_runtime_have_entries_of_their_own(weights, tmp_path, monkeypatch):
    other = synthetic_weights(TINY, seed=4)
    results = [logits(loaded(w, cache_dir=tmp_path)) for w in (weights, other, pack(weights, "int8"))]
    assert not np.array_equal(results[0], results[1])
    assert len(list(tmp_path.iterdir())) == 3
    monkeypatch.setattr(loading, "VERSION", "0.0")
    loaded(weights, cache_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("damage", [b"", b"not a graph", None])
def test_a_damaged_graph_is_built_anew(weights, tmp_path, damage):
    first = logits(loaded(weights, cache_dir=tmp_path))
    (file,) = tmp_path.glob("*/graph.onnx")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2] if damage is None else damage)
    assert np.array_equal(logits(loaded(weights, cache_dir=tmp_path)), first)
    assert file.read_bytes() == content


def test_no_cache_is_no_obstacle(weights, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert logits(loaded(weights, cache_dir=tmp_path / "file")).shape == (TINY.vocab,)
    nameless = Weights(synthetic_tensors(TINY), "fp32")
    loaded(nameless, cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache").exists(), "weights without a hash could be anybody's"


def test_old_entries_go(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "KEPT", 2)
    for version in "abcd":
        cache.Cache(tmp_path, weights, version).write_graph(b"graph")
    assert len(list(tmp_path.iterdir())) == 2


# --- threads ---


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [({1: 4, 2: 2, 4: 1}, 4), ({1: 4, 2: 3.9, 4: 1}, 1), ({1: 4, 2: 8, 4: 9}, 1), ({1: 4, 2: 2, 4: 1.99}, 2)],
)
def test_more_threads_only_while_they_pay(weights, tmp_path, monkeypatch, seconds, chosen):
    monkeypatch.setattr(loading, "SMALL_BYTES", 0)
    monkeypatch.setattr(loading, "available_threads", lambda: list(seconds))
    monkeypatch.setattr(loading, "_duel", lambda *decoders: [seconds[d.session.threads] for d in decoders])
    assert loaded(weights, threads=None, cache_dir=tmp_path).threads == chosen
    (note,) = tmp_path.glob("*/threads.json")
    measured = json.loads(note.read_text())
    assert measured["threads"] == chosen
    assert measured["seconds_per_token"]["1"] == 4
    monkeypatch.setattr(loading, "fastest", None)  # the second start does not measure
    assert loaded(weights, threads=None, cache_dir=tmp_path).threads == chosen
    assert loaded(weights, threads=3, cache_dir=tmp_path).threads == 3
    monkeypatch.undo()
    monkeypatch.setattr(loading, "SMALL_BYTES", 0)
    for bad in ('{"threads": "many"}', "[]", "", json.dumps(measured | {"measured_at": 0, "threads": 77})):
        note.write_text(bad)
        assert loaded(weights, threads=None, cache_dir=tmp_path).threads in loading.available_threads()
        assert json.loads(note.read_text())["threads"] != 77, "measured anew: it is out of date"


def test_the_probe_really_measures(weights):
    one, other = loaded(weights)._decoder, loaded(weights)._decoder
    assert all(0 < seconds < 1 for seconds in loading._duel(one, other))
    assert loading.available_threads()[0] == 1


# --- what can go wrong ---


def test_errors_say_what_was_refused(tmp_path, weights, monkeypatch):
    with pytest.raises(OnnxError, match=r"cannot load .*none\.onnx"):
        OnnxSession(tmp_path / "none.onnx")
    session = loaded(weights)._decoder.session
    with pytest.raises(OnnxError, match="a run failed"):
        session.run({"tokens": np.zeros((1, 1), np.int64)})
    with pytest.raises(ValueError, match="'tokens' is not contiguous"):
        session.bind({"tokens": np.zeros((4, 4), np.int64)[:, :2]}, {})
    monkeypatch.setattr("backends.onnx.importlib.util.find_spec", lambda name: None)
    with pytest.raises(BackendUnavailable, match="onnxruntime is not installed"):
        OnnxBackend()
