"""The interval between saves: worked values, the minimum found by brute force, the bounds and their reasons."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from outlast.errors import UsageError
from outlast.policy.interval import (
    FIRST_S,
    LONGEST_S,
    OVERHEAD,
    PRIOR_MTBF_S,
    SHORTEST_S,
    Costs,
    Every,
    Rate,
    known_rate,
    learned_rate,
    optimum_s,
    parse_every,
    plan,
)

MIN = 60.0
AUTO = Every()


def rate(mtbf_s, events=0, exposure_s=0.0):
    return Rate(per_s=1 / mtbf_s, events=events, exposure_s=exposure_s)


def expected_time(tau, cost, mtbf):
    """Daly's T(tau) without the factors that do not depend on tau; in Decimal, so that a flat minimum shows."""
    return (((tau + cost) / mtbf).exp() - 1) / tau


# -- the optimum -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cost", "mtbf", "tau"), [(5, 1440, 116.6901), (5, 360, 56.7140)])
def test_worked_values(cost, mtbf, tau):
    assert optimum_s(cost * MIN, mtbf * MIN) / MIN == pytest.approx(tau, abs=5e-5)


@given(
    st.floats(1e-6, 1e5, allow_subnormal=False),
    st.floats(1.0, 1e9, allow_subnormal=False),
)
def test_no_other_interval_loses_less(cost_s, mtbf_s):
    """T(tau) has one minimum; that of `optimum_s` lies within a millionth of it."""
    assume(cost_s / mtbf_s < 30)
    with localcontext() as context:
        context.prec = 60
        cost, mtbf, tau = Decimal(cost_s), Decimal(mtbf_s), Decimal(optimum_s(cost_s, mtbf_s))
        least = expected_time(tau, cost, mtbf)
        others = [10 ** Decimal(n) for n in (-6, -3, -1)]
        for share in others:
            assert least <= expected_time(tau * (1 - share), cost, mtbf)
            assert least <= expected_time(tau * (1 + share), cost, mtbf)


@given(st.floats(1e-6, 1e4), st.floats(1.0, 1e8), st.floats(1.01, 100))
def test_a_dearer_save_and_a_rarer_failure_lengthen_it(cost_s, mtbf_s, factor):
    assert optimum_s(cost_s, mtbf_s) <= optimum_s(cost_s * factor, mtbf_s)
    assert optimum_s(cost_s, mtbf_s) <= optimum_s(cost_s, mtbf_s * factor) * (1 + 1e-9)


@given(st.floats(0, 1e12), st.floats(1e-3, 1e12))
def test_it_lies_between_nothing_and_the_time_between_failures(cost_s, mtbf_s):
    assert 0 <= optimum_s(cost_s, mtbf_s) <= mtbf_s


def test_a_save_that_costs_nothing_may_be_made_at_any_time():
    assert optimum_s(0.0, 3600.0) == 0.0


def test_a_hopeless_cost_gives_the_time_between_failures():
    """Above twice the time between failures saving cannot keep up; no overflow, no exception."""
    assert optimum_s(1e6, 60.0) == pytest.approx(60.0, rel=1e-6)


# -- the plan and its reason -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "every"),
    [
        ("auto", Every()),
        ("5%", Every(overhead=0.05)),
        (" 0.5 %", Every(overhead=0.005)),
        (500, Every(steps=500)),
        (1, Every(steps=1)),
        ("10min", Every(seconds_s=600.0)),
        ("1h30m", Every(seconds_s=5400.0)),
        ("2.5", Every(seconds_s=2.5)),
        (np.int64(7), Every(steps=7)),
    ],
)
def test_every_is_read(asked, every):
    assert parse_every(asked) == every
    assert parse_every(asked).is_auto is (asked == "auto" or str(asked).endswith("%"))


@pytest.mark.parametrize(
    "asked",
    [
        0,
        -1,
        True,
        False,
        "0s",
        "soon",
        "-5s",
        "",
        0.0,
        2.5,
        1e3,
        math.inf,
        math.nan,
        -2.0,
        None,
        [3],
        b"10min",
        np.True_,
        "0%",
        "100%",
        "x%",
        "nan%",
    ],
)
def test_every_else_is_refused(asked):
    with pytest.raises(UsageError):
        parse_every(asked)


def test_what_was_asked_for_is_done_whatever_it_costs():
    dear = Costs(blocked_s=100.0, latency_s=1000.0)
    by_steps = plan(Every(steps=7), dear, rate(60.0))
    assert (by_steps.steps, by_steps.seconds_s, by_steps.reason) == (7, None, "every 7 steps, as asked")
    by_time = plan(Every(seconds_s=90.0), dear, rate(60.0))
    assert (by_time.steps, by_time.seconds_s, by_time.reason) == (None, 90.0, "every 90 s, as asked")


def test_the_first_save_comes_early_to_learn():
    first = plan(AUTO, Costs(), rate(PRIOR_MTBF_S))
    assert first.seconds_s == FIRST_S
    assert first.reason == "after 1 s, to learn what a save costs"


@pytest.mark.parametrize(
    ("blocked_s", "latency_s", "mtbf_s", "seconds_s", "why"),
    [
        (1.0, 2.0, 24 * 3600.0, optimum_s(1.0, 24 * 3600.0), "optimum"),
        (100.0, 2.0, 3600.0, 100.0 * (1 - OVERHEAD) / OVERHEAD, "at most 2% overhead"),
        (0.1, 900.0, 3600.0, 900.0, "a save must be durable before the next"),
        (1e-6, 1e-6, 60.0, SHORTEST_S, "the shortest interval"),
        (0.0, None, 60.0, SHORTEST_S, "the shortest interval"),
        (30.0, 2.0, 1e9, LONGEST_S, "the longest interval"),
        (3600.0, 2.0, 1e9, 3600.0 * (1 - OVERHEAD) / OVERHEAD, "at most 2% overhead"),
        (30.0, 30000.0, 1e9, 30000.0, "a save must be durable before the next"),
    ],
)
def test_bounds_and_reasons(blocked_s, latency_s, mtbf_s, seconds_s, why):
    found = plan(AUTO, Costs(blocked_s=blocked_s, latency_s=latency_s), rate(mtbf_s))
    assert found.seconds_s == pytest.approx(seconds_s)
    assert found.steps is None
    assert f": {why}, for a save that costs" in found.reason


@given(st.floats(0, 1e5), st.floats(0, 1e5), st.floats(1, 1e9), st.floats(0.001, 0.5))
def test_no_plan_breaks_a_bound(blocked_s, latency_s, mtbf_s, overhead):
    costs = Costs(blocked_s=blocked_s, latency_s=latency_s)
    seconds_s = plan(Every(overhead=overhead), costs, rate(mtbf_s)).seconds_s
    assert max(SHORTEST_S, latency_s) <= seconds_s
    assert blocked_s / (seconds_s + blocked_s) <= overhead * (1 + 1e-9)
    assert seconds_s >= min(LONGEST_S, optimum_s(blocked_s, mtbf_s)) * (1 - 1e-9)


def test_the_reason_says_what_the_rate_rests_on():
    seen = learned_rate(2, 310 * 3600.0)
    text = plan(AUTO, Costs(blocked_s=1.0, latency_s=1.0), seen).reason
    assert "(2 in 12.9 d seen)" in text
    assert "one failure in 4.64 d" in text  # 334 h for 3 events, the prior's one among them


def test_a_known_rate_goes_before_a_learned_one():
    known = plan(AUTO, Costs(blocked_s=1.0, latency_s=1.0), known_rate(3600.0))
    assert known.seconds_s == pytest.approx(optimum_s(1.0, 3600.0))
    assert "one failure in 60 min (as given)" in known.reason


# -- the rate ----------------------------------------------------------------------------------------------


def test_before_anything_was_seen_the_prior_holds():
    assert learned_rate(0, 0.0) == Rate(per_s=1 / PRIOR_MTBF_S, events=0, exposure_s=0.0)


@pytest.mark.parametrize(
    ("events", "exposure_h", "mtbf_h"),
    [(0, 24, 48.0), (2, 310, 334 / 3), (9, 0, 2.4), (1000, 1000, 1024 / 1001)],
)
def test_learning(events, exposure_h, mtbf_h):
    found = learned_rate(events, exposure_h * 3600.0)
    assert 1 / found.per_s == pytest.approx(mtbf_h * 3600)
    assert (found.events, found.exposure_s) == (events, exposure_h * 3600.0)


def test_a_heavier_prior_moves_less():
    light, heavy = (1 / learned_rate(10, 3600.0, prior_mtbf_s=7200.0, weight=w).per_s for w in (0.1, 100))
    assert light < 600 < heavy < 7200
