"""Plans for containers. Their contents are data: refilled to exactly what was saved, in place where there is one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from outlast.capture import containers
from outlast.capture.kinds import is_array
from outlast.capture.plan import (
    ABSENT,
    Bind,
    Place,
    Plan,
    Planner,
    bound,
    entries,
    node_kind,
    present,
)
from outlast.capture.plan_values import key
from outlast.format.model import Node
from outlast.format.paths import segment, segments


def _dict(planner: Planner, node: Node, place: Place) -> Bind:
    return mapping(planner, node, place, dict)


def mapping(planner: Planner, node: Node, place: Place, maker: Callable[[], Any]) -> Bind:
    """Plan a dict or a subclass of it; `maker` makes one where the program has none."""
    live = place.live if isinstance(place.live, dict) else {}
    pairs = entries(node)
    keys = [key(planner, name, live, place.path) for name, _ in pairs]
    children = []
    for one, name, (_, child) in zip(keys, segments(name for name, _ in pairs), pairs, strict=True):
        here = Place(f"{place.path}/{name}", live.get(one, ABSENT), place.fresh)
        children.append((one, _entry(planner, child, here, exact=place.exact)))
    kept = _unsaved(planner, live, set(keys), place)
    vessel = _vessel(planner, place, dict, maker)
    return Bind(lambda: containers.refill(vessel(), [*bound(children), *kept]))


def _entry(planner: Planner, node: Node, here: Place, *, exact: bool) -> Bind:
    if exact and here.live is ABSENT:
        return planner.problem(here, "extra", "the checkpoint has it, the live object has not")
    if exact and (is_array(node_kind(node)) or node_kind(node) == "same"):
        here = here._replace(exact=True)
    return planner.plan(node, here)


def _unsaved(planner: Planner, live: dict[Any, Any], keys: set[Any], place: Place) -> list[tuple[Any, Any]]:
    """Deal with the live keys that the checkpoint has not; return the entries that stay."""
    kept = []
    for name, value in live.items():
        if name in keys:
            continue
        here = Place(f"{place.path}/{segment(str(name))}", value)
        if place.exact:
            planner.problem(here, "missing", "the live object has it, the checkpoint has not")
            kept.append((name, value))
        else:
            planner.removed(here.path)
    return kept


def _list(planner: Planner, node: Node, place: Place) -> Bind:
    live = place.live if isinstance(place.live, list) else []
    children = _items(planner, node, tuple(live), place)
    vessel = _vessel(planner, place, list, list)
    return Bind(lambda: containers.refill(vessel(), present(children)))


def _tuple(planner: Planner, node: Node, place: Place) -> Bind:
    live = place.live if type(place.live) is tuple else ()
    children = _items(planner, node["items"], live, place)

    def make() -> tuple[Any, ...]:
        made = tuple(present(children))
        unchanged = len(made) == len(live) and all(a is b for a, b in zip(made, live, strict=True))
        return live if unchanged else made

    return Bind(make)


def _items(planner: Planner, nodes: list[Node], live: tuple[Any, ...], place: Place) -> list[Bind]:
    children = []
    for index, node in enumerate(nodes):
        here = Place(f"{place.path}/{index}", ABSENT, place.fresh, kin=live[:1])
        if index < len(live):
            here = Place(here.path, live[index], place.fresh)
        children.append(planner.plan(node, here))
    for index in range(len(nodes), len(live)):
        planner.removed(f"{place.path}/{index}")
    return children


def _set(planner: Planner, node: Node, place: Place) -> Bind:
    items = _elements(planner, node, place)
    vessel = _vessel(planner, place, set, set)
    return Bind(lambda: containers.refill(vessel(), items))


def _frozenset(planner: Planner, node: Node, place: Place) -> Bind:
    made = frozenset(_elements(planner, node, place))
    return Bind(lambda: made)


def _elements(planner: Planner, node: Node, place: Place) -> list[Any]:
    live = place.live if isinstance(place.live, (set, frozenset)) else ()
    planner.restored(place)
    return [key(planner, item, live, place.path) for item in node["items"]]


def _deque(planner: Planner, node: Node, place: Place) -> Bind:
    live, maxlen = place.live, node["maxlen"]
    if isinstance(live, deque) and live.maxlen != maxlen:
        detail = f"saved as a deque with maxlen={maxlen}, the program has maxlen={live.maxlen}"
        return planner.problem(place, "shape", detail)
    children = _items(planner, node["items"], tuple(live) if isinstance(live, deque) else (), place)
    vessel = _vessel(planner, place, deque, lambda: deque(maxlen=maxlen))
    return Bind(lambda: containers.refill(vessel(), present(children)))


def _vessel(planner: Planner, place: Place, base: type, maker: Callable[[], Any]) -> Callable[[], Any]:
    """Return what gives the container to be filled: the live one, a twin of it, or a new one."""
    live = place.live
    if not isinstance(live, base):
        return maker
    if place.fresh or not planner.claim(id(live), place):
        return lambda: containers.twin(live)
    return lambda: live


PLANS: dict[str, Plan] = {
    "dict": _dict,
    "list": _list,
    "tuple": _tuple,
    "set": _set,
    "frozenset": _frozenset,
    "deque": _deque,
}
