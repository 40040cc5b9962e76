"""A step boundary with nothing due: a few attribute reads, and the clock once if time matters at all."""

from __future__ import annotations

import gc
import sys
import threading
from collections import deque
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import outlast
from outlast.policy import deadline as deadlines
from outlast.run import saver as savers
from outlast.run import scribe
from outlast.run.run import Run
from outlast.run.schedule import Schedule
from outlast.testing import FakeClock

FAR = 1_700_000_000.0 + 1e6
WAYS: dict[str, dict[str, Any]] = {
    "steps": {"every": 1000},
    "time": {"every": "10h"},
    "auto": {"every": "auto"},
    "steps before a deadline": {"every": 1000, "deadline": FAR},
    "time before a deadline": {"every": "10h", "deadline": FAR},
}
TIMELESS = {"steps"}


class CountingClock(FakeClock):
    """Counts how often the main thread reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def monotonic(self) -> float:
        if threading.current_thread() is threading.main_thread():
            self.reads += 1
        return self.now_s


def calls_at_a_boundary(run: Run, loop: Any) -> tuple[list[str], list[str]]:
    """Return the Python functions and the C functions that a boundary calls."""
    python: list[str] = []
    c: list[str] = []

    def heard(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            python.append(frame.f_code.co_name)
        elif event == "c_call":
            c.append(argument.__name__)

    was_on = gc.isenabled()
    gc.disable()  # frameworks have it call functions of their own
    sys.setprofile(heard)
    try:
        run._completed(loop)
    finally:
        sys.setprofile(None)
        if was_on:
            gc.enable()
    return python, c[:-1]  # but for the end of this listening


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("way", WAYS)
def test_the_clock_is_read_once_if_time_matters_and_else_not_at_all(tmp_path: Path, way: str, depth: int) -> None:
    clock = CountingClock()
    counts = set()
    with outlast.Run(tmp_path / "s", {"x": np.zeros(3)}, clock=clock, **WAYS[way]) as run:
        around = [run.range(2, f"loop{number}") for number in range(depth - 1)]
        for loop in around:
            next(loop)
        for _ in run.range(100, "step"):
            counts.add(clock.reads)
            clock.reads = 0
        list(map(list, reversed(around)))
    counts.discard(max(counts))  # of the start
    assert counts <= ({0} if way in TIMELESS else {1})


@pytest.mark.parametrize("in_flight", [False, True], ids=["idle", "a save in flight"])
@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_called_but_the_clock(
    tmp_path: Path, way: str, in_flight: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No lock, no system call: a profiler hears each call of a function that is written in C."""
    writes = threading.Event()
    if in_flight:
        real = savers.Saver._persist
        monkeypatch.setattr(savers.Saver, "_persist", lambda *args: (writes.wait(), real(*args))[1])
    options = {name: value for name, value in WAYS[way].items() if name != "deadline"}
    deadline = {"deadline": outlast.clock.SYSTEM.wall() + 1e6} if "deadline" in WAYS[way] else {}
    with outlast.Run(tmp_path / "s", {"x": np.zeros(3)}, **options, **deadline) as run:
        for step in run.range(3, "step"):
            if step == 0 and in_flight:
                run.save()
            if step == 2:
                loop = run._positions._open[-1]
                assert run._saver.busy is in_flight
                python, c = calls_at_a_boundary(run, loop)
                loop.done -= 1
        writes.set()
    assert c == ([] if way in TIMELESS else ["monotonic"])
    assert len(python) <= 8, python


class Plain:
    """What a schedule says, written down as it is meant: everything worked out at each boundary."""

    def __init__(self, schedule: Schedule, clock: FakeClock) -> None:
        self.schedule, self.clock = schedule, clock
        self.longest_s, self.boundary_s = 0.0, clock.now_s

    def saved(self) -> None:
        self.boundary_s = self.clock.now_s

    def is_due(self, step: int, busy: bool) -> tuple[bool, str | None]:
        schedule, now_s = self.schedule, self.clock.now_s
        self.longest_s = max(self.longest_s, now_s - self.boundary_s)
        self.boundary_s = now_s
        if schedule._deadline_s is not None:
            save_s = schedule._save_s
            if save_s is None:
                save_s = deadlines.assumed_save_s(schedule.size_bytes, schedule._window_s)
            left_s = schedule._deadline_s - now_s
            why = deadlines.last_call(left_s, save_s=save_s, step_s=self.longest_s, margin_s=schedule._margin_s)
            if why is not None:
                return True, why
        plan = schedule.plan
        if plan.steps is not None:
            return step - schedule._last_step >= plan.steps, None
        assert plan.seconds_s is not None
        return now_s - schedule._last_s >= plan.seconds_s and not busy, None


@given(
    every=st.sampled_from([1, 7, "0.3s", "20s", "auto", "30%"]),
    deadline_s=st.one_of(st.none(), st.floats(0.01, 60)),
    latency_s=st.one_of(st.none(), st.floats(0, 5)),
    steps=st.lists(st.tuples(st.sampled_from([0.0, 0.001, 0.1, 1.0, 7.0]), st.booleans()), max_size=60),
)
def test_what_is_worked_out_once_a_save_decides_as_if_it_were_at_each_boundary(
    every: str | int, deadline_s: float | None, latency_s: float | None, steps: list[tuple[float, bool]]
) -> None:
    clock = FakeClock()
    until = None if deadline_s is None else clock.wall() + deadline_s
    schedule = Schedule(every, deadline=until, clock=clock, warn=print)
    schedule.size_bytes = 10_000_000
    saver: Any = SimpleNamespace(blocked_s=deque(), latency_s=deque(), busy=False)
    schedule.saved(0, saver)
    plain = Plain(schedule, clock)
    for step, (took_s, busy) in enumerate(steps, 1):
        clock.now_s += took_s
        saver.busy = busy
        expected = plain.is_due(step, busy)
        assert (schedule.is_due(step, saver), schedule.last_call) == expected
        if expected[1] is not None:
            return
        if expected[0]:
            saver.blocked_s.append(0.01)
            if latency_s is not None:
                saver.latency_s.append(latency_s)
            schedule.saved(step, saver)
            plain.saved()


@pytest.mark.parametrize(("now_s", "is_last"), [(87.9999, False), (88.0001, True), (95.0, True), (200.0, True)])
def test_a_boundary_after_the_last_call_leaves_however_short_the_steps_were(now_s: float, is_last: bool) -> None:
    clock = FakeClock()
    schedule = Schedule(10**9, deadline=clock.wall() + 100.0, clock=clock, warn=print)
    saver: Any = SimpleNamespace(blocked_s=deque([1.0]), latency_s=deque([10.0]), busy=False)
    clock.now_s = 1.0
    schedule.is_due(0, saver)  # one step of a second
    schedule.saved(0, saver)
    clock.now_s = now_s - 0.5
    schedule.saved(1, saver)  # so the time before was no step
    clock.now_s = now_s
    assert schedule.is_due(2, saver) is is_last
    assert (schedule.last_call is not None) is is_last


@pytest.mark.parametrize(("left_s", "is_last"), [(5.0, True), (500.0, False), (None, False)])
@pytest.mark.parametrize("first_s", [None, 20.0, 1000.0])
def test_a_deadline_that_moves_holds_from_the_next_boundary_on(
    first_s: float | None, left_s: float | None, is_last: bool
) -> None:
    clock = FakeClock()
    first = None if first_s is None else clock.wall() + first_s
    schedule = Schedule(10**9, deadline=first, clock=clock, warn=print)
    saver: Any = SimpleNamespace(blocked_s=deque([1.0]), latency_s=deque([10.0]), busy=False)
    schedule.saved(0, saver)
    schedule.move_deadline(None if left_s is None else clock.wall() + left_s)
    clock.now_s += 1.0
    assert schedule.is_due(1, saver) is is_last
    assert (schedule.last_call is not None) is is_last


def test_a_run_leaves_at_the_first_boundary_after_the_last_call(tmp_path: Path) -> None:
    clock = CountingClock()
    done = 0
    with (
        pytest.raises(outlast.Preempted, match="the deadline is"),
        outlast.Run(tmp_path / "s", {"x": 0}, every=10**9, deadline=clock.wall() + 50, clock=clock) as run,
    ):
        for _ in run.steps(1000):
            clock.now_s += 1.0
            done += 1
    assert done == 48  # at 47 there were just the three seconds of an assumed save, a margin and a step


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_over_a_save_is_told_at_the_next_boundary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scribe.Job, "do", lambda _: sys.exit())  # ends a thread silently, before its word is given
    died_at = []

    def work(run: Run) -> None:
        for step in run.steps(5):
            died_at.append(step)
            if step == 1:
                run.save()
            elif step == 2:
                run._saver._scribe._thread.join()

    with (
        pytest.raises(outlast.OutlastError, match="out of memory while saving: the thread outlast-saver died"),
        outlast.Run(tmp_path / "s", {"x": 0}, every=10**9) as run,
    ):
        work(run)
    assert died_at == [0, 1, 2]
