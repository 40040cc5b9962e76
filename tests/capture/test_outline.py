"""What a restart of the same program could not put back is refused at the save; much is made that was not there."""

from __future__ import annotations

import collections
import enum
import functools
import math
from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from capture.kit import Saved, identical
from outlast.capture import Adapter, Pool, outline, register, snapshot
from outlast.capture.registry import REGISTRY
from outlast.errors import CaptureError, MismatchError, UsageError


class Item:
    made = 0

    def __init__(self, n=0):
        type(self).made += 1
        self.n = n
        self.act = math.sin
        self.data = np.full(2, n)


class Late(Item):
    pass


@dataclass(slots=True)
class Point:
    x: float
    y: Any = None


class Pair(NamedTuple):
    one: int
    other: Any


class Phase(enum.Enum):
    A = 1
    B = 2


class Own:
    """Its state is its own affair."""

    def __init__(self, n):
        self.n = n

    def __getstate__(self):
        return [self.n]

    def __setstate__(self, state):
        self.n = state[0]


class Singleton:
    def __new__(cls):
        return object.__new__(cls)


class Stateful:
    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class Fresh(enum.Enum):
    X = 1


class Unknown:
    pass


class Compared:
    pass


@dataclass
class Known:
    n: int


register(Known)
register(Late)


def again(build, change, rebuild=None):
    """Save a state as a run would that began with `build`, and restore it into another that begins so."""
    state = build()
    began = outline(state)
    change(state)
    saved = Saved(state, began)
    live = (rebuild or build)()
    saved.into(live)
    return state, live


def setting(key, value):
    return lambda state: state.update({key: value})


@pytest.mark.parametrize(
    "more", [Item(3), Point(1.0, [2]), Pair(1, {"a": 2}), Phase.B, Own(5)], ids=lambda v: type(v).__name__
)
def test_a_list_that_grows_with_what_it_held(more):
    begin = {Item: Item(1), Point: Point(0.0), Pair: Pair(0, 0), Phase: Phase.A, Own: Own(1)}[type(more)]
    _, live = again(lambda: {"kin": begin, "l": []}, lambda state: state["l"].append(more))
    (found,) = live["l"]
    assert type(found) is type(more)
    if isinstance(more, Item):
        assert (found.n, found.act) == (3, math.sin)
        assert identical(found.data, more.data)
    elif isinstance(more, Own):
        assert found.n == 5
    else:
        assert found == more
    assert found is not more or isinstance(more, enum.Enum)


def test_no_init_is_called():
    state = {"l": [], "x": math.sin}
    began = outline(state)
    state["l"] = [Late(4), math.sin]
    saved = Saved(state, began)
    made = Late.made
    saved.into(live := {"l": [], "x": math.sin})
    assert Late.made == made
    assert (live["l"][0].n, live["l"][0].act, live["l"][1]) == (4, math.sin, math.sin)


def test_registered_classes_are_made_where_the_program_has_none():
    _, live = again(lambda: {"d": {"a": None, "l": []}}, lambda s: s["d"].update(a=Known(3), l=[Known(4)]))
    assert live == {"d": {"a": Known(3), "l": [Known(4)]}}
    with pytest.raises(UsageError, match="both capture and restore, or neither"):
        register(Known, capture=vars)


def test_enums_as_keys_and_values_of_a_known_class():
    def change(state):
        state["d"].update({Phase.B: 1, "v": Phase.B, ("t", Phase.A): 2})

    state, live = again(lambda: {"d": {}, "phase": Phase.A}, change)
    assert live == state


def test_an_object_of_another_known_class_takes_a_place():
    _, live = again(lambda: {"now": Item(1), "others": [Point(0.0)]}, setting("now", Point(2.0)))
    assert live["now"] == Point(2.0)


def test_model_weights_kept_aside():
    import copy

    def build():
        torch.manual_seed(1)
        return {"model": torch.nn.Linear(2, 2), "best": None, "d": {}}

    def change(state):
        state["best"] = copy.deepcopy(state["model"].state_dict())
        state["d"]["again"] = OrderedDict(a=1)
        state["d"]["again"].note = [1]

    state, live = again(build, change)
    assert type(live["best"]) is OrderedDict
    assert live["best"]._metadata == state["best"]._metadata
    assert torch.equal(live["best"]["weight"], state["best"]["weight"])
    assert live["d"]["again"].note == [1]
    live["model"].load_state_dict(live["best"])


@pytest.mark.parametrize(
    ("build", "change", "path", "reason", "remedy"),
    [
        (lambda: {"a": 1}, setting("b", 2), "b", "not there when the run began", "into the dict before"),
        (lambda: {"a": 1, "b": 2}, lambda s: s.pop("b"), "b", "lacks the component 'b'", "leave it there"),
        (lambda: {"a": [1]}, setting("a", None), "a", "of another kind", "of one kind"),
        (lambda: {"a": np.zeros(2)}, setting("a", 1.5), "a", "of another kind", "of one kind"),
        (lambda: {"a": None}, setting("a", Unknown()), "a", "is a .*Unknown, where", "outlast.register\\(Unknown\\)"),
        (lambda: {"a": [None]}, lambda s: s["a"].append(Fresh.X), "a/1", "is a .*Fresh", "outlast.register\\(Fresh\\)"),
        (lambda: {"a": {}}, lambda s: s["a"].update({Fresh.X: 1}), "a", "is a .*Fresh", "register"),
        (lambda: {"a": []}, lambda s: s["a"].append(Pair(1, 2)), "a/0", "is a .*Pair", "register"),
        (lambda: {"a": []}, lambda s: s["a"].append(Stateful()), "a/0", "where a restart will hold none", "make it"),
        (lambda: {"a": None}, setting("a", Singleton()), "a", "where a restart will hold none", "make it before"),
        (lambda: {"a": {}}, setting("a", {"x": defaultdict(list)}), "a/x", "a collections.defaultdict", "make it"),
        (lambda: {"f": math.sin}, setting("f", math.cos), "f", "is math:cos.* it was math:sin", "a string"),
        (lambda: {"f": None}, setting("f", math.cos), "f", "will hold none there", "a string"),
        (lambda: {"q": deque(maxlen=2)}, setting("q", deque(maxlen=3)), "q", "it began with maxlen=2", "one maxlen"),
        (lambda: {"o": Item(1)}, lambda s: vars(s["o"]).pop("n"), "o", "lacks n, which it had", "None instead"),
        (
            lambda: {"cur": (one := Stateful()), "all": [one, Stateful()]},
            lambda s: s.update(cur=s["all"][1]),
            "all/0",
            "stands apart from cur, but was the same object when the run began",
            "as many objects",
        ),
        (
            lambda: {"g": np.random.default_rng(1)},
            setting("g", np.random.Generator(np.random.Philox(1))),
            "g",
            "has changed .*the bit generator PCG64, the program has Philox",
            "before the run",
        ),
    ],
)
def test_refused_at_the_save(build, change, path, reason, remedy):
    state = build()
    began = outline(state)
    allowing = outline(state, [path])
    change(state)
    with pytest.raises(CaptureError, match=rf"^({path}|the state) .*{reason}[\s\S]*{remedy}"):
        snapshot(state, Pool(), began)
    snapshot(state, Pool(), allowing)
    with pytest.raises(MismatchError):
        Saved(state).into(build())


def test_modules_and_optimizers_that_change_are_refused():

    def build():
        model = torch.nn.Linear(2, 2)
        return {"m": model, "o": torch.optim.SGD(model.parameters(), lr=0.1)}

    def widen(state):
        state["m"].weight = torch.nn.Parameter(torch.zeros(3, 2))

    def group(state):
        state["o"].add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))]})

    def grow(state):
        state["m"].more = torch.nn.Parameter(torch.zeros(3))

    for change, text in (
        (widen, r"m/weight is float32\[3, 2\], it was float32\[2, 2\] when the run began"),
        (grow, "m has changed since the run began, .*it has got more"),
        (group, r"o has changed .*saved with \[2\] parameters in its groups, the program has \[2, 1\]"),
    ):
        state = build()
        began = outline(state)
        change(state)
        with pytest.raises(CaptureError, match=text):
            snapshot(state, Pool(), began)
        with pytest.raises(MismatchError):
            Saved(state).into(build())


def test_arrays_that_the_run_resized_are_bound_anew():
    def build():
        both = np.zeros(2)
        return {"a": np.zeros(2), "d": {"b": np.zeros(2, "f4"), "c": both}, "tied": both, "n": np.zeros(2)}

    def change(state):
        state["a"] = np.append(state["a"], 5.0)
        state["d"]["b"] = state["d"]["b"].astype("f8")
        state["tied"] = np.arange(3)

    state, live = again(build, change)
    assert identical(live["a"], state["a"])
    assert identical(live["d"], state["d"])
    assert identical(live["tied"], state["tied"])
    began = outline(build())
    taken = snapshot(state, Pool(), began)
    marked = [taken.tree[name].get("resized") for name in ("a", "tied", "n")]
    assert marked == [True, True, None]
    with pytest.raises(MismatchError, match="n: saved as"):
        Saved(state, began).into(build() | {"n": np.zeros(3)})


def test_tensors_that_the_run_resized_are_bound_anew():

    def change(state):
        state["t"] = torch.cat([state["t"], torch.ones(1)])

    state, live = again(lambda: {"t": torch.zeros(2)}, change)
    assert torch.equal(live["t"], state["t"])
    _, live = again(lambda: {"d": {"t": np.zeros(2)}}, lambda s: s["d"].update(t=torch.ones(3)))
    assert torch.equal(live["d"]["t"], torch.ones(3))


class Caching:
    def __init__(self):
        self.n = 2

    @functools.cached_property
    def square(self):
        return self.n**2


def test_what_a_cached_property_has_computed_may_go_and_come():
    def build():
        made = Caching()
        assert made.square == 4
        return {"o": made}

    def change(state):
        state["o"].n = 3
        del state["o"].square

    _, live = again(build, change)
    assert live["o"].square == 9


def test_namespaces_are_made():
    begin = SimpleNamespace(a=1)
    _, live = again(lambda: {"one": begin, "l": []}, lambda s: s["l"].append(SimpleNamespace(b=[2])))
    assert live["l"] == [SimpleNamespace(b=[2])]


def test_extra_state_of_a_module_may_grow():

    class Extra(torch.nn.Linear):
        held = None

        def get_extra_state(self):
            return {"seen": self.held}

        def set_extra_state(self, state):
            self.held = state["seen"]

    def build():
        made = Extra(1, 1)
        made.held = torch.zeros(1)
        return {"m": made}

    def change(state):
        state["m"].held = torch.ones(2)

    _, live = again(build, change)
    assert live["m"].held.tolist() == [1, 1]


def test_equal_devices_are_one_part_of_the_program():
    begin = [torch.device("cpu"), torch.device("cpu", 0), torch.device("cpu")]
    _, live = again(lambda: {"l": list(begin)}, lambda s: s["l"].append(torch.device("cpu")))
    assert live["l"] == [*begin, torch.device("cpu")]


def test_an_adapter_that_fails_to_compare_is_named():
    class Fails(Adapter):
        name = "fails"
        types = (Compared,)

        def lower(self, value):
            return {}

        def restore(self, value, saved):
            return value

        def compare(self, value, state):
            raise KeyError("gone")

    REGISTRY.plug((Fails(),))
    state = {"c": Compared()}
    began = outline(state)
    with pytest.raises(CaptureError, match=r"^c cannot be captured: the adapter fails raised KeyError: 'gone'"):
        snapshot(state, Pool(), began)


def test_what_began_the_same_passes():
    def build():
        return {
            "o": Item(1),
            "own": Own(1),
            "f": [math.sin, functools.partial(math.sin, 1), Item],
            "c": collections.Counter("a"),
            "dd": defaultdict(list, a=[1]),
            "q": deque([1], 4),
            "s": Stateful(),
            "none": None,
        }

    def change(state):
        state["o"].more = 5
        state["c"]["b"] += 1
        state["dd"]["b"].append(2)
        state["none"] = [1]

    state, live = again(build, change)
    assert (live["o"].more, live["c"], live["dd"], live["none"]) == (5, state["c"], state["dd"], [1])
