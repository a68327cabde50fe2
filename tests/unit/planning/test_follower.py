"""The watch over a running plan: what is a reason to change, what is not, and what happens when nothing fits."""

from __future__ import annotations

import msgspec
import pytest

from assistant import wire
from assistant.config import Config, Plan
from assistant.daemon.replan import AGREEING_CHECKS, DWELL_S, Follower
from assistant.errors import BackendError, ConfigError
from assistant.models.store import Store
from assistant.planning import calibration
from assistant.planning.feedback import Feedback
from assistant.solver import policies
from tests.unit.planning.test_calibration import made

GB = 10**9


class World:
    """Power supply, free memory and clock of a machine that two thread counts were measured on."""

    def __init__(self, tmp_path):
        self.free, self.now, self.went = 8 * GB, 0.0, []
        self.supply = tmp_path / "supply"
        (self.supply / "AC").mkdir(parents=True)
        (self.supply / "AC" / "type").write_text("Mains")
        (self.supply / "BAT0").mkdir()
        (self.supply / "BAT0" / "type").write_text("Battery")
        self.plug(True)
        found = made()
        one = [msgspec.structs.replace(p, threads=1, seconds=1.4 * p.seconds) for p in found.points]
        calibration.save(msgspec.structs.replace(found, points=[*found.points, *one]))
        self.config = Config(plan=Plan(power_supply=str(self.supply), keep_free_mb=500))
        self.follower = self.start()

    def start(self) -> Follower:
        return Follower(self.config, Store(), lambda: self.free, lambda: self.now)

    def plug(self, online: bool) -> None:
        (self.supply / "AC" / "online").write_text(str(int(online)))

    async def go_over(self, option) -> None:
        self.went.append(option.name)

    async def look(self, times: int = AGREEING_CHECKS) -> None:
        for _ in range(times):
            await self.follower.check(self.go_over)


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    made_here = World(tmp_path)
    assert made_here.follower.active.traits["where"] == "2 threads"
    return made_here


def write_policy(name: str, text: str) -> None:
    policies.own_folder().mkdir(parents=True, exist_ok=True)
    (policies.own_folder() / f"{name}.toml").write_text(text)


async def test_a_quiet_machine_changes_nothing(world):
    await world.look(20)
    assert world.went == []
    assert not world.follower.changes


async def test_the_battery_changes_the_policy_once_two_looks_agree(world):
    write_policy("battery", "[limits]\nmax_threads = 1\n")
    world.plug(False)
    await world.look(AGREEING_CHECKS - 1)
    assert world.went == []
    await world.look(1)
    assert ["1 thread" in name for name in world.went] == [True]
    assert world.follower.changes[-1].reason == "running on the battery now"
    await world.look(10)
    assert len(world.went) == 1
    world.plug(True)
    await world.look()
    assert "2 threads" in world.went[-1]


async def test_a_plug_that_is_back_at_once_was_no_reason(world):
    write_policy("battery", "[limits]\nmax_threads = 1\n")
    for _ in range(5):
        world.plug(False)
        await world.look(1)
        world.plug(True)
        await world.look(1)
    assert world.went == []


async def test_a_wish_is_followed_at_the_next_look_and_outlives_the_battery(world):
    world.follower.ask(wire.PlanRequest(policy="quiet"))
    await world.look(1)
    assert "1 thread" in world.went[-1]
    assert world.follower.reason == "asked for"
    world.plug(False)
    await world.look()
    world.plug(True)
    await world.look()
    assert world.follower.plan.policy.name == "quiet"


async def test_a_wish_that_nothing_meets_is_refused_and_changes_nothing(world):
    with pytest.raises(ConfigError, match="max_ms_per_token"):
        world.follower.ask(wire.PlanRequest(policy="fast", limits={"max_ms_per_token": 1e-9}))
    await world.look(3)
    assert world.went == []
    assert world.follower.plan.policy.name == "private"


async def test_short_memory_asks_for_less_and_says_when_less_is_not_to_be_had(world):
    active_mb = world.follower.active.value("memory_mb")
    world.free = int((500 - active_mb * 0.2) * 1e6)  # a fifth of what the model takes is missing
    await world.look()
    assert len(world.went) == 1
    assert world.follower.active.value("memory_mb") <= 0.8 * active_mb
    assert world.follower.changes[-1].reason == "memory is short"
    world.free = 8 * GB
    await world.look()
    assert world.follower.active.value("memory_mb") == active_mb
    world.free = 0
    await world.look()
    assert "memory is short, but" in world.follower.note
    assert len(world.went) == 2, "a reply that is dearer than wanted is worth more than none"


async def test_a_machine_that_is_slow_for_all_is_no_reason_to_change(world):
    world.now = 2 * DWELL_S
    for _ in range(10):
        world.follower.learn([(1, 3 * world.follower.active.settings["predicted_s"])] * 30)
    await world.look(5)
    assert world.went == []
    assert world.follower.reason == "replies are slower than planned", "it was thought about"


async def test_another_option_that_is_known_to_be_faster_takes_over(world):
    settings = world.follower.active.settings
    one = Feedback.key(settings["source"], settings["backend"], settings["precision"], 1)
    predicted_s = settings["predicted_s"] * 1.4
    world.follower.feedback.add(one, predicted_s, predicted_s, 30)  # as it was while it ran
    for _ in range(10):
        world.follower.learn([(1, 3 * settings["predicted_s"])] * 30)  # somebody else's program holds a core now
    await world.look(3)
    assert world.went == [], "not so soon after a change"
    world.now = 2 * DWELL_S
    await world.look()
    assert "1 thread" in world.went[-1]
    assert world.follower.changes[-1].reason == "replies are slower than planned"
    await world.look(10)
    assert len(world.went) == 1


async def test_a_device_that_does_not_come_up_leaves_the_present_one(world):
    write_policy("other", '[limits]\nbackends = ["reference"]\n')
    calibration.calibration_file().unlink()
    world.follower = world.start()
    before = world.follower.active.name

    async def fails(_option):
        raise BackendError("the backend 'reference' cannot be used", why="it is broken")

    world.follower.ask(wire.PlanRequest(policy="other"))
    await world.follower.check(fails)
    assert world.follower.active.name == before
    assert "does not come up" in world.follower.note
    assert not world.follower.changes


def test_a_start_without_memory_for_anything_is_refused_with_the_reason(world):
    world.free = 0
    with pytest.raises(ConfigError, match="memory free now"):
        world.start()


def test_a_backend_that_fails_at_the_start_is_left_out(world):
    calibration.calibration_file().unlink()
    follower = world.start()
    first = follower.active.traits["backend"]
    second = follower.broken(first).traits["backend"]
    assert second != first
    assert follower.active.traits["backend"] == second
