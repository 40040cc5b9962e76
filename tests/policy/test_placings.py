"""Whether a run goes on over its jobs: progress forgives everything, and without it there is an end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from outlast.policy.placings import Bounds, Continue, End, Past, decide
from outlast.policy.restart import Finish, GiveUp


def past(end: End, progress: bool = False, lasted_s: float = 60.0, attempts: int = 1) -> Past:
    return Past(end=end, progress=progress, lasted_s=lasted_s, attempts=attempts)


def test_before_the_first_there_is_nothing_against_it():
    assert isinstance(decide([], Bounds(tries=1, attempts=1, time_s=1.0)), Continue)


def test_after_done_never_again():
    found = decide([past(End.DONE, progress=True)], Bounds())
    assert found == Finish(status=0, reason="done")


@pytest.mark.parametrize("end", [End.CRASH, End.TIME, End.TAKEN, End.ASKED])
def test_whatever_made_progress_goes_on_for_ever(end):
    assert isinstance(decide([past(end, progress=True)] * 1000, Bounds()), Continue)


@pytest.mark.parametrize("end", [End.CRASH, End.TIME])
def test_no_progress_three_times_is_the_end(end):
    history = [past(end, progress=True), past(end), past(end)]
    assert isinstance(decide(history, Bounds()), Continue)
    found = decide([*history, past(end)], Bounds())
    assert isinstance(found, GiveUp)
    assert found.status == 86
    assert "3 jobs in a row made no progress" in found.reason


def test_jobs_that_were_taken_away_are_forgiven_longer_but_not_for_ever():
    assert isinstance(decide([past(End.TAKEN)] * 8, Bounds()), Continue)
    found = decide([past(End.TAKEN)] * 9, Bounds())
    assert isinstance(found, GiveUp)
    assert "9 jobs in a row were taken away" in found.reason


def test_a_crash_loop_is_not_hidden_by_preemptions_between():
    history = [past(End.CRASH), past(End.TAKEN), past(End.CRASH), past(End.TAKEN)]
    assert isinstance(decide(history, Bounds()), Continue)
    assert isinstance(decide([*history, past(End.CRASH)], Bounds()), GiveUp)


def test_who_was_asked_to_leave_is_never_counted():
    assert isinstance(decide([past(End.ASKED)] * 50, Bounds()), Continue)


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        (Bounds(time_s=180.0), "2 min used, of 3 min allowed (--max-time)"),
        (Bounds(attempts=4), "4 attempts made, of 4 allowed (--max-attempts)"),
    ],
)
def test_bounds_hold_whatever_progress_there_is(bounds, reason):
    history = [past(End.TIME, progress=True, attempts=3)]
    assert isinstance(decide(history, bounds), Continue)
    found = decide([*history, past(End.TAKEN, progress=True)], bounds)
    assert isinstance(found, GiveUp)
    assert found.reason == reason


def test_who_starts_it_again_by_hand_has_all_tries():
    """Something was mended, or so they think."""
    crash = past(End.CRASH)
    assert isinstance(decide([crash] * 3, Bounds()), GiveUp)
    assert isinstance(decide([crash] * 3, Bounds(), anew=True), Continue)
    started = replace(crash, anew=True)
    assert isinstance(decide([*[crash] * 9, started, crash], Bounds()), Continue)
    assert isinstance(decide([*[crash] * 9, started, crash, crash], Bounds()), GiveUp)
    assert isinstance(decide([started] * 9, Bounds(), anew=True), Continue)
    assert isinstance(decide([started] * 9, Bounds(attempts=9), anew=True), GiveUp)  # what was allowed to the run
