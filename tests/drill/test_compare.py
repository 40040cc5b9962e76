"""What counts as the same result: states by leaf, metrics by step, files by line, output by line."""

from __future__ import annotations

import numpy as np
import pytest

import outlast
from outlast.drill import contents
from outlast.drill.compare import Terms, compare
from outlast.drill.place import Place
from outlast.drill.results import Results, State, collect


def state(metrics=(), again=(0,), **fields) -> State:
    rows = {(step, name): values for step, name, *values in metrics}
    rows = {row: tuple(values) for row, values in rows.items()}
    defaults = {"store": "store", "path": "", "step": 9, "done": True, "leaves": {}, "values": {}}
    return State(**{**defaults, **fields}, metrics=rows, again=frozenset(again))


def results(one: State | None = None, files=(), lines=()) -> Results:
    return Results(work="", states={"store": one} if one else {}, files=dict(files), lines=tuple(lines))


def said(before: Results, after: Results, terms: Terms | None = None) -> list[str]:
    return [f"{one.name}: {one.text}" for one in compare(before, after, terms or Terms())]


ROWS = ((0, "loss", 3.0), (1, "loss", 2.0), (2, "loss", 1.0))


@pytest.mark.parametrize(
    ("rows", "again", "expected"),
    [
        (ROWS, (0, 2), []),
        (ROWS[:2], (0, 2), ["loss: nothing at step 2: it was skipped"]),
        ((*ROWS[:2], (2, "loss", 1.0, 1.0)), (0,), ["loss: 2 values at step 2, expected 1: it was done twice"]),
        ((*ROWS[:2], (2, "loss", 5.0, 1.0)), (0, 2), []),  # logged once more on the way back into the loop
        ((*ROWS[:2], (2, "loss", 1.5)), (0, 2), ["loss: 1.5 at step 2, expected 1.0"]),
        ((*ROWS, (3, "loss", 0.0)), (0,), ["loss: a value at step 3, where the undisturbed run has none"]),
    ],
)
def test_metrics_of_each_step(rows, again, expected):
    assert said(results(state(ROWS)), results(state(rows, again))) == expected


def test_the_first_step_that_differs_is_named():
    rows = ((0, "loss", 3.0), (1, "loss", 9.0), (2, "loss", 9.0))
    (found,) = compare(results(state(ROWS)), results(state(rows)), Terms())
    assert (found.kind, found.step) == ("metric", 1)


def test_steps_and_the_mark_of_the_end():
    after = results(state(step=8, done=False))
    assert said(results(state()), after) == ["(steps): 8 steps, not done; expected 9, done"]
    assert said(results(state()), results()) == ["store: the store is missing"]


def test_values_with_and_without_a_tolerance():
    before, after = results(state(values={"t": "1.0"})), results(state(values={"t": "1.0000001"}))
    assert said(before, after) == ["t: 1.0000001, expected 1.0"]
    assert said(before, after, Terms(tolerance=1e-6)) == []
    assert said(before, after, Terms(ignore=("t*",))) == []
    assert said(before, after, Terms(exactly=("t",))) == []
    assert said(before, after, Terms(exactly=("t*",))) == ["t: 1.0000001, expected 1.0"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["a", "b", "c"], []),
        (["a", "b", "a", "b", "c"], []),
        (["a", "x", "b", "c"], ["(stdout): prints 'x', which the undisturbed run does not"]),
        (["a", "c"], ["(stdout): 'b' is missing, or out of order"]),
        (["b", "a", "c"], ["(stdout): 'b' is missing, or out of order"]),
    ],
)
def test_output(lines, expected):
    assert said(results(lines=["a", "b", "c"]), results(lines=lines)) == expected


def test_output_of_undisturbed_runs_is_the_same_line_by_line():
    before, after = results(lines=["a", "b"]), results(lines=["a", "a", "b"])
    (found,) = compare(before, after, Terms(), more_output=False)
    assert found.text == "lines are printed more than once"


@pytest.mark.parametrize(
    ("old", "new", "tolerance", "expected"),
    [
        ("1,2.0\n", "1,2.5\n", 0, "line 1 is '1,2.5', expected '1,2.0'"),
        ("1,2.0\n", "1,2.0000001\n", 1e-6, ""),
        ("1,2.0\n", "1,2.1\n", 1e-6, "line 1 is '1,2.1', expected '1,2.0'"),
        ("a 1\n", "b 1\n", 1e-6, "line 1 is 'b 1', expected 'a 1'"),
        ("a,1\n", "a;1\n", 1e-6, "line 1 is 'a;1', expected 'a,1'"),
        ("a 1\n", "a 1 1\n", 1e-6, "line 1 is 'a 1 1', expected 'a 1'"),
        ("nan\n", "nan \n", 1e-6, "line 1 is 'nan ', expected 'nan'"),
        ("1\n", "1\n2\n", 0, "has 2 lines, expected 1; the first beyond is '2'"),
        ("1\n", "1", 0, "differs in its line ends"),
        ("a\0b", "a\0c", 0, "differs from byte 2 on"),
        ("a\0b", "a\0", 0, "differs from byte 2 on; 2 bytes, expected 3"),
    ],
)
def test_files(tmp_path, old, new, tolerance, expected):
    (tmp_path / "old").write_text(old)
    (tmp_path / "new").write_text(new)
    assert contents.file(str(tmp_path / "old"), str(tmp_path / "new"), tolerance) == expected


def test_files_of_arrays_within_a_tolerance(tmp_path):
    np.savez(tmp_path / "old.npz", a=np.ones(3), b=np.arange(2))
    np.savez(tmp_path / "new.npz", a=np.ones(3) + 1e-9, b=np.arange(2))
    names = str(tmp_path / "old.npz"), str(tmp_path / "new.npz")
    assert contents.file(*names, 1e-6) == ""
    assert contents.file(*names, 1e-12) == "the array a differs by more than 1e-12"
    assert contents.file(*names, 0).startswith("differs from byte ")


def _ran(root, values, dtype=np.float64) -> Results:
    """A run that was done, with a leaf of these values."""
    place = Place(root=str(root), work=str(root / "disk" / "at"), command=())
    with outlast.Run(place.store, {"w": np.array(values, dtype)}) as run:
        for step in run.steps(3):
            run.log(loss=1.0 / (step + 1))
    return collect(place, (), stdout=False)


def _logged(root, *, stops: bool) -> Results:
    """A run that logs at each step; it may be broken off behind a save, and started again."""
    place = Place(root=str(root), work=str(root / "disk" / "at"), command=())
    for stops_now in (True, False) if stops else (False,):
        try:
            with outlast.Run(place.store, {"t": 0}, every=2) as run:
                for step in run.steps(6):
                    run.log(loss=1.0 / (step + 1))
                    if stops_now and step == 4:
                        run.wait()
                        raise KeyError
        except KeyError:
            pass
    return collect(place, (), stdout=False)


def test_what_was_lost_and_logged_again_is_logged_once(tmp_path):
    whole, broken = _logged(tmp_path / "whole", stops=False), _logged(tmp_path / "broken", stops=True)
    (one,) = broken.states.values()
    assert one.again == {0, 4}
    assert said(whole, broken) == []
    assert one.metrics[4, "loss"] == (0.2,)


def test_leaves_of_real_stores(tmp_path):
    first = _ran(tmp_path / "first", [1.0, 2.0, 3.0])
    assert said(first, _ran(tmp_path / "same", [1.0, 2.0, 3.0])) == []
    other = _ran(tmp_path / "other", [1.0, 2.5, 3.0])
    text = "1 of 3 numbers differ, by up to 0.5; the first, [1], is 2.5, expected 2.0"
    assert said(first, other) == [f"w: {text}"]
    assert said(first, other, Terms(tolerance=0.4)) == []
    assert said(first, _ran(tmp_path / "longer", [1.0])) == ["w: is float64[1], expected float64[3]"]
    assert said(first, _ran(tmp_path / "zero", [1.0, 2.0, 3.0], np.float32))[0].startswith("w: is float32[3]")
    zeros = _ran(tmp_path / "zeros", [0.0]), _ran(tmp_path / "negative", [-0.0])
    assert said(*zeros) == ["w: differs in the bits of its zeros or NaNs"]
    squares = _ran(tmp_path / "square", [[1.0, 2.0], [3.0, 4.0]]), _ran(tmp_path / "else", [[1.0, 2.0], [3.5, 5.0]])
    assert said(*squares) == ["w: 2 of 4 numbers differ, by up to 1; the first, [1, 0], is 3.5, expected 3.0"]
    assert list(next(iter(first.states.values())).metrics) == [(0, "loss"), (1, "loss"), (2, "loss")]
