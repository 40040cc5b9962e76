"""The plan of an attempt's time: pure."""

import math

import pytest

from outlast.policy.restart import Cause
from outlast.supervise.window import Window, plan


def planned(**given):
    return plan(**{"wall_s": 1000.0, "now_s": 50.0, "time_s": None, "grace_s": None, "job_deadline": None, **given})


def test_without_time_nothing_is_planned():
    assert planned() == Window()
    assert planned(grace_s=5.0).grace_s == 5.0


def test_time_and_the_default_grace():
    window = planned(time_s=30.0)
    assert (window.deadline, window.notice_s, window.kill_s) == (1030.0, 70.0, 80.0)
    assert window.cause is Cause.DEADLINE
    assert window.grace_s == math.inf, "a notice that comes earlier does not hasten the kill"


@pytest.mark.parametrize(("grace_s", "notice_s"), [(5.0, 75.0), (20.0, 65.0), (None, 70.0)])
def test_grace_is_at_most_half_the_time(grace_s, notice_s):
    assert planned(time_s=30.0, grace_s=grace_s).notice_s == notice_s


def test_the_earlier_deadline_counts():
    ours = planned(time_s=30.0, job_deadline=1031.0)
    assert (ours.deadline, ours.cause) == (1030.0, Cause.DEADLINE)
    jobs = planned(time_s=30.0, job_deadline=1029.0)
    assert (jobs.deadline, jobs.cause) == (1029.0, Cause.OUTSIDE)
    alone = planned(job_deadline=1100.0)
    assert (alone.deadline, alone.notice_s, alone.cause) == (1100.0, 140.0, Cause.OUTSIDE)
