"""Positions: a program that is cut at any boundary and started again makes the passes that are left, and no other."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.errors import MismatchError, UsageError
from outlast.run.position import Positions


class Cut(Exception):
    """The process ends here."""


class Program:
    """Runs a tree of loops; records innermost passes; is cut after a number of boundaries."""

    def __init__(self, node=None, *, boundaries=None):
        self.positions = Positions()
        self.positions.load(json.loads(json.dumps(node)))
        self.seen = []
        self.saved = []
        self.left = boundaries

    def boundary(self, loop):
        loop.advance()
        self.saved.append((len(self.seen), self.positions.dump()))
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Cut

    def range(self, total, name):
        with self.positions.enter(name, total) as loop:
            for index in range(loop.start, total):
                yield index
                self.boundary(loop)

    def walk(self, tree, at=()):
        for position, part in enumerate(tree):
            for index in self.range(part.total, part.name):
                here = (*at, (position, part.name, index))
                if part.leave_at == index:
                    break
                if part.inner:
                    self.walk(part.inner, here)
                else:
                    self.seen.append(here)


@dataclass(frozen=True)
class Part:
    name: str
    total: int
    leave_at: int | None
    inner: tuple


def parts(inner):
    one = st.builds(
        Part,
        name=st.sampled_from(["a", "b"]),
        total=st.integers(0, 3),
        leave_at=st.none() | st.integers(0, 3),
        inner=inner,
    )
    return st.lists(one, max_size=3).map(tuple)


trees = st.recursive(st.just(()), parts, max_leaves=4).filter(bool)


@settings(max_examples=150, deadline=None)
@given(trees)
def test_cut_anywhere_the_rest_is_exactly_what_was_left(tree):
    undisturbed = Program()
    undisturbed.walk(tree)
    for count, node in undisturbed.saved:
        resumed = Program(node)
        resumed.walk(tree)
        resumed.positions.check_reached()
        assert resumed.seen == undisturbed.seen[count:]
        assert resumed.positions.steps_done == undisturbed.positions.steps_done
        left = [saved for done, saved in undisturbed.saved if done >= count]
        assert [saved for _, saved in resumed.saved] == left[len(left) - len(resumed.saved) :]


@settings(max_examples=100, deadline=None)
@given(trees, st.lists(st.integers(0, 4), max_size=6))
def test_cut_again_and_again(tree, cuts):
    undisturbed = Program()
    undisturbed.walk(tree)
    seen, node = [], None
    for boundaries in [*cuts, None]:
        attempt = Program(node, boundaries=boundaries)
        try:
            attempt.walk(tree)
        except Cut:
            count, node = attempt.saved[-1]
            seen += attempt.seen[:count]
        else:
            seen += attempt.seen
            break
    assert seen == undisturbed.seen


def test_after_the_last_batch_the_epoch_is_not_repeated():
    first = Program()
    epochs = first.range(2, "epoch")
    next(epochs)
    assert list(first.range(3, "batch")) == [0, 1, 2]
    after_last_batch = first.saved[-1][1]
    again = Program(after_last_batch)
    got = []
    for epoch in again.range(2, "epoch"):
        got += [(epoch, batch) for batch in again.range(3, "batch")]
    assert got == [(1, 0), (1, 1), (1, 2)]


def test_the_same_name_in_sequence_starts_afresh_and_resumes_its_own_entry():
    def epoch(program):
        yield from (("train", i) for i in program.range(3, "batch"))
        yield from (("valid", i) for i in program.range(2, "batch"))

    undisturbed = Program()
    whole = [(e, *x) for e in undisturbed.range(2, "epoch") for x in epoch(undisturbed)]
    assert whole[:5] == [(0, "train", 0), (0, "train", 1), (0, "train", 2), (0, "valid", 0), (0, "valid", 1)]
    in_validation = undisturbed.saved[3][1]
    resumed = Program(in_validation)
    assert [(e, *x) for e in resumed.range(2, "epoch") for x in epoch(resumed)] == whole[4:]


def test_steps_are_innermost_passes():
    program = Program()
    for _ in program.range(2, "epoch"):
        for _ in program.range(3, "batch"):
            pass
    assert program.positions.steps_done == 6
    for _ in program.range(4, "tail"):
        for _ in program.range(0, "nothing"):
            pass
    assert program.positions.steps_done == 10


def test_break_ends_a_loop_for_this_pass_and_the_broken_pass_does_not_count():
    program = Program()
    for _ in program.range(2, "epoch"):
        for batch in program.range(5, "batch"):
            if batch == 2:
                break
        assert program.positions.depth == 1
        node = program.positions.dump()
    assert program.positions.steps_done == 4
    assert node["open"][0]["over"] == {"batch": 1}


def test_an_exception_caught_around_a_loop_leaves_it():
    program = Program()
    for _ in program.range(1, "epoch"):
        with pytest.raises(ValueError):
            for _ in program.range(5, "batch"):
                raise ValueError
        assert program.positions.depth == 1


def test_a_loop_kept_open_by_a_reference_ends_when_the_outer_moves_on():
    program = Program()
    kept = None
    for _ in program.range(2, "epoch"):
        kept = program.range(5, "batch")
        next(kept)
    with pytest.raises(UsageError, match=r"epoch#0\[1\]/batch#0.*moved on"):
        next(kept)


def test_loops_that_do_not_nest_are_refused():
    program = Program()
    with pytest.raises(UsageError, match="loops of a run nest"):
        for _ in zip(program.range(3, "a"), program.range(3, "b"), strict=True):
            pass


def test_another_loop_than_the_saved_one_is_a_mismatch():
    program = Program()
    next(epochs := program.range(3, "epoch"))
    next(epochs)
    changed = Program(program.saved[-1][1])
    with pytest.raises(MismatchError, match=r"enters loop 'step#0', .* loop 'epoch#0' after 1 passes"):
        next(changed.range(3, "step"))


def test_an_inner_loop_that_never_comes_is_a_mismatch():
    program = Program()
    next(epochs := program.range(3, "epoch"))
    next(batches := program.range(3, "batch"))
    next(batches)
    node = program.saved[-1][1]
    changed = Program(node)
    with pytest.raises(MismatchError, match=r"loop 'epoch#0' moves on, but loop 'batch#0'"):
        list(changed.range(3, "epoch"))
    with pytest.raises(MismatchError, match=r"the program ends, but loop 'epoch#0'"):
        Program(node).positions.check_reached()
    del epochs


def test_saved_again_before_the_inner_loop_is_reached():
    program = Program()
    next(epochs := program.range(3, "epoch"))
    next(batches := program.range(3, "batch"))
    next(batches)
    node = program.positions.dump()
    again = Positions()
    again.load(node)
    assert again.dump() == node
    again.enter("epoch", 3)
    assert again.dump() == node
    del epochs


def test_more_passes_than_at_the_save():
    program = Program()
    list(program.range(3, "step"))
    longer = Program(program.saved[-1][1])
    assert list(longer.range(5, "step")) == [3, 4]
    shorter = Program(program.saved[-1][1])
    assert list(shorter.range(2, "step")) == []


def test_extra_data_comes_back_and_is_refreshed_at_each_dump():
    positions = Positions()
    loop = positions.enter("batch")
    loop.extra["rng"] = "start"
    count = iter(range(10))
    loop.at_dump = lambda: {"now": next(count)}
    loop.advance()
    positions.dump()
    again = Positions()
    again.load(positions.dump())
    restored = again.enter("batch")
    assert (restored.was_restored, restored.start, restored.extra) == (True, 1, {"rng": "start", "now": 1})


def test_closers_run_once_when_a_loop_is_left():
    positions, closed = Positions(), []
    with positions.enter("a") as loop:
        loop.on_close(lambda: closed.append("a"))
    loop.finish()
    assert closed == ["a"]


def test_entering_again_at_the_root_is_warned_of_once():
    said = []
    positions = Positions(warn=said.append)
    for _ in range(3):
        positions.enter("batch", 1).finish()
    assert len(said) == 1
    assert "'batch' is entered again outside" in said[0]


def test_a_position_that_is_none_or_no_position():
    positions = Positions()
    positions.load(None)
    assert positions.steps_done == 0
    good = positions.dump()
    for bad in (
        [],
        {},
        {**good, "steps": -1},
        {**good, "steps": True},
        {**good, "open": [{}]},
        {**good, "over": {"a": "b"}},
    ):
        with pytest.raises(MismatchError, match="not understood"):
            Positions().load(bad)


def test_names_and_depth_are_checked():
    positions = Positions()
    with pytest.raises(UsageError, match="name is 3"):
        positions.enter(3)
    for _ in range(50):
        positions.enter("a")
    with pytest.raises(UsageError, match="more than 50 loops"):
        positions.enter("a")
