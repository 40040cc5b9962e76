"""Retention: what each rule keeps, what no rule may remove, and the reasons."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.errors import UsageError
from outlast.policy.retention import Held, Keep, decide, parse_keep

KNOWN = st.sampled_from([True, False, None])


def files_of(name, size_bytes, count):
    return {f"{name}/{i}": size_bytes if i == 0 else 0 for i in range(count)}


def one(step, *, size_bytes=10, files=2, good=None, **metrics):
    held = files_of(f"s{step}", size_bytes, files)
    return Held(name=f"s{step}", step=step, files=held, metrics=metrics, good=good)


def steps(*numbers, **more):
    return [one(n, **more) for n in numbers]


@st.composite
def histories(draw):
    """Checkpoints, newest first. Steps may repeat: a later attempt may have fallen back."""
    count = draw(st.integers(0, 12))
    return [
        Held(
            name=f"c{i}",
            step=draw(st.integers(0, 40)),
            files=files_of(f"c{i}", draw(st.integers(0, 100)), draw(st.integers(1, 3)))
            | draw(st.sampled_from([{}, {"shared/1": 50}, {"shared/1": 50, "shared/2": 70}])),
            metrics=draw(st.dictionaries(st.sampled_from(["loss", "acc"]), st.floats(-10, 10), max_size=2)),
            good=draw(KNOWN),
        )
        for i in range(count)
    ]


RULES = st.builds(
    Keep,
    newest=st.integers(1, 5),
    every=st.none() | st.integers(1, 10),
    best=st.none() | st.sampled_from(["acc", "-loss", "absent"]),
    best_count=st.integers(1, 3),
    bytes=st.none() | st.integers(0, 400),
    files=st.none() | st.integers(0, 20),
)
UNBOUNDED = RULES.map(lambda r: Keep(newest=r.newest, every=r.every, best=r.best, best_count=r.best_count))


# -- what holds for every rule -----------------------------------------------------------------------------


@given(RULES, histories())
def test_each_is_kept_or_removed_with_a_reason(rule, held):
    found = decide(rule, held)
    names = [h.name for h in held]
    assert sorted(found.keep + found.remove) == sorted(names)
    assert [n for n in names if n in found.keep] == list(found.keep)
    assert [n for n in names if n in found.remove] == list(found.remove)
    assert set(found.reasons) == set(names)
    assert all(found.reasons.values())


@given(RULES, histories())
def test_the_newest_stays(rule, held):
    assert not held or held[0].name in decide(rule, held).keep


@given(RULES, histories())
def test_a_good_one_stays(rule, held):
    """The newest that is known to be good; where none is known, the newest that is not known to be damaged."""
    keep = decide(rule, held).keep
    good = [h.name for h in held if h.good] or [h.name for h in held if h.good is None]
    assert not good or good[0] in keep


@given(RULES, histories())
def test_budgets_hold_but_for_what_is_spared(rule, held):
    """Over a budget, nothing is kept that could go."""
    keep = [h for h in held if h.name in decide(rule, held).keep]
    files = {path: size for h in keep for path, size in h.files.items()}
    over = (rule.bytes is not None and sum(files.values()) > rule.bytes) or (
        rule.files is not None and len(files) > rule.files
    )
    if over:
        assert len(keep) <= 2  # the newest, and the newest good one


@given(RULES, histories())
def test_a_budget_only_takes(rule, held):
    free = Keep(newest=rule.newest, every=rule.every, best=rule.best, best_count=rule.best_count)
    assert set(decide(rule, held).keep) <= set(decide(free, held).keep)


@given(UNBOUNDED, histories())
def test_what_any_rule_wants_is_kept_and_no_more(rule, held):
    wanted = {h.name for h in held[: rule.newest]}
    if rule.every:
        wanted |= {h.name for h in held if h.step % rule.every == 0}
    if rule.best:
        metric = rule.best.removeprefix("-")
        sign = -1 if rule.best.startswith("-") else 1
        ranked = sorted((h for h in held if metric in h.metrics), key=lambda h: -sign * h.metrics[metric])
        wanted |= {h.name for h in ranked[: rule.best_count]}
    kept = set(decide(rule, held).keep)
    assert wanted <= kept
    assert len(kept - wanted) <= 1  # the last good one


@given(RULES, histories())
def test_deciding_again_removes_nothing_more(rule, held):
    first = decide(rule, held)
    left = [h for h in held if h.name in first.keep]
    assert decide(rule, left).remove == ()


# -- examples ----------------------------------------------------------------------------------------------


def test_newest():
    found = decide(Keep(newest=2), steps(40, 30, 20, 10))
    assert (found.keep, found.remove) == (("s40", "s30"), ("s20", "s10"))
    assert found.reasons == {
        "s40": "among the newest 2",
        "s30": "among the newest 2",
        "s20": "not kept by newest 2",
        "s10": "not kept by newest 2",
    }


def test_every():
    found = decide(Keep(newest=1, every=20), steps(50, 40, 30, 20, 10))
    assert found.keep == ("s50", "s40", "s20")
    assert found.reasons["s20"] == "step is a multiple of 20"


def test_best_is_the_highest_or_with_a_minus_the_lowest():
    held = [one(4, loss=3.0), one(3, loss=1.0), one(2, loss=9.0), one(1, loss=1.0), one(0)]
    assert decide(Keep(newest=1, best="loss"), held).keep == ("s4", "s2")
    lowest = decide(Keep(newest=1, best="-loss"), held)
    assert lowest.keep == ("s4", "s3")  # of two that are equal the newer
    assert lowest.reasons["s3"] == "best by -loss"
    assert decide(Keep(newest=1, best="-loss", best_count=3), held).keep == ("s4", "s3", "s1")


def test_a_byte_budget_takes_the_oldest_first():
    found = decide(Keep(newest=9, bytes=30), steps(5, 4, 3, 2, 1))
    assert found.keep == ("s5", "s4", "s3")
    assert found.reasons["s1"] == "not kept by newest 9, the byte budget"


def test_a_file_budget_takes_the_oldest_first():
    assert decide(Keep(newest=9, files=5), steps(5, 4, 3, 2, 1)).keep == ("s5", "s4")


def test_a_part_that_several_need_counts_once_and_as_long_as_one_needs_it():
    shared = {"s1/part": 100}
    held = [
        Held(name=f"s{n}", step=n, files={f"s{n}/manifest": 1, f"s{n}/part": 10, **shared}, metrics={}) for n in (3, 2)
    ] + [Held(name="s1", step=1, files={"s1/manifest": 1, **shared}, metrics={})]
    assert decide(Keep(newest=9, bytes=123), held).keep == ("s3", "s2", "s1")
    assert decide(Keep(newest=9, bytes=122), held).keep == ("s3", "s2")  # the shared part stays, and is counted
    assert decide(Keep(newest=9, bytes=121), held).keep == ("s3",)
    assert decide(Keep(newest=9, files=5), held).keep == ("s3", "s2")


def test_a_budget_that_even_the_newest_breaks_is_said():
    found = decide(Keep(newest=3, bytes=5), steps(3, 2, 1))
    assert found.keep == ("s3",)
    assert found.reasons["s3"] == "never removed, though the budget is 5 B and 10 B are left"
    assert decide(Keep(files=0), steps(1)).reasons["s1"] == "never removed, though the budget is 0 files and 2 are left"


def test_keep_one_never_leaves_only_a_bad_one():
    held = [one(3, good=False), one(2, good=False), one(1, good=True), one(0, good=True)]
    found = decide(Keep(newest=1), held)
    assert (found.keep, found.remove) == (("s3", "s1"), ("s2", "s0"))
    assert found.reasons["s1"] == "the last good one"


def test_nothing_held_is_nothing_to_do():
    assert decide(Keep(), []).keep == ()


# -- reading a rule ----------------------------------------------------------------------------------------


def test_a_number_keeps_the_newest():
    assert parse_keep(5) == Keep(newest=5)
    rule = Keep(newest=2, every=10)
    assert parse_keep(rule) is rule


@pytest.mark.parametrize("value", [0, -1, True, 2.0, "3", None])
def test_no_other_number(value):
    with pytest.raises(UsageError, match="expected a whole number from 1"):
        parse_keep(value)


@pytest.mark.parametrize(
    "fields",
    [{"newest": 0}, {"every": 0}, {"best_count": 0}, {"bytes": -1}, {"files": -1}, {"bytes": 1.5}, {"newest": True}],
)
def test_no_impossible_rule(fields):
    name, value = next(iter(fields.items()))
    with pytest.raises(UsageError, match=f"keep: {name}={value!r}, expected a whole number from"):
        Keep(**fields)
