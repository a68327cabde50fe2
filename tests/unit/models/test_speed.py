"""What a start waits for: the world vocabulary, the first encoding, and mapping a model."""

import time

import pytest

from assistant.models.packed import load_packed, save_packed
from assistant.models.quantize import pack
from assistant.models.tokenizer import Tokenizer
from assistant.models.vocabulary import world_vocabulary_file
from backends.base import Weights
from tests.unit.models.files import small_tensors

pytestmark = pytest.mark.bench


def best_of(count: int, work) -> float:
    """Seconds; the best, because other programs only ever make it slower."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def test_world_vocabulary_is_ready_within_150_ms():
    seconds = best_of(5, lambda: Tokenizer.from_file(world_vocabulary_file()).encode("a"))
    print(f"world vocabulary: {1000 * seconds:.0f} ms")
    assert seconds < 0.150


def test_encoding_takes_over_a_megabyte_a_second():
    tokenizer = Tokenizer.from_file(world_vocabulary_file())
    text = world_vocabulary_file().read_bytes()
    rate = len(text) / best_of(3, lambda: tokenizer.encode(text)) / 1e6
    print(f"encoding: {rate:.1f} MB/s")
    assert rate > 1


def test_mapping_takes_milliseconds(tmp_path):
    save_packed(tmp_path / "m", pack(Weights(small_tensors(), "fp32"), "int8"))
    seconds = best_of(5, lambda: load_packed(tmp_path / "m"))
    print(f"mapping: {1000 * seconds:.1f} ms")
    assert seconds < 0.010
