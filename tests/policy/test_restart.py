"""Restart, give up or finish: the whole table, without a process."""

import pytest

from outlast.policy.restart import (
    Attempt,
    Cause,
    Finish,
    GiveUp,
    Report,
    Restart,
    Rules,
    decide,
    describe,
    made_progress,
)
from outlast.testing import FakeClock

RULES = Rules()


def attempt(status=1, *, progress=False, cause=Cause.ITSELF, lasted_s=5.0):
    return Attempt(status=status, progress=progress, cause=cause, lasted_s=lasted_s)


def waits(rules, *, progress_at=(), limit=20):
    """Play attempts that all crash, on a fake clock, until the policy stops them; return the waits."""
    clock, history = FakeClock(), []
    while len(history) < limit:
        history.append(attempt(progress=len(history) in progress_at))
        decision = decide(history, rules)
        if not isinstance(decision, Restart):
            break
        clock.sleep(decision.after_s)
    return clock.slept_s, decision


def test_back_off_doubles_up_to_its_longest():
    slept_s, _ = waits(Rules(tries=100), limit=9)
    assert slept_s == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_back_off_does_not_overflow():
    assert decide([attempt()] * 5000, Rules(tries=10_000)).after_s == 60


def test_gives_up_after_three_without_progress():
    slept_s, decision = waits(RULES)
    assert slept_s == [1, 2]
    assert decision == GiveUp(
        status=86, reason="3 attempts in a row made no progress, the last one ended with status 1"
    )


def test_progress_resets_the_count_and_the_wait():
    slept_s, decision = waits(RULES, progress_at={2, 4})
    assert slept_s == [1, 2, 1, 1, 1, 1, 2]
    assert isinstance(decision, GiveUp)


def test_a_crash_after_progress_never_gives_up():
    slept_s, decision = waits(RULES, progress_at=set(range(50)), limit=50)
    assert set(slept_s) == {1}
    assert isinstance(decision, Restart)


def test_preempted_with_progress_starts_at_once_and_never_counts():
    history = [attempt(85, progress=True, cause=Cause.DEADLINE, lasted_s=0.1)] * 100
    assert decide(history, RULES) == Restart(
        after_s=0.0, reason="its time was over (status 85), it made progress: again at once"
    )


def test_killed_at_the_deadline_with_progress_starts_at_once():
    assert decide([attempt(137, progress=True, cause=Cause.DEADLINE)], RULES).after_s == 0


@pytest.mark.parametrize("status", [85, 137, 143])
def test_deadlines_without_progress_count(status):
    history = [attempt(status, cause=Cause.DEADLINE)] * 3
    assert isinstance(decide(history[:2], RULES), Restart)
    assert decide(history, RULES).status == 86
    assert "at its deadline" in decide(history, RULES).reason


def test_85_again_and_again_without_progress_counts():
    history = [attempt(85)] * 3
    assert isinstance(decide(history[:2], RULES), Restart)
    assert decide(history, RULES).status == 86


def test_a_command_that_says_85_at_once_does_not_spin():
    assert decide([attempt(85, progress=True, lasted_s=0.25)], RULES).after_s == 0.75
    assert decide([attempt(85, progress=True, lasted_s=3.0)], RULES).after_s == 0


@pytest.mark.parametrize("cause", list(Cause))
def test_zero_is_the_end(cause):
    assert decide([attempt(0, cause=cause)], RULES) == Finish(status=0, reason="done")


@pytest.mark.parametrize("status", [2, 3, 4, 5, 86, 126, 127])
def test_statuses_that_a_restart_would_not_change_are_kept(status):
    decision = decide([attempt(status)], RULES)
    assert isinstance(decision, Finish)
    assert decision.status == status


@pytest.mark.parametrize("status", [1, 6, 85, 134, 137, 143, 255])
def test_no_restart_after_a_notice_from_outside(status):
    assert decide([attempt(status, cause=Cause.OUTSIDE)], RULES).status == status


def test_no_restart_when_the_program_left_for_good():
    decision = decide([attempt(85, progress=True, cause=Cause.LEAVE)], RULES)
    assert decision == Finish(status=85, reason="status 85; the program asked not to be started again")


def test_the_last_attempt_keeps_its_status():
    rules = Rules(attempts=2)
    history = [attempt(85, progress=True, cause=Cause.DEADLINE)] * 2
    assert isinstance(decide(history[:1], rules), Restart)
    assert decide(history, rules) == Finish(status=85, reason="status 85; that was the last of 2 attempts")


def test_one_try_keeps_the_status_of_a_crash_even_after_progress():
    assert decide([attempt(137)], Rules(tries=1)).status == 137
    assert decide([attempt(7, progress=True)], Rules(tries=1)).status == 7


def test_one_try_still_goes_on_after_a_deadline_with_progress():
    assert isinstance(decide([attempt(85, progress=True, cause=Cause.DEADLINE)], Rules(tries=1)), Restart)
    assert decide([attempt(137, cause=Cause.DEADLINE)], Rules(tries=1)) == Finish(
        status=137, reason="status 137 (SIGKILL); not to be tried again"
    )


def report(step, store="/s"):
    return Report(store=store, attempt=1, step=step)


def test_progress_is_a_higher_step_of_the_same_store():
    assert made_progress(report(0), {}, 1, 60.0)
    assert made_progress(report(11), {"/s": 10}, 137, 60.0)
    assert not made_progress(report(10), {"/s": 10}, 85, 60.0)
    assert not made_progress(report(9), {"/s": 10}, 85, 60.0)
    assert made_progress(report(1, "/other"), {"/s": 10}, 1, 60.0)


def test_a_program_that_never_reports_makes_progress_by_85():
    assert made_progress(None, {}, 85, 60.0)
    assert not made_progress(None, {}, 85, 0.5), "what says 85 at once has done nothing"
    assert not made_progress(None, {}, 1, 60.0)
    assert not made_progress(None, {"/s": 10}, 85, 60.0), "it did report before: now it is silent"


def test_describe_names_signals():
    assert describe(137) == "status 137 (SIGKILL)"
    assert describe(3) == "status 3"
    assert describe(255) == "status 255"
