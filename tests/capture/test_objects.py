"""Objects: state goes into the live one, through its own methods or its attributes; never a new one."""

from __future__ import annotations

import enum
import functools
import math
import re
import sys
import types
from collections import UserDict, namedtuple
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from capture.kit import Saved, identical, roundtrip
from outlast.capture import Pool, check, register, restore, snapshot
from outlast.errors import DamageError, MismatchError


class Plain:
    def __init__(self, n=0):
        self.n = n
        self.array = np.zeros(3) + n
        self.nested = {"list": [n]}
        self.act = math.sin


class Slotted:
    __slots__ = ("__private", "a", "b", "unset")

    def __init__(self, a):
        self.a = a
        self.b = [a]
        self.__private = a

    def private(self):
        return self.__private


class Both(Slotted):
    def __init__(self, a):
        super().__init__(a)
        self.extra = a


class Custom:
    def __init__(self, n):
        self.n = n
        self.file = open(__file__, encoding="utf-8")  # noqa: SIM115
        self.file.close()

    def __getstate__(self):
        return {"n": self.n, "twice": [self.n * 2]}

    def __setstate__(self, state):
        self.n = state["n"]
        self.twice = state["twice"]


class Stateful:
    def __init__(self, n):
        self.w = np.zeros(4) + n
        self.log = [n]
        self.loads = 0

    def state_dict(self):
        return {"w": self.w, "log": self.log}

    def load_state_dict(self, state):
        self.log.clear()
        self.log.extend(state["log"])
        self.w = state["w"]
        self.loads += 1


@dataclass
class Config:
    lr: float
    names: list[str] = field(default_factory=list)
    array: Any = None


@dataclass(frozen=True)
class Frozen:
    lr: float
    array: Any


@dataclass(frozen=True, slots=True)
class FrozenSlots:
    lr: float
    many: list[int]


class Point(NamedTuple):
    x: float
    y: Any


class Mode(enum.Enum):
    A = 1


class AttrDict(dict):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.__dict__ = self


class NamedList(list):
    pass


def test_a_plain_object_is_refilled():
    live = Plain(0)
    array, nested = live.array, live.nested
    live.nested["gone"] = 1
    saved = Plain(5)
    saved.lazy = [1, 2]
    state = roundtrip({"o": saved}, {"o": live})
    assert state["o"] is live
    assert (live.n, live.lazy) == (5, [1, 2])
    assert live.array is array
    assert array.tolist() == [5, 5, 5]
    assert live.nested is nested
    assert nested == {"list": [5]}
    assert live.act is math.sin


def test_slots_and_private_names():
    for cls in (Slotted, Both):
        live = cls(1)
        roundtrip({"o": cls(7)}, {"o": live})
        assert (live.a, live.b, live.private()) == (7, [7], 7)
        assert not hasattr(live, "unset")
    assert live.extra == 7


def test_an_objects_own_state_methods():
    live = Custom(1)
    roundtrip({"o": Custom(8)}, {"o": live})
    assert (live.n, live.twice) == (8, [16])
    assert not Saved({"o": live}).leaves


def test_state_dict_objects_may_clear_what_they_showed():
    live = Stateful(0)
    array = live.w
    roundtrip({"o": Stateful(3)}, {"o": live})
    assert live.log == [3]
    assert live.w is array
    assert array.tolist() == [3, 3, 3, 3]
    assert live.loads == 1


def test_dataclasses():
    live = Config(0.0, ["x"], np.zeros(2))
    names, array = live.names, live.array
    saved = Config(0.5, ["a", "b"], np.ones(2))
    saved.late = 4
    roundtrip({"c": saved}, {"c": live})
    assert (live.lr, live.names, live.late) == (0.5, ["a", "b"], 4)
    assert live.names is names
    assert live.array is array
    assert array.tolist() == [1, 1]


def test_frozen_dataclasses_are_replaced_and_their_arrays_filled():
    array = np.zeros(2)
    live = Frozen(0.0, array)
    state = roundtrip(
        {"c": Frozen(0.5, np.ones(2)), "l": [FrozenSlots(1.0, [1])]}, {"c": live, "l": [FrozenSlots(0.0, [])]}
    )
    assert state["c"].lr == 0.5
    assert state["c"].array is array
    assert live.lr == 0.0
    assert state["l"] == [FrozenSlots(1.0, [1])]


def test_named_tuples_are_rebuilt_with_the_live_type():
    array = np.zeros(2)
    state = roundtrip(
        {"p": Point(1.5, np.ones(2)), "l": [Point(0.0, 1)]}, {"p": Point(0.0, array), "l": [Point(9.0, 9)]}
    )
    assert type(state["p"]) is Point
    assert state["p"].x == 1.5
    assert state["p"].y is array
    assert state["l"] == [Point(0.0, 1)]
    other = namedtuple("Point", ["x", "z"])  # noqa: PYI024
    with pytest.raises(MismatchError, match="p: saved with the fields"):
        roundtrip({"p": Point(1.0, 2)}, {"p": other(1, 2)})


def test_dict_and_list_subclasses_keep_type_and_attributes():
    saved = {"d": AttrDict(a=1, b=[2]), "l": NamedList([1, np.ones(2)]), "u": UserDict(k=1)}
    saved["l"].title = "t"
    live = {"d": AttrDict(a=0), "l": NamedList([0, np.zeros(2)]), "u": UserDict()}
    live["l"].title = ""
    held = dict(live)
    roundtrip(saved, live)
    assert all(live[name] is held[name] for name in held)
    assert live["d"] == {"a": 1, "b": [2]}
    assert live["d"].b == [2]
    assert live["l"][0] == 1
    assert live["l"].title == "t"
    assert live["u"] == {"k": 1}


def test_namespaces_and_objects_in_lists():
    live = {"n": SimpleNamespace(a=1), "l": [Plain(0), Plain(0)]}
    objects = list(live["l"])
    roundtrip({"n": SimpleNamespace(a=2), "l": [Plain(1), Plain(2)]}, live)
    assert live["n"].a == 2
    assert [one.n for one in live["l"]] == [1, 2]
    assert live["l"][0] is objects[0]


def test_an_object_saved_twice_is_one_object():
    one = Plain(4)
    assert check({"a": one, "b": [one]}) == 24
    live = Plain(0)
    state = roundtrip({"a": one, "b": [one]}, {"a": live, "b": [live]})
    assert state["b"][0] is live
    apart = roundtrip({"a": one, "b": [one]}, {"a": Plain(0), "b": [Plain(0)]})
    assert apart["b"][0].n == apart["a"].n == 4
    state = roundtrip({"a": Plain(1), "b": [Plain(2)]}, {"a": live, "b": [live]})
    assert state["a"] is live
    assert (live.n, state["b"][0].n, state["b"][0].act) == (1, 2, math.sin)
    with pytest.raises(MismatchError, match=r"b/0: saved apart from a, but the same object"):
        roundtrip({"a": Stateful(1), "b": [Stateful(2)]}, {"a": (one := Stateful(0)), "b": [one]})


def test_registered_types():
    class Engine:
        def __init__(self, handle):
            self.handle = handle
            self.lock = __import__("threading").Lock()

    register(Engine, capture=lambda e: {"handle": e.handle}, restore=lambda e, s: setattr(e, "handle", s["handle"]))
    live = Engine([0])
    state = roundtrip({"e": Engine([5, np.ones(2)])}, {"e": live})
    assert state["e"] is live
    assert live.handle[0] == 5

    class Value:
        def __init__(self, n):
            self.n = n

    register(Value, capture=lambda v: v.n, restore=lambda _, n: Value(n))
    state = roundtrip({"v": Value(3), "l": [Value(4)]}, {"v": (old := Value(0)), "l": [Value(1)]})
    assert (state["v"].n, state["l"][0].n, old.n) == (3, 4, 0)


NEEDS_LIVE = [Plain(1), Config(1.0), Point(1.0, 2), Mode.A, Custom(1), Stateful(1), AttrDict(a=1), math.sin]


@pytest.mark.parametrize("value", NEEDS_LIVE, ids=lambda value: type(value).__name__)
def test_objects_are_never_made(value):
    for live in ({}, {"x": 5}, {"x": None}):
        if callable(value) and live:
            continue
        with pytest.raises(MismatchError, match=r"d/x: saved as .*make it before the restore"):
            roundtrip({"d": {"x": value}}, {"d": live})
    live = {"d": {"y": 1}}
    Saved({"d": {"x": value, "y": 2}}).into(live, allow=["d/x"])
    assert live == {"d": {"y": 2}}


def test_missing_extra_and_other_kinds_are_named_before_anything_changes():
    saved = {"a": Plain(1), "gone": [1], "c": {"k": 1}, "u": np.ones(2), "m": Stateful(1)}
    live = {"a": Plain(0), "new": 1, "c": [5], "u": {"x": 1}, "m": Plain(1)}
    live["a"].more = 1
    with pytest.raises(MismatchError) as caught:
        roundtrip(saved, live)
    text = str(caught.value)
    assert "gone: the checkpoint has this component, the program has not" in text
    assert "new: the program has this component, the checkpoint has not" in text
    assert "a/more: the live object has it, the checkpoint has not" in text
    assert "c: saved as a dict, the program has list" in text
    assert "u: saved as a array, the program has dict" in text or "u: saved as an array, the program has dict" in text
    assert "m: saved as" in text
    assert 'allow=["a/more"]' in text
    assert (live["a"].n, live["c"], live["new"]) == (0, [5], 1)
    report = Saved(saved).into(live, allow=["gone", "new", "a/*", "[cum]"])
    assert live["new"] == 1
    assert "gone" not in live
    assert live["a"].more == 1
    assert {row.path for row in report.rows if row.status == "kept"} >= {
        "gone",
        "new",
        "a/more",
        "c",
        "u",
        "m",
    }
    assert "kept" in str(report)


def test_the_hint_means_the_very_leaf_whatever_its_name():
    saved = Saved({"d": {"w[0]": np.zeros(2), "w0": np.zeros(2)}})
    live = {"d": {"w[0]": np.ones(3), "w0": np.ones(2)}}
    with pytest.raises(MismatchError, match=r'allow=\["d/w\[\[\]0\]"\]') as caught:
        saved.into(live)
    hinted = re.search(r'allow=\["(.*?)"\]', caught.value.hint)[1]
    for allow in ([hinted], ["d/w[0]"]):
        report = saved.into({"d": dict(live["d"])}, allow=allow)
        assert [row.path for row in report.kept] == ["d/w[0]"]


def test_only_the_first_twenty_problems_are_named():
    with pytest.raises(MismatchError, match="and 5 more") as caught:
        roundtrip({str(n): n for n in range(25)}, {})
    assert str(caught.value).count("the checkpoint has this component") == 20


def test_an_object_that_refuses_its_state_is_named():
    class Picky(Stateful):
        def load_state_dict(self, state):
            raise KeyError("w2")

    with pytest.raises(MismatchError, match=r"p: it did not take its saved state: KeyError: 'w2'"):
        roundtrip({"p": Picky(1)}, {"p": Picky(0)})


def test_damage_leaves_containers_alone_and_the_restore_can_be_repeated():
    class Torn:
        def __init__(self, whole):
            self.whole = whole

        def read_into(self, path, view):
            if path == "z":
                raise DamageError("a chunk differs", path="part")
            self.whole.read_into(path, view)

    newer = Saved({"d": {"h": np.arange(9.0), "n": 9, "l": [1]}, "o": Stateful(9), "z": np.ones(2)})
    older = Saved({"d": {"h": np.arange(5.0)}, "o": Stateful(5), "z": np.zeros(2)})
    live = {"d": {}, "o": Stateful(0), "z": np.full(2, 7.0)}
    with pytest.raises(DamageError) as caught:
        restore(live, newer.tree, newer.leaves, Torn(newer.source))
    assert caught.value.path == "part"
    assert live["d"] == {}
    assert (live["o"].log, live["o"].loads) == ([0], 0)
    older.into(live)
    assert live["d"]["h"].tolist() == [0, 1, 2, 3, 4]
    assert live["o"].w.tolist() == [5, 5, 5, 5]


@pytest.mark.parametrize(
    "node",
    [
        {"$": "same", "path": "nowhere"},
        {"$": "array", "leaf": "nowhere"},
        {"$": "pickle", "value": "x"},
        {"$": "int", "value": "x"},
        {"$": "adapter", "name": "decimal.Decimal", "class": "x", "state": "one"},
        {"$": "adapter", "name": "subclass", "class": "x", "state": []},
        {"$": "adapter", "name": "collections.Counter", "class": "x", "state": 3},
        {"$": "adapter"},
        {"$": "tuple"},
        {"$": "set", "items": [[1]]},
        {"$": "dict", "items": [[{"$": "bytearray", "base64": ""}, 1]]},
        {"$": "dict", "items": [1]},
        {"$": "dict"},
    ],
    ids=str,
)
def test_a_tree_that_contradicts_itself_is_damage(node):
    with pytest.raises(DamageError):
        restore({"d": {}}, {"d": {"x": node}}, {}, None)


def test_names_in_a_tree_call_nothing():
    for node in (
        {"$": "object", "class": "os.system", "state": {"x": 1}},
        {"$": "adapter", "name": "os.system", "class": "os.system", "state": "true"},
        {"$": "fixed", "name": "os.system"},
        {"$": "enum", "class": "antigravity.X", "name": "A"},
    ):
        with pytest.raises(MismatchError, match="d/x"):
            restore({"d": {}}, {"d": {"x": node}}, {}, None)
    assert "antigravity" not in sys.modules


def test_methods_of_captured_objects_and_partials_are_part_of_the_program():
    class Trainer:
        def __init__(self):
            self.n = 1
            self.hook = self.step
            self.scale = functools.partial(round, ndigits=2)

        def step(self):
            return self.n

    live = Trainer()
    live.n = 0
    roundtrip({"t": Trainer()}, {"t": live})
    assert live.hook() == live.n == 1


def moved(function):
    """Return the function as another module would hold it."""
    twin = types.FunctionType(function.__code__, {}, function.__name__)
    twin.__module__, twin.__qualname__ = "elsewhere", function.__qualname__
    return twin


def one():
    pass


def other():
    pass


DIFFERING = [
    (math.sin, math.cos, "it was math:sin, it is math:cos"),
    (Plain, Slotted, "it was .*:Plain, it is .*:Slotted"),
    (functools.partial(one, 1, k="a"), functools.partial(one, 2, k="a"), r"one, 1, k='a'\), it is .*one, 2, k='a'"),
    (functools.partial(one, np.int8(1)), functools.partial(one, np.int8(2)), r"np.int8\(1\)"),
    (functools.partial(one, other), functools.partial(one, one), "it is functools.partial"),
    (re.compile("a"), re.compile("b"), r"it was re.compile\('a', 32\), it is re.compile\('b', 32\)"),
    (re.compile("a"), re.compile("a", re.DOTALL), r"it is re.compile\('a', 48\)"),
    (np.dtype("f4"), np.dtype("f8"), "it was numpy.float32, it is numpy.float64"),
]


@pytest.mark.parametrize(("saved", "live", "detail"), DIFFERING, ids=lambda value: str(value)[:20])
def test_another_part_of_the_program_is_a_mismatch(saved, live, detail):
    checkpoint = Saved({"d": {"f": saved}})
    with pytest.raises(MismatchError, match=f"d/f: part of the program: .*{detail}"):
        checkpoint.into({"d": {"f": live}})
    state = {"d": {"f": live}}
    report = checkpoint.into(state, allow=["d/f"])
    assert state["d"]["f"] is live
    assert [row.status for row in report.rows] == ["kept"]
    assert checkpoint.into({"d": {"f": saved}}).rows == ()


def test_a_function_may_move_to_another_module():
    for saved, live in (
        (one, moved(one)),
        (functools.partial(one, (1, other)), functools.partial(moved(one), (1, other))),
    ):
        Saved({"d": {"f": saved}}).into({"d": {"f": live}})


def test_a_tie_to_a_part_of_the_program_is_compared_with_the_live_one():
    kind = np.dtype("f4")
    saved = Saved({"a": kind, "d": {"b": kind}})
    assert saved.tree["d"]["b"]["$"] == "same"
    saved.into({"a": kind, "d": {"b": kind}})
    with pytest.raises(MismatchError, match="d/b: part of the program"):
        saved.into({"a": kind, "d": {"b": np.dtype("i8")}})


def test_a_restore_never_hides_a_method_or_property():
    class Careful:
        n = 0

        def go(self):
            return "live"

        @property
        def size(self):
            return 3

        @functools.cached_property
        def slow(self):
            return 0

    live = Careful()
    for name in ("go", "size", "__class__"):
        node = {"$": "object", "class": "x.Careful", "state": {"n": 1, "slow": 5, name: 7}}
        with pytest.raises(MismatchError, match=f"o/{name}: saved as an attribute, .*Careful defines it as a method"):
            restore({"o": live}, {"o": node}, {}, None)
        restore({"o": live}, {"o": node}, {}, None, allow=[f"o/{name}"])
    assert (live.go(), live.size, live.slow, live.n) == ("live", 3, 5, 1)


def test_many_small_leaves_are_described_in_one_pass():
    state = {"d": {f"k{number}": np.full(3, number) for number in range(2000)}}
    taken = snapshot(state, Pool())
    assert len(taken.leaves) == 2000
    live = {"d": {f"k{number}": np.zeros(3, int) for number in range(2000)}}
    assert identical(roundtrip(state, live), state)
