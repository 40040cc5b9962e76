"""What a walk remembers of containers of arrays: the next walk says exactly what one without a memory would say."""

from __future__ import annotations

import gc
import warnings
import weakref
from collections import OrderedDict, deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

from outlast.capture import snapshots
from outlast.capture.adapter import LeafAdapter
from outlast.capture.adapters.numpy import ArrayAdapter
from outlast.capture.kinds import Kinds
from outlast.capture.outline import Comparison, Outline
from outlast.capture.registry import Registry
from outlast.capture.walk import DEEPEST, Walk
from outlast.errors import CaptureError


def walked(state, began, *, remembers=True):
    """Return what a walk says, and the bytes that it would have copied; or the error."""
    watch = Comparison(began)
    if not remembers:
        watch.remembered = None
    try:
        tree, walk = snapshots._walked(state, watch)
    except CaptureError as error:
        return str(error), error.hint
    return tree, [told(leaf) for leaf in walk.pending]


def told(leaf):
    out = bytearray(leaf.size_bytes)
    leaf.copy(memoryview(out))
    return leaf.path, leaf.dtype, leaf.shape, leaf.size_bytes, leaf.address, bytes(out)


def check(state, began):
    """Compare a walk with one that remembers nothing."""
    remembered = walked(state, began)
    assert remembered == walked(state, began, remembers=False)
    return remembered


@pytest.fixture
def asked(monkeypatch):
    """Return the paths, well, the shapes of the arrays that were asked one by one."""
    shapes = []
    describe = ArrayAdapter.describe

    def counted(self, value):
        shapes.append(value.shape)
        return describe(self, value)

    monkeypatch.setattr(ArrayAdapter, "describe", counted)
    return shapes


def arrays(count=6):
    return [np.arange(4.0) + number for number in range(count)]


CONTAINERS = {
    "dict": lambda: {"p": {f"w{number}": array for number, array in enumerate(arrays())}},
    "components": lambda: {f"w{number}": [array, array * 2] for number, array in enumerate(arrays())},
    "list": lambda: {"p": arrays()},
    "tuple": lambda: {"p": tuple(arrays())},
    "deque": lambda: {"p": deque(arrays(), 9)},
    "ordered": lambda: {"p": OrderedDict(a=np.zeros(3), b=np.ones(2, "i4"))},
    "nested": lambda: {"p": {"a": dict(zip("xy", arrays(2), strict=True)), "b": arrays(3), "n": 3}},
    "numbered": lambda: {"p": {0: {"m": np.zeros(3), "v": np.ones(3)}, 1: {"m": np.zeros(2), "v": np.ones(2)}}},
}


@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS)
def test_arrays_that_are_as_before_are_not_asked_one_by_one(make, asked):
    state = make()
    began = snapshots.outline(state)
    first = walked(state, began)
    asked.clear()
    assert walked(state, began) == first
    assert not asked
    assert first == walked(state, began, remembers=False)
    assert asked


def test_contents_are_those_of_the_moment(asked):
    state = {"p": arrays()}
    began = snapshots.outline(state)
    walked(state, began)
    state["p"][3][:] = 77
    asked.clear()
    check(state, began)
    assert len(asked) == 6  # of the walk without a memory


def test_arrays_that_moved_are_not_asked_one_by_one(asked):
    state = {"p": dict(zip("abc", arrays(3), strict=True))}
    began = snapshots.outline(state)
    walked(state, began)
    kept = list(state["p"].values())
    state["p"] = {name: array + 1 for name, array in state["p"].items()}
    asked.clear()
    moved = walked(state, began)
    assert not asked
    assert moved == walked(state, began, remembers=False)
    del kept


def test_no_array_is_held_between_two_walks():
    state = {"p": {"a": np.zeros(5), "b": np.zeros((3, 4)).T, "c": np.zeros(2)}}
    began = snapshots.outline(state)
    walked(state, began)
    walked(state, began)
    gc.collect()
    for name in "ac":
        state["p"][name].resize(7)  # refuses if anybody else holds it
    gone = weakref.ref(state["p"].pop("b"))
    gc.collect()
    assert gone() is None
    check(state, began)


def test_the_leaves_of_arrays_as_before_are_the_same_objects():
    state = {"p": arrays()}
    began = snapshots.outline(state)
    _, first = snapshots._walked(state, Comparison(began))
    _, second = snapshots._walked(state, Comparison(began))
    assert all(one is other for one, other in zip(first.pending, second.pending, strict=True))


@pytest.mark.parametrize("walks", [1, 2])
def test_a_walk_keeps_its_arrays_alive_though_the_program_drops_them(walks):
    state = {"p": arrays()}
    began = snapshots.outline(state)
    for _ in range(walks):
        _, walk = snapshots._walked(state, Comparison(began))
    array = weakref.ref(state["p"][0])
    state["p"].clear()
    gc.collect()
    assert array() is not None
    del walk, _
    gc.collect()
    assert array() is None


def test_a_key_that_equals_a_string_but_is_none_is_another():
    state = {"p": {"a": np.zeros(2), "b": np.zeros(2)}}
    began = snapshots.outline(state)
    check(state, began)
    state["p"] = {np.str_("a"): state["p"]["a"], "b": state["p"]["b"]}
    tree, _ = check(state, began)
    assert tree["p"]["$"] == "dict"


def test_depth_is_checked_each_time():
    inner = arrays()
    for _ in range(DEEPEST - 3):
        inner = [inner]
    state = {"p": [inner]}
    began = snapshots.outline(state)
    check(state, began)
    state["p"][0] = tuple(inner)
    assert "deeper than" in check(state, began)[0]


def test_arrays_of_two_adapters_are_asked_one_by_one(tmp_path):
    class Mapped(ArrayAdapter):
        kind = "array"
        exact_types = (np.memmap,)

    registry = Registry()
    registry.plug((ArrayAdapter(), Mapped()))
    state = {"p": [np.zeros(2), np.memmap(tmp_path / "x", shape=(2,), mode="w+")]}
    watch = Comparison(snapshots.outline(state))
    Walk(Kinds(registry), watch).tree(state)
    assert watch.remembered._found == {}
    Walk(snapshots.KINDS, watch).tree(state)
    assert list(watch.remembered._found) == ["p"]


def test_another_adapter_for_the_type_is_used_at_once():
    state = {"p": arrays()}
    began = snapshots.outline(state)
    walked(state, began)
    snapshots.REGISTRY.changes += 1  # as if one had been registered
    watch = Comparison(began)
    snapshots._walked(state, watch)
    assert began.found._last == {}


def test_a_walk_that_fails_spoils_nothing():
    state = {"p": arrays(), "q": 1}
    began = snapshots.outline(state)
    walked(state, began)
    state["q"] = (one for one in "abc")
    assert "q is" in walked(state, began)[0]
    state["q"] = 1
    check(state, began)
    check(state, began)


def test_an_owner_that_takes_no_other_shape_refuses_it_though_the_walk_remembers():
    state = {"m": np.zeros((2, 2)).view(np.recarray), "p": arrays()}
    began = snapshots.outline(state)
    check(state, began)
    state["m"] = np.zeros((3, 3)).view(np.recarray)
    assert "takes no other" in check(state, began)[0]


def test_an_outline_and_a_walk_that_listens_to_nothing_remember_nothing():
    state = {"p": arrays()}
    began = snapshots.outline(state)
    snapshots._walked(state, None)
    snapshots._walked(state, Outline())
    assert began.found._found == {}


def test_resized_arrays_are_marked_as_long_as_they_are_resized():
    state = {"p": arrays(3)}
    began = snapshots.outline(state)
    check(state, began)
    state["p"][1] = np.zeros(9)
    tree, _ = check(state, began)
    assert [node.get("resized") for node in tree["p"]] == [None, True, None]
    assert check(state, began) == (tree, _)
    state["p"][1] = np.zeros(4)
    tree, _ = check(state, began)
    assert [node.get("resized") for node in tree["p"]] == [None, None, None]


def test_a_dtype_whose_names_change_in_place_is_never_remembered():
    dtype = np.dtype([("a", "i4"), ("b", "i4")])
    state = {"p": [np.zeros(2, dtype), np.zeros(3, dtype)]}
    began = snapshots.outline(state)
    check(state, began)
    assert began.found._found == {}


# what may happen between two walks


def rows(state):
    """List the containers of a state."""
    return [state, *(value for value in state.values() if isinstance(value, (dict, list)))]


def places(state):
    """List (container, key) of all values that are arrays."""
    found = []
    for row in rows(state):
        entries = row.items() if isinstance(row, dict) else enumerate(row)
        found += [(row, key) for key, value in entries if type(value) is np.ndarray]
    return found


def at(state, number):
    found = places(state)
    return found[number % len(found)] if found else (state, "solo")


def reshape(state, one, other):
    row, key = at(state, one)
    if row[key].flags.c_contiguous:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            row[key].shape = (-1,) if other % 2 else (1, row[key].size)


def resize(state, one, other):
    row, key = at(state, one)
    is_viewed = any(there[name].base is row[key] for there, name in places(state))  # that view would show freed memory
    if row[key].flags.c_contiguous and row[key].flags.owndata and not is_viewed:
        row[key].resize([other % 5], refcheck=False)


def retype(state, one, other):
    row, key = at(state, one)
    if row[key].dtype.itemsize == 8:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            row[key].dtype = ("<i8", "<f8", ">f8", "M8[s]")[other % 4]


def freeze(state, one, other):
    row, key = at(state, one)
    row[key].setflags(write=False)


def fill(state, one, other):
    row, key = at(state, one)
    if row[key].flags.writeable and row[key].size and row[key].dtype.kind == "f":
        row[key][...] = other


def copy(state, one, other):
    row, key = at(state, one)
    row[key] = row[key].copy()


def alias(state, one, other):
    row, key = at(state, one)
    there, name = at(state, other)
    row[key] = there[name]


def view(state, one, other):
    row, key = at(state, one)
    there, name = at(state, other)
    row[key] = there[name].view()


def part(state, one, other):
    row, key = at(state, one)
    there, name = at(state, other)
    if there[name].ndim:
        row[key] = there[name][: other % 4]


def odd(state, one, other):
    row, key = at(state, one)
    row[key] = [
        np.zeros((2, 3)).T,
        np.zeros(0),
        np.zeros(3, ">f8"),
        np.zeros(2, [("a", "i4")]),
        np.float64(3),
        None,
        as_strided(np.zeros(2), (3, 2), (0, 8)),
        np.zeros(8)[::2],
        np.zeros((2, 2)).view(np.recarray),
        np.array(5.0),
        np.array([np.datetime64("2026-01-01")]),
        [np.zeros(2)],
    ][other % 12]


def exchange(state, one, other):
    (row, key), (there, name) = at(state, one), at(state, other)
    row[key], there[name] = there[name], row[key]


def add(state, one, other):
    row = rows(state)[1:][one % (len(rows(state)) - 1)]
    new = np.full(4, float(other))
    row.append(new) if isinstance(row, list) else row.setdefault(f"n{other}", new)


def drop(state, one, other):
    row, key = at(state, one)
    if row is not state:
        del row[key]


def turn(state, one, other):
    row = rows(state)[1:][one % (len(rows(state)) - 1)]
    if isinstance(row, list):
        row.reverse()
    elif row:
        key = next(iter(row))
        row[key] = row.pop(key)


def rename(state, one, other):
    row, key = at(state, one)
    if isinstance(row, dict) and row is not state:
        row[("1", 1, "$x", "a/b", True)[other % 5]] = row.pop(key)


MUTATIONS = [reshape, resize, retype, freeze, fill, copy, alias, view, part, odd, exchange, add, drop, turn, rename]


def build():
    one, two, three, four, five, six = arrays()
    return {
        "before": np.ones(3),
        "d": {"a": one, "b": two, "c": three, "t": one},
        "l": [four, five, np.zeros((2, 3)), five[:]],
        "e": {"x": six, "y": np.zeros(3, "f4")},
        "solo": np.ones(4),
    }


MOVES = st.lists(st.tuples(st.sampled_from(MUTATIONS), st.integers(0, 20), st.integers(0, 20)), min_size=0, max_size=3)


@settings(max_examples=300, deadline=None)
@given(st.lists(MOVES, min_size=1, max_size=5))
def test_whatever_happens_between_two_walks_the_second_says_what_a_first_would(rounds):
    state = build()
    began = snapshots.outline(state)
    check(state, began)
    for moves in rounds:
        for move, one, other in moves:
            move(state, one, other)
        check(state, began)


def test_each_kind_of_change_alone_is_heard():
    for move in MUTATIONS:
        for one in range(9):
            for other in range(12):
                state = build()
                began = snapshots.outline(state)
                check(state, began)
                move(state, one, other)
                check(state, began)
                check(state, began)


def test_an_array_that_stands_where_a_dropped_one_stood_is_another():
    state = {"p": [np.zeros(4), np.ones(4)], "q": [np.ones(2)]}
    began = snapshots.outline(state)
    check(state, began)
    number = id(state["p"][0])
    for _ in range(50):
        state["p"][0] = None
        state["p"][0] = state["p"][1].view()
        if id(state["p"][0]) == number:
            break
    tree, _ = check(state, began)
    assert tree["p"][1] == {"$": "same", "path": "p/0", "view": True}


def test_what_several_arrays_say_at_once_is_what_each_says():
    adapter: LeafAdapter = ArrayAdapter()
    values = [np.zeros(3), np.zeros((2, 3)).T, np.zeros(2, ">i4"), np.zeros(3)[::2], np.array(1.0)]
    assert adapter.several.suits(values)
    assert adapter.several.identities(adapter.several.facts(values)) == list(map(adapter.identity, values))
    values[0].setflags(write=False)
    assert adapter.several.identities(adapter.several.facts(values)) == list(map(adapter.identity, values))
    assert not adapter.several.suits([np.zeros(0)])
    assert not adapter.several.suits([np.zeros(2, [("a", "i4")])])


ODD = {
    "plain": lambda: np.zeros(3),
    "read-only": lambda: np.frombuffer(b"12345678", "f8"),
    "dates": lambda: np.zeros(2, "M8[s]"),
    "transposed": lambda: np.zeros((2, 3)).T[1:],
    "backwards": lambda: np.zeros(5)[::-2],
    "swapped": lambda: np.zeros(2, ">f4")[1:],
    "structured": lambda: np.zeros(3, [("a", "i4"), ("b", "f8")])["b"],
    "number": lambda: np.array(5),
    "spread": lambda: np.broadcast_to(np.zeros(1), (4,)),
    "long": lambda: np.zeros(2, "g"),
    "text": lambda: np.array(["ab", "c"]),
}


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_an_address_is_where_the_array_interface_says(make):
    array, adapter = make(), ArrayAdapter()
    where = array.__array_interface__["data"][0]
    assert adapter.identity(array)[0] == where
    assert adapter.address(array) in (None, where)
    assert adapter.several.facts([np.zeros(2), array]).addresses[1] == where
