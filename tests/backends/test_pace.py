"""The limit of the rate, by a clock that only moves when somebody sleeps."""

from outlast.backends.pace import Pace
from outlast.testing.clock import FakeClock


def test_bytes_take_as_long_as_the_rate_says():
    clock = FakeClock()
    pace = Pace(clock, 1000)
    for _ in range(5):
        pace.take(500)
    assert round(clock.now_s, 6) == 2.0  # the first piece goes at once; each waits for those before it


def test_time_without_writing_is_not_saved_up():
    clock = FakeClock()
    pace = Pace(clock, 1000)
    clock.now_s = 100.0
    pace.take(1000)
    pace.take(1000)
    pace.take(1000)
    assert round(clock.now_s, 6) == 102.0


def test_without_a_limit_nobody_sleeps():
    clock = FakeClock()
    Pace(clock, None).take(1 << 40)
    assert clock.slept_s == []


def test_a_lifted_limit_is_heard_by_who_sleeps_already():
    class Lifting(FakeClock):
        def sleep(self, seconds_s):
            super().sleep(seconds_s)
            pace.lift()

    clock = Lifting()
    pace = Pace(clock, 1)
    pace.take(1000)
    pace.take(1000)
    assert len(clock.slept_s) == 1
    assert clock.slept_s[0] <= 0.1
