"""Orbax asks `Interval` when to save: by steps, by time, on notice, before a deadline."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import pytest

from outlast.errors import Preempted
from outlast.integrations.orbax import Interval
from outlast.testing import FakeClock


class Manager:
    """What Orbax's CheckpointManager does around a policy."""

    def __init__(self, policy: Interval, clock: FakeClock, cost_s: float = 0.0) -> None:
        self.policy, self.clock, self.cost_s = policy, clock, cost_s
        self.saved: list[int] = []
        self.waited = 0

    def save(self, step: int, *, is_saving: bool = False, preempted: bool = False) -> bool:
        previous = [SimpleNamespace(step=one) for one in self.saved]
        context = SimpleNamespace(is_saving_in_progress=is_saving, reached_preemption=preempted)
        if self.policy.should_save(SimpleNamespace(step=step), previous, context=context):
            self.saved.append(step)
            self.clock.now_s += self.cost_s
            return True
        return False

    def latest_step(self) -> int | None:
        return self.saved[-1] if self.saved else None

    def wait_until_finished(self) -> None:
        self.waited += 1


def walk(manager: Manager, steps: range, step_s: float = 1.0) -> None:
    for step in steps:
        manager.clock.now_s += step_s
        manager.save(step)
        manager.policy.boundary(manager)


def test_every_so_many_steps() -> None:
    clock = FakeClock()
    manager = Manager(Interval(10, clock=clock), clock)
    walk(manager, range(1, 36))
    assert manager.saved == [11, 21, 31]


def test_a_restarted_program_counts_from_the_last_save() -> None:
    clock = FakeClock()
    manager = Manager(Interval(10, clock=clock), clock)
    manager.saved = [20]
    walk(manager, range(25, 36))
    assert manager.saved == [20, 30]


def test_the_interval_follows_from_what_a_save_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTLAST_MTBF", "15min")
    clock = FakeClock()
    manager = Manager(Interval("auto", clock=clock), clock, cost_s=2.0)
    walk(manager, range(1, 400))
    first, second, third = manager.saved[:3]
    assert first <= 3
    assert 98 <= second - first <= 100  # at most 2 % of overhead
    assert third - second == second - first


def test_none_is_due_while_one_is_under_way() -> None:
    clock = FakeClock()
    manager = Manager(Interval("5s", clock=clock), clock)
    manager.save(0)
    clock.now_s += 6
    assert not manager.save(1, is_saving=True)
    assert manager.save(2)


def test_a_notice_saves_and_leaves() -> None:
    clock = FakeClock()
    with pytest.raises(Preempted) as left, Interval("10h", clock=clock) as interval:
        manager = Manager(interval, clock)
        walk(manager, range(1, 5))
        os.kill(os.getpid(), signal.SIGTERM)
        walk(manager, range(5, 9))
    assert manager.saved == [5]
    assert manager.waited == 1
    assert left.value.code == 85


def test_a_preemption_that_orbax_has_heard_of() -> None:
    clock = FakeClock()
    manager = Manager(Interval("10h", clock=clock), clock)
    assert manager.save(1, preempted=True)
    with pytest.raises(Preempted, match="preemption"):
        manager.policy.boundary(manager)


def test_the_last_save_before_a_deadline() -> None:
    clock = FakeClock()
    interval = Interval("10h", deadline=clock.wall() + 100, clock=clock)
    manager = Manager(interval, clock)
    with pytest.raises(Preempted, match="deadline"):
        walk(manager, range(1, 200))
    assert 90 <= manager.saved[-1] < 100
