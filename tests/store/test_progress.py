"""How far a run is and when it will be done."""

from __future__ import annotations

import math

import pytest

from outlast.store.history import history
from outlast.store.progress import outlook, progress
from store.histories import T, end, job, journal, placed, record, restored, saved, start, started


def position(*loops):
    return {"open": [{"name": name, "done": done, "total": total} for name, done, total in loops]}


@pytest.mark.parametrize(
    ("loops", "share", "total"),
    [
        ([("step", 250, 1000)], 0.25, 1000),
        ([("epoch", 3, 20), ("batch", 50, 100)], 0.175, 1429),
        ([("epoch", 3, 20), ("batch", 50, None)], 0.15, 1667),
        ([("epoch", 3, None), ("batch", 50, 100)], None, None),
        ([("step", 0, 1000)], 0.0, None),
        ([("step", 1, 10**12)], 1e-12, None),
        ([("step", 5, 0)], None, None),
        ([("step", 1200, 1000)], 1.0, 250),
        ([], None, None),
    ],
)
def test_where_the_loops_stand(loops, share, total):
    found = progress(250, position(*loops), done=False)
    assert (found.share, found.steps_total) == (share if share is None else pytest.approx(share), total)
    assert found.loops == tuple(loops)


@pytest.mark.parametrize(
    "node", [None, 7, "x", {}, {"open": 7}, {"open": [7, {"name": 1}, {"name": "a", "done": True, "total": 3}]},
             {"open": [{"name": "a", "done": 1, "total": -1}, {"name": "a", "done": 1, "total": 1.5}]},
             {"open": [{"name": "a", "done": 10**400, "total": 1}, {"name": "a", "done": 1, "total": 10**400}]}],
)  # fmt: skip
def test_what_is_no_position_tells_nothing(node):
    found = progress(250, node, done=False)
    assert (found.share, found.loops) == (None, ())


def test_what_is_done_is_whole():
    assert progress(250, None, done=True).share == 1.0
    assert progress(250, None, done=True).steps_total == 250


HALF = progress(100, position(("step", 100, 200)), done=False)


def test_while_it_runs_the_end_is_foreseen():
    """100 steps took 50 s, saved at second 60: 50 s more from there."""
    log = journal(1, 0, started(10), saved(60, 100), name=job())
    past = history([log], [record(job(), placed(), start(0))], live=1)
    found = outlook(HALF, past, now_s=T + 70)
    assert (found.remaining_s, found.end_s, found.jobs) == (40.0, T + 110, None)
    assert outlook(HALF, past, now_s=T + 500).end_s == T + 500  # late, and not in the past


def test_how_many_jobs_it_needs():
    log = journal(1, 0, started(10), saved(60, 100), name=job())
    for length, jobs in ((65, 1), (120, 0), (40, 2), (110, 0)):
        past = history([log], [record(job(), placed(began=T, deadline=length), start(0))], live=1)
        assert outlook(HALF, past, now_s=T + 70).jobs == jobs


def test_while_it_does_not_run_only_the_time_that_it_needs_is_known():
    past = history([journal(1, 0, started(10), saved(60, 100))])
    assert outlook(HALF, past, now_s=T + 9999).remaining_s == 50.0
    assert outlook(HALF, past, now_s=T + 9999).end_s is None


def test_without_loops_the_time_that_it_was_said_to_need_counts():
    records = [record(job(), placed(total_s=1000.0), start(), end(201, 85)),
               record(job(restarts=1), placed(300), start(301), end(401, 137, progress=False))]  # fmt: skip
    past = history([], records)
    assert outlook(None, past, now_s=T + 500).remaining_s == pytest.approx(1000 - 200)  # the second job was in vain
    assert outlook(None, history([], [record(job(), placed())]), now_s=T).remaining_s is None


def test_nothing_is_foreseen_of_nothing():
    assert outlook(None, history([]), now_s=T).remaining_s is None
    log = journal(1, 0, restored(10, 5), saved(10, 5))  # no time, no steps
    assert outlook(HALF, history([log]), now_s=T).remaining_s is None
    assert math.isfinite(T)
