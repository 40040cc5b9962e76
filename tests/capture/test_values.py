"""Plain Python values and containers come back bit-exact, with their types, in the live containers."""

from __future__ import annotations

import copy
import enum
import math
import pathlib
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.kit import Saved, identical, nan_with_payload, roundtrip
from outlast.capture import Pool, check, snapshot


class Color(enum.Enum):
    RED = 1
    BLUE = 2
    ROUGE = 1  # noqa: PIE796  (an alias)


class Perm(enum.Flag):
    R = 4
    W = 2


class Level(enum.IntEnum):
    LOW = 1


PLAIN = [
    None,
    True,
    False,
    0,
    -1,
    2**53,
    2**53 + 1,
    -(2**53) - 1,
    2**200,
    -(2**20000),
    0.0,
    -0.0,
    0.1,
    1e300,
    5e-324,
    1.0,
    math.inf,
    -math.inf,
    math.nan,
    -math.nan,
    nan_with_payload(),
    1 + 2j,
    complex(-0.0, math.nan),
    "",
    "x" * 70_000,
    "ü\0\n",
    "\ud800 lone",
    "\ud800" * 70_000,
    b"",
    b"\0\xff",
    b"long" * 3000,
    date(2026, 1, 2),
    datetime(2026, 1, 2, 3, 4, 5, 6),  # noqa: DTZ001
    datetime(2026, 1, 2, tzinfo=UTC),
    datetime(2026, 1, 2, fold=1, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    time(1, 2, 3, 4, fold=1),
    timedelta(days=-3, seconds=5, microseconds=7),
    pathlib.Path("/a/b c"),
    pathlib.PurePosixPath("a"),
    pathlib.PureWindowsPath("c:/x"),
    pathlib.Path("bad\udcff"),
    (),
    (1, (2.0, "3")),
    frozenset(),
    frozenset({1, "a", (2, b"x")}),
    Decimal("1.10"),
    Fraction(-1, 3),
    UUID(int=5),
    range(3, -9, -2),
    ...,
    [],
    {},
    set(),
    deque(),
]


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: type(value).__name__)
def test_a_value_comes_back_at_the_top_and_inside(value):
    live = roundtrip({"top": value, "in": {"d": [value]}}, {"top": None, "in": {}})
    assert identical(live["top"], value)
    assert identical(live["in"], {"d": [value]})


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: type(value).__name__)
def test_the_tree_is_json_and_values_replace_others(value):
    live = roundtrip({"d": {"k": value}}, {"d": {"k": 5}})
    assert identical(live["d"]["k"], value)


def test_a_bytearray_is_filled_in_place():
    for data in (bytearray(b"abc"), bytearray(b"abc" * 3000), bytearray()):
        held = bytearray(b"old")
        live = roundtrip({"b": data, "in": [data]}, {"b": held, "in": []})
        assert live["b"] is held
        assert held == data


def test_enums_are_found_in_the_class_of_the_live_value():
    saved = {
        "c": Color.ROUGE,
        "p": Perm.R | Perm.W,
        "n": Perm(0),
        "i": Level.LOW,
        "l": [Color.RED, Color.BLUE],
    }
    live = roundtrip(saved, {"c": Color.BLUE, "p": Perm.R, "n": Perm.R, "i": Level.LOW, "l": [Color.RED]})
    assert live == saved
    assert all(type(live[key]) is type(saved[key]) for key in saved)


def test_containers_keep_their_identity():
    saved = {
        "d": {"a": [1], "b": {"x": {2}}, "new": deque([1], 3)},
        "o": OrderedDict(b=1, a=2),
        "c": Counter("aab"),
        "dd": defaultdict(list, {"x": [1]}),
        "q": deque([1, 2], maxlen=4),
        "s": {1, 2},
    }
    live = {
        "d": {"gone": 1, "b": {"x": {9}}, "a": [5, 6, 7]},
        "o": OrderedDict(z=1),
        "c": Counter(),
        "dd": defaultdict(list),
        "q": deque([9], maxlen=4),
        "s": {7},
    }
    held = {name: live[name] for name in live}
    inner = live["d"]["a"], live["d"]["b"], live["d"]["b"]["x"]
    roundtrip(saved, live)
    assert all(live[name] is held[name] for name in held)
    assert (live["d"]["a"], live["d"]["b"], live["d"]["b"]["x"]) == ([1], {"x": {2}}, {2})
    assert live["d"]["a"] is inner[0]
    assert live["d"]["b"] is inner[1]
    assert live["d"]["b"]["x"] is inner[2]
    assert identical(live, saved)
    live["dd"]["fresh"].append(1)


def test_collections_are_made_where_the_program_has_none():
    saved = {"d": {"o": OrderedDict(b=1, a=2), "c": Counter("aab")}}
    assert identical(roundtrip(saved, {"d": {}}), saved)


def test_keys_of_all_kinds():
    saved = {
        "d": {
            1: "int",
            "1": "str",
            2.5: 0,
            None: 1,
            (1, ("a", b"b")): [2],
            b"k": 3,
            frozenset({1}): 4,
            Color.RED: 5,
            date(2026, 1, 1): 6,
            "$x": 7,
            "a/b": 8,
            "": 9,
            "%": 10,
            "..": 11,
            "\ud800": 12,
            "k" * 1000: 13,
            2**70: 14,
        }
    }
    assert identical(roundtrip(saved, {"d": {Color.BLUE: 1}}), saved)


def test_leaf_paths_are_unique_whatever_the_keys():
    blob = b"x" * 5000
    keys = [
        1,
        "1",
        True and "True",
        "a/b",
        "a%2Fb",
        "",
        "%",
        ".",
        "..",
        "%2E",
        "\n",
        "k" * 300,
        "k" * 301,
        "1~2",
    ]
    state = {"d": dict.fromkeys(keys, blob) | {"a": {"b": blob}}, "d/a": blob}
    paths = [leaf.path for leaf in snapshot(state, Pool()).leaves]
    assert len(set(paths)) == len(paths) == len(keys) + 2
    assert identical(roundtrip(state, {"d": {}, "d/a": b""}), state)


def test_the_report_tells_added_and_removed():
    report = Saved({"d": {"a": 1, "b": [1, 2]}}).into({"d": {"a": 0, "old": 5, "b": [1, 2, 3]}})
    rows = {row.path: row.status for row in report.rows}
    assert rows == {
        "d/a": "restored",
        "d/b/0": "restored",
        "d/b/1": "restored",
        "d/b/2": "removed",
        "d/old": "removed",
    }
    assert report.problems == ()
    assert "removed" in str(report)
    assert rows != {row.path: row.status for row in Saved({"d": {"n": 1}}).into({"d": {}}).rows}


def test_what_is_met_twice_is_saved_once_and_stays_one():
    shared = [b"x" * 10_000]
    saved = {"a": shared, "b": {"again": shared}}
    assert check(saved) == 10_000
    live = roundtrip(saved, {"a": [], "b": {}})
    assert live["a"] is live["b"]["again"]
    separate = roundtrip(saved, {"a": [], "b": {"again": []}})
    assert separate["a"] == separate["b"]["again"] == shared


def test_what_was_saved_apart_comes_apart():
    one = [1]
    live = roundtrip({"d": {"a": [1], "b": [2]}}, {"d": {"a": one, "b": one}})
    assert live["d"] == {"a": [1], "b": [2]}
    assert live["d"]["a"] is one


def scalars():
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.complex_numbers(),
        st.text(st.characters()),
        st.binary(),
        st.dates(),
        st.timedeltas(),
        st.datetimes(timezones=st.just(UTC) | st.none()),
        st.decimals(allow_nan=False),
    )


def keys():
    plain = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.binary(), st.dates())
    return st.one_of(plain, st.tuples(plain, plain))


def nested():
    return st.recursive(
        scalars(),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(keys(), inner, max_size=4),
            st.tuples(inner, inner),
            st.sets(keys(), max_size=4),
            st.frozensets(keys(), max_size=4),
            st.lists(inner, max_size=3).map(lambda items: deque(items, 5)),
            st.dictionaries(st.text(), inner, max_size=3).map(OrderedDict),
        ),
        max_leaves=12,
    )


@given(saved=nested())
def test_any_nested_state_comes_back_from_nothing(saved):
    assert identical(roundtrip({"d": {"x": saved}}, {"d": {}})["d"]["x"], saved)


@given(saved=nested(), other=nested())
def test_any_nested_state_replaces_any_other(saved, other):
    if isinstance(other, OrderedDict) or type(saved) is OrderedDict:
        return  # a live dict keeps its type
    live = roundtrip({"d": [saved]}, {"d": [other]})
    assert live["d"][0] == saved or identical(live["d"][0], saved) or _has_nan(saved)


def _has_nan(value):
    return "nan" in repr(value)


@given(saved=nested())
def test_restoring_into_itself_changes_nothing(saved):
    live = {"d": {"x": copy.deepcopy(saved)}}
    held = live["d"]["x"]
    roundtrip({"d": {"x": saved}}, live)
    assert identical(live["d"]["x"], saved)
    if isinstance(held, (dict, list, set, deque)):
        assert live["d"]["x"] is held
