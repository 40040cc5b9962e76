"""The last save before a deadline: at the boundary after which one more step would make it late."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.policy.deadline import MARGIN_S, assumed_save_s, last_call, margin_s

TIMES = st.floats(0, 1e5)


@pytest.mark.parametrize(
    ("left_s", "due"),
    [(100.0, False), (16.0, False), (15.999, True), (15.0, True), (0.0, True), (-5.0, True)],
)
def test_the_floor(left_s, due):
    """10 s for a save, 5 s for a step, 1 s of margin: with 16 s left one more step still fits."""
    assert (last_call(left_s, save_s=10.0, step_s=5.0, margin_s=1.0) is not None) is due


@given(st.floats(0, 1e7), TIMES, TIMES, TIMES)
def test_never_late_and_never_a_step_early(left_s, save_s, step_s, margin):
    """Steps as long as the longest: the save that follows a refusal still fits, and it would not one step later."""
    if last_call(left_s, save_s=save_s, step_s=step_s, margin_s=margin):
        assert left_s - step_s < save_s + margin + 1e-6
    else:
        assert left_s - step_s >= save_s + margin - 1e-6


@given(st.integers(0, 10**4), st.integers(1, 10**4), st.lists(st.integers(1, 1000), min_size=1, max_size=60))
def test_played_to_the_end_the_save_is_in_time(spare, save, steps):
    """Whatever the steps take, as long as none is longer than the longest before it: the save ends before the end.

    Whole seconds, so that nothing is lost in rounding.
    """
    longest = max(steps)
    left = longest + save + int(MARGIN_S) + spare
    for step in itertools.cycle([longest, *steps]):
        if last_call(left, save_s=save, step_s=longest):
            break
        left -= step
    assert save + MARGIN_S <= left < save + MARGIN_S + longest


def test_the_reason_names_the_figures():
    assert last_call(12.0, save_s=10.0, step_s=5.0, margin_s=1.0) == (
        "the deadline is 12 s away; a save (10 s), a step (5 s) and a margin (1 s) need 16 s"
    )


def test_a_deadline_that_has_passed_is_not_negative():
    assert last_call(-3.0, save_s=1.0, step_s=1.0).startswith("the deadline is 0 s away;")


@pytest.mark.parametrize(
    ("size_bytes", "window_s", "save_s"),
    [
        (0, 3600.0, 1.0),
        (10**8, 3600.0, 1.0),
        (10**9, 3600.0, 10.0),
        (10**12, 3600.0, 1e4),
        (0, 2.0, 0.2),
        (10**9, 2.0, 10.0),
    ],
)
def test_what_is_assumed_before_the_first_save(size_bytes, window_s, save_s):
    """At least a second; but of a short window only a part, or nothing would be done in it."""
    assert assumed_save_s(size_bytes, window_s) == pytest.approx(save_s)


def test_the_margin_of_a_short_window():
    assert [margin_s(window_s) for window_s in (2.0, 10.0, 3600.0)] == pytest.approx([0.2, 1.0, MARGIN_S])
