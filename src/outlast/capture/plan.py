"""The plan of a restore: compare a saved tree with the live state, and change nothing.

Planning yields rows for the report, the leaves to read with the place for their bytes, and for every node
a `Bind`: what makes (or refills) the value once all bytes are there. Until then no container or object is
touched, so that a restore which meets damage can be repeated with an older checkpoint.

Here is the part common to all kinds of nodes; the kinds themselves are in the modules ``plan_*``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

from outlast.capture import values
from outlast.capture.adapter import Target
from outlast.capture.allowed import is_allowed
from outlast.capture.kinds import Kinds, fits, is_array
from outlast.capture.outline import Outline
from outlast.capture.report import Row
from outlast.errors import DamageError, MismatchError, OutlastError
from outlast.format.model import Box, Leaf, Node
from outlast.format.paths import segment
from outlast.format.places import by_path


class _Nothing(Enum):
    ABSENT = "the program has no value here"
    OMIT = "leave this place as it is"


ABSENT: Final = _Nothing.ABSENT
OMIT: Final = _Nothing.OMIT
_PAIR = 2


class Bind:
    """Makes one value, once. `is_kept`: the live value, which was allowed to differ."""

    __slots__ = ("_done", "_make", "_value", "is_kept")

    def __init__(self, make: Callable[[], Any], *, is_kept: bool = False) -> None:
        self.is_kept = is_kept
        self._make = make
        self._done = False
        self._value: Any = None

    def __call__(self) -> Any:
        if not self._done:
            self._value = self._make()
            self._done = True
        return self._value


class Place(NamedTuple):
    """Where a node is to be restored.

    Args:
        path: its name in reports.
        live: the value that the program has there.
        fresh: inside a state that an object made for us: containers are made anew, arrays filled in place.
        exact: the live dict's keys must be the saved ones.
        top: it is a component.
        kin: the live values beside it, whose classes may be meant.
    """

    path: str
    live: Any = ABSENT
    fresh: bool = False
    exact: bool = False
    top: bool = False
    kin: tuple[Any, ...] = ()


class Planned(NamedTuple):
    """Where a node was planned first, for ``same`` to refer to."""

    place: Place
    bind: Bind


class Planner:
    """One comparison of a tree with a state. `rows`, `reads` and `last` are its results.

    Args:
        tree: the components' nodes.
        kinds: which type is captured how.
        leaves: the manifest's leaves, by path.
        allow: patterns of paths that may differ.
        plans: what plans each kind of node.
        held: gives the outline of the live state: a restore may make more of what is there.
    """

    def __init__(
        self,
        tree: Mapping[str, Node],
        *,
        kinds: Kinds,
        leaves: Mapping[str, Leaf],
        allow: Collection[str],
        plans: Mapping[str, Plan],
        held: Callable[[], Outline],
    ) -> None:
        self.kinds = kinds
        self.leaves = leaves
        self.rows: list[Row] = []
        self.reads: list[tuple[str | Box, int, Target]] = []
        self.last: list[Callable[[], None]] = []
        self.planned: dict[int, Planned] = {}  # by the node's identity
        self.claimed: dict[Hashable, str] = {}
        self.filled: dict[str, Leaf] = {}
        self._tree = tree
        self._by_path: dict[str, Node] | None = None
        self._allow = tuple(allow)
        self._plans = plans
        self._held = held

    def components(self, state: Mapping[str, Any]) -> list[tuple[str, Bind]]:
        """Plan all components; return what binds each."""
        binds = []
        for name, node in self._tree.items():
            place = Place(segment(name), state.get(name, ABSENT), top=True)
            if place.live is ABSENT:
                self.problem(place, "extra", "the checkpoint has this component, the program has not")
            else:
                binds.append((name, self._component(node, place)))
        for name in state:
            if name not in self._tree:
                place = Place(segment(name), state[name])
                self.problem(place, "missing", "the program has this component, the checkpoint has not")
        return binds

    def _component(self, node: Node, place: Place) -> Bind:
        live = self.kinds.of(place.live)
        is_tie = node_kind(node) == "same"
        saved = node_kind(self.first(node) if is_tie else node)
        if live.is_rebound or fits(saved, live, is_dict=isinstance(place.live, dict)):
            return self.plan(node, place)
        detail = f"saved as {saved_name(node)}, the program has {live_name(place.live)}"
        return self.problem(place, "dtype", detail)

    def plan(self, node: Node, place: Place) -> Bind:
        """Plan one node."""
        kind = node_kind(node)
        plan = self._plans.get(kind) or (self._plans["array"] if is_array(kind) else None)
        if plan is None:
            raise DamageError(f"{place.path}: the manifest holds a node of the unknown kind {kind!r}")
        bind = plan(self, node, place)
        self.planned.setdefault(id(node), Planned(place, bind))
        return bind

    def first(self, node: Node) -> Node:
        """Return the node that a ``same`` refers to.

        Raises:
            DamageError: none before it has that path.
        """
        if self._by_path is None:
            self._by_path = by_path(self._tree)
        return self._by_path[node["path"]]

    def restored(self, place: Place) -> None:
        """Note a value for the report."""
        self.rows.append(Row(place.path, "added" if place.live is ABSENT else "restored"))

    def removed(self, path: str) -> None:
        """Note a live value that goes because the checkpoint has none there."""
        self.rows.append(Row(path, "removed"))

    def problem(self, place: Place, status: str, detail: str) -> Bind:
        """Note a difference. If it is allowed, the live value stays, or nothing is put there."""
        allowed = is_allowed(place.path, self._allow)
        self.rows.append(Row(place.path, "kept" if allowed else status, detail))
        kept = OMIT if place.live is ABSENT else place.live
        return Bind(lambda: kept, is_kept=True)

    def needs_live(self, node: Node, place: Place) -> Bind:
        """Note that there is no live object to restore into."""
        found = "nothing" if place.live is ABSENT else live_name(place.live)
        detail = (
            f"saved as {saved_name(node)}, the program has {found} there; an object is only ever restored into a "
            "live one: make it before the restore, register its class (outlast.register), or keep plain values instead"
        )
        return self.problem(place, "extra" if place.live is ABSENT else "dtype", detail)

    def known_class(self, node: Node) -> type | None:
        """Return the class that a node means, if the program itself has brought it; by name, in whatever module."""
        tail = node["class"].rpartition(".")[2]
        found = {cls for cls in self._held().known_classes if cls.__name__ == tail}
        exact = {cls for cls in found if values.class_name(cls) == node["class"]}
        return next(iter(exact or found)) if len(exact or found) == 1 else None

    def known_part(self, name: str) -> Any:
        """Return the part of the program that has this name, if the state holds it somewhere; else None."""
        return self._held().part(name)

    def claim(self, key: Hashable, place: Place) -> bool:
        """Whether nothing else is restored into the live value of this identity."""
        return self.claimed.setdefault(key, place.path) == place.path

    def leaf(self, node: Node, place: Place) -> Leaf:
        """Return the leaf that a node refers to.

        Raises:
            DamageError: the manifest lists none.
        """
        leaf = self.leaves.get(node["leaf"])
        if leaf is None:
            raise DamageError(f"{place.path}: the manifest refers to the leaf {node['leaf']!r}, which it does not list")
        return leaf

    def read(self, what: str | Box, size_bytes: int, target: Target) -> None:
        """Have a leaf's bytes, or those of a box of it, read into a target."""
        self.reads.append((what, size_bytes, target))

    def shape(self, path: str) -> tuple[int, ...] | None:
        """Return the shape of a saved array; None if there is no such leaf."""
        leaf = self.leaves.get(path)
        return None if leaf is None else leaf.shape


Plan = Callable[[Planner, Node, Place], Bind]


def foreign(place: Place, what: str, call: Callable[[], Any]) -> Any:
    """Call code that is not ours; name the place in whatever it raises.

    Raises:
        MismatchError: it raised.
    """
    try:
        return call()
    except OutlastError:
        raise
    except Exception as error:
        raise MismatchError(
            f"{place.path}: {what}: {type(error).__name__}: {error}",
            hint="make the program build the same object as when it was saved",
        ) from error


def bound(children: Iterable[tuple[Any, Bind]]) -> list[tuple[Any, Any]]:
    """Make the values of entries; leave out those that are to be left out."""
    made = ((key, bind()) for key, bind in children)
    return [(key, value) for key, value in made if value is not OMIT]


def present(children: Iterable[Bind]) -> list[Any]:
    """Make the values of items; leave out those that are to be left out."""
    return [value for value in (bind() for bind in children) if value is not OMIT]


def node_kind(node: Node) -> str:
    """Return the "$" of a node; "dict", "list" or "value" for plain JSON."""
    if isinstance(node, dict):
        return str(node.get("$", "dict"))
    return "list" if isinstance(node, list) else "value"


def entries(node: Node) -> list[tuple[Node, Node]]:
    """Return the (key node, node) pairs of a dict's node of either form.

    Raises:
        DamageError: it is none.
    """
    if not isinstance(node, dict):
        raise DamageError(f"the manifest holds no dict where it should: {str(node)[:80]}")
    if "$" not in node:
        return list(node.items())
    pairs = node.get("items", ())
    if node["$"] != "dict" or not all(isinstance(pair, list) and len(pair) == _PAIR for pair in pairs):
        raise DamageError(f"the manifest holds a malformed dict: {str(node)[:80]}")
    return [(key, child) for key, child in pairs]


def saved_name(node: Node) -> str:
    """Return how messages call what was saved."""
    kind = node_kind(node)
    if kind == "value":
        return f"a plain {type(node).__name__}"
    if kind == "fixed":
        return f"{node['name']} (part of the program)"
    return str(node["class"]) if isinstance(node, dict) and "class" in node else f"a {kind}"


def live_name(live: Any) -> str:
    """Return how messages call a live value."""
    return values.class_name(type(live)).removeprefix("builtins.")


def is_class(node: Node, live: Any) -> bool:
    """Whether the live object's class has the saved one's name; its module may have moved (``__main__``)."""
    return bool(node["class"].rpartition(".")[2] == type(live).__name__)
