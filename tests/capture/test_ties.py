"""What was one object when it was saved is one object again; a difference is a mismatch, never damage."""

from __future__ import annotations

import numpy as np
import pytest

from capture.kit import Saved, roundtrip
from outlast.capture import restore
from outlast.errors import DamageError, MismatchError


class Holder:
    def __init__(self, **kwargs):
        vars(self).update(kwargs)


def twice(name="a", other="b"):
    array = np.zeros(3)
    return {name: array, other: array}


def test_a_tie_to_a_component_that_the_program_has_not_is_a_mismatch():
    saved = Saved(twice())
    with pytest.raises(MismatchError, match="a: the checkpoint has this component, the program has not"):
        saved.into({"b": np.ones(3)})
    live = {"b": np.ones(3)}
    held = live["b"]
    saved.into(live, allow=["a"])
    assert live["b"] is held
    assert held.tolist() == [0, 0, 0]


def test_a_tie_to_what_was_allowed_to_differ_is_restored_where_it_fits():
    live = {"a": np.ones(5), "b": np.ones(3)}
    Saved(twice()).into(live, allow=["a"])
    assert (live["a"].tolist(), live["b"].tolist()) == ([1] * 5, [0] * 3)
    tied = twice()
    tied["a"] = tied["b"] = np.ones(5)
    rows = Saved(twice()).into(tied, allow=["a"]).rows
    assert [(row.path, row.status) for row in rows] == [("a", "kept"), ("b", "kept")]
    assert tied["a"] is tied["b"]


def test_ties_inside_what_the_program_lacks():
    inner = [1, np.arange(2.0)]
    saved = Saved({"gone": {"x": inner, "y": [inner]}, "b": {"z": inner, "again": inner[1]}})
    live = {"b": {}}
    saved.into(live, allow=["gone"])
    assert live["b"]["z"][1] is live["b"]["again"]
    assert live["b"]["again"].tolist() == [0, 1]


def test_buffers_that_changed_places():
    def build():
        one, other = np.zeros(3), np.ones(3)
        return {"bufs": [one, other], "cur": one, "o": Holder(a=one, b=other, cur=one)}

    saved = build()
    saved["cur"] = saved["o"].cur = saved["bufs"][1]
    live = build()
    held = list(live["bufs"])
    roundtrip(saved, live)
    assert all(a is b for a, b in zip(live["bufs"], held, strict=True))
    assert live["cur"] is live["o"].cur is live["o"].b is live["bufs"][1]


@pytest.mark.parametrize("make", [lambda n: {"x": [n]}, lambda n: Holder(x=n)], ids=["dict", "object"])
def test_the_best_of_a_population(make):
    def build():
        population = [make(number) for number in range(3)]
        return {"pop": population, "best": population[0]}

    saved = build()
    saved["best"] = saved["pop"][2]
    live = build()
    held = list(live["pop"])
    roundtrip(saved, live)
    assert live["best"] is live["pop"][2] is held[2]


def test_lists_tied_while_running():
    shared = [1]
    live = roundtrip({"d": {"a": shared, "b": shared}}, {"d": {"a": [], "b": []}})
    assert live["d"]["a"] is live["d"]["b"]


def test_a_view_of_what_is_filled_in_place_stays_that_view():
    buffer = np.zeros(3)
    view = buffer[:]
    saved = np.arange(3.0)
    live = roundtrip({"a": saved, "v": [saved[:]]}, {"a": buffer, "v": [view]})
    assert live["v"][0] is view
    assert view.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "tree",
    [
        {"x": [{"$": "same", "path": "x"}]},
        {"x": [{"$": "same", "path": "x/1"}, []]},
        {"x": {"$": "same", "path": "y"}, "y": []},
        {"x": 1, "y": {"$": "same", "path": "x"}},
    ],
    ids=["in itself", "later", "a later component", "a plain value"],
)
def test_a_tie_to_nothing_before_it_is_damage(tree):
    with pytest.raises(DamageError, match="which no node before it is"):
        restore(dict.fromkeys(tree), tree, {}, None)
