"""Weights that leave the memory and come back: the same words, on every backend; and what the watchdog asks."""

from __future__ import annotations

import asyncio
import mmap
import socket
import threading
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest

from assistant.daemon import notify
from assistant.daemon.resident import Resident
from assistant.engine import Engine, Generation
from assistant.models.packed import load_packed, save_packed
from backends.base import BackendUnavailable, State
from tests.synthetic import TINY, synthetic_weights

TOKENS = np.arange(6, dtype=np.int32)


def resident(name: str = "reference") -> Resident:
    try:
        return Resident(entry_points(group="assistant.backends")[name].load()())
    except BackendUnavailable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", sorted(entry_points(group="assistant.backends").names))
def test_what_comes_back_is_what_was_there(name, tmp_path):
    """Sleep in the middle of a conversation: its state is not the device's, so nothing is lost."""
    save_packed(tmp_path / "w.safetensors", synthetic_weights(TINY))
    weights = load_packed(tmp_path / "w.safetensors")
    device = resident(name)
    device.load(weights)
    awake, slept = State(TINY), State(TINY)
    for state in (awake, slept):
        device.prefill(TOKENS, state)
    before = device.decode(TOKENS[:1], [awake]).logits.copy()
    threads = device.threads
    assert device.release()
    assert device.asleep
    assert not device.release(), "it sleeps already"
    device.probe()
    assert device.asleep, "a look at its health woke it"
    after = device.decode(TOKENS[:1], [slept]).logits
    assert not device.asleep
    assert device.threads == threads
    if device.info.simulated:  # a chip that is programmed anew has drawn other errors, as it would in truth
        assert np.isfinite(after).all()
    else:
        np.testing.assert_array_equal(after, before)
    device.close()
    device.close()


def test_sleep_gives_the_pages_back(tmp_path):
    if not hasattr(mmap, "MADV_DONTNEED"):
        pytest.skip("no madvise here")
    path = tmp_path / "w.safetensors"
    save_packed(path, synthetic_weights(TINY))
    device, weights = resident(), load_packed(path)
    device.load(weights)
    device.prefill(TOKENS, State(TINY))
    for name in weights:
        weights.raw(name).sum()
    assert resident_kb(path) > 0.9 * path.stat().st_size / 1024
    device.release()
    assert resident_kb(path) < 0.2 * path.stat().st_size / 1024


def resident_kb(path: Path) -> int:
    """Rss of the mappings of a file in this process."""
    total, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ")[0]:
            ours = line.endswith(str(path))
        elif ours and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total


def test_a_device_that_computes_no_numbers_is_found_out():
    device = resident()
    device.load(synthetic_weights(TINY))
    device.probe()
    device._device.decode = lambda _tokens, _states: type("Step", (), {"logits": np.full((1, 3), np.nan)})
    with pytest.raises(RuntimeError, match="no finite numbers"):
        device.probe()


def test_the_engine_answers_a_check_after_work_and_after_a_probe():
    device, probed = resident(), []
    device.load(synthetic_weights(TINY))
    engine = Engine(device, probe=lambda: probed.append(1))
    engine.check().result(timeout=10)
    assert probed == [1]
    finished = threading.Event()
    engine.submit(Generation(prompt=[1, 2], state=State(TINY), max_tokens=200,
                             sink=lambda p: finished.set() if p.finish_reason else None))  # fmt: skip
    engine.check().result(timeout=10)
    assert finished.wait(30)
    engine.close()


def test_a_hanging_engine_never_answers_and_a_broken_one_says_so():
    gate, device = threading.Event(), resident()
    device.load(synthetic_weights(TINY))
    hanging = Engine(device, probe=lambda: gate.wait(30) or None)
    check = hanging.check()
    with pytest.raises(TimeoutError):
        check.result(timeout=0.3)
    gate.set()
    check.result(timeout=10)
    hanging.close()

    def broken():
        raise RuntimeError("the device is gone")

    device.load(synthetic_weights(TINY))
    engine = Engine(device, probe=broken)
    with pytest.raises(RuntimeError, match="the device is gone"):
        engine.check().result(timeout=10)
    engine.close()


async def test_the_watchdog_is_fed_only_by_what_has_answered(monkeypatch, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "150000")
        notifier = notify.Notifier()
        assert notifier.watchdog_s == 0.15

        async def told(alive) -> int:
            feeding = asyncio.create_task(notifier.feed_watchdog(alive))
            await asyncio.sleep(0.4)
            feeding.cancel()
            manager.setblocking(False)
            count = 0
            while True:
                try:
                    assert manager.recv(100) == b"WATCHDOG=1"
                except BlockingIOError:
                    return count
                count += 1

        async def well():
            pass

        async def ill():
            raise RuntimeError("no numbers")

        assert await told(well) >= 3
        assert await told(ill) == 0
        assert await told(lambda: asyncio.sleep(60)) == 0


def test_a_watchdog_meant_for_another_process_is_not_ours(monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert notify.Notifier().watchdog_s == 0
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", "1")
    assert notify.passed_socket() is None
