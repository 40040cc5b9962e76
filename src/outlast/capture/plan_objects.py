"""Plans for objects: state goes into the live one, through its adapter, its own methods or its attributes."""

from __future__ import annotations

from typing import Any

from outlast.capture import containers, objects, values
from outlast.capture.adapter import Adapter
from outlast.capture.plan import (
    ABSENT,
    Bind,
    Place,
    Plan,
    Planner,
    bound,
    entries,
    foreign,
    is_class,
    live_name,
    node_kind,
    saved_name,
)
from outlast.capture.plan_containers import PLANS as CONTAINERS
from outlast.capture.plan_containers import mapping
from outlast.errors import DamageError
from outlast.format.model import Node
from outlast.format.paths import segment

_REFUSED = "it did not take its saved state"


def _namedtuple(planner: Planner, node: Node, place: Place) -> Bind:
    live = place.live
    if planner.kinds.of(live).name != "namedtuple" or not is_class(node, live):
        return _made_tuple(planner, node, place)
    if set(node["fields"]) - set(live._fields):
        return planner.problem(place, "extra", f"saved with the fields {list(node['fields'])}, not {live._fields}")
    children = _fields(planner, node["fields"], live._asdict(), place)

    def make() -> Any:
        made = live._asdict() | dict(bound(children))
        return tuple.__new__(type(live), made.values())

    return Bind(make)


def _made_tuple(planner: Planner, node: Node, place: Place) -> Bind:
    """Plan a named tuple of a class that the program has brought."""
    cls: Any = planner.known_class(node)
    if cls is None or getattr(cls, "_fields", None) != tuple(node["fields"]) or not issubclass(cls, tuple):
        return planner.needs_live(node, place)
    children = _fields(planner, node["fields"], {}, place._replace(live=ABSENT))
    return Bind(lambda: tuple.__new__(cls, [bind() for _, bind in children]))


def _dataclass(planner: Planner, node: Node, place: Place) -> Bind:
    return _attributes(planner, node, node["fields"], place)


def _object(planner: Planner, node: Node, place: Place) -> Bind:
    cls = type(place.live) if _is_kin(planner, node, place) else planner.known_class(node)
    if cls is None:
        return planner.needs_live(node, place)
    if objects.has_custom_state(cls):
        return _custom(planner, node, place)
    if node_kind(node["state"]) != "dict":
        return planner.needs_live(node, place)
    return _attributes(planner, node, dict(_named(node["state"])), place)


def _custom(planner: Planner, node: Node, place: Place) -> Bind:
    live, is_new = _vessel(planner, node, place)
    if live is None:
        return _cannot(planner, node, place)
    lowered = ABSENT if is_new else foreign(place, "its state cannot be read", live.__getstate__)
    state = planner.plan(node["state"], Place(place.path, lowered, fresh=True))

    def put() -> Any:
        saved = state()
        foreign(place, _REFUSED, lambda: objects.put_state(live, saved))
        return live

    return Bind(put)


def _is_kin(planner: Planner, node: Node, place: Place) -> bool:
    """Whether there is a live object of a class with the saved one's name."""
    known = planner.kinds.of(place.live).name in {"object", "dataclass"}
    return known and place.live is not ABSENT and is_class(node, place.live)


def _vessel(planner: Planner, node: Node, place: Place) -> tuple[Any, bool]:
    """Return the object to be filled and whether it is a new one: where the live one is taken, or there is none."""
    is_kin = _is_kin(planner, node, place)
    if is_kin and planner.claim(id(place.live), place):
        return place.live, False
    cls: Any = type(place.live) if is_kin else planner.known_class(node)
    if cls is None or not objects.is_makeable(cls):
        return None, False
    return cls.__new__(cls), True


def _cannot(planner: Planner, node: Node, place: Place) -> Bind:
    return _shared(planner, place) if _is_kin(planner, node, place) else planner.needs_live(node, place)


def _attributes(planner: Planner, node: Node, fields: dict[str, Node], place: Place) -> Bind:
    live, is_new = _vessel(planner, node, place)
    if live is None:
        return _cannot(planner, node, place)
    children = _fields(planner, fields, objects.attributes(live), place._replace(live=live))
    stale = [name for name in objects.attributes(live) if name not in fields and objects.is_cached(type(live), name)]

    def put() -> Any:
        made = dict(bound(children))
        for name in stale:
            vars(live).pop(name, None)
        if objects.is_frozen(live) and not is_new:
            return objects.replaced(live, made)
        for name, value in made.items():
            objects.assign(live, name, value)
        return live

    return Bind(put)


def _shared(planner: Planner, place: Place) -> Bind:
    other = planner.claimed[id(place.live)]
    return planner.problem(place, "extra", f"saved apart from {other}, but the same object in the program")


def _fields(planner: Planner, fields: dict[str, Node], live: dict[str, Any], place: Place) -> list[tuple[str, Bind]]:
    """Plan attributes. What the checkpoint adds is set (made on first use); what it lacks is a problem."""
    children = []
    for name, node in fields.items():
        here = Place(f"{place.path}/{segment(name)}", live.get(name, ABSENT), place.fresh)
        if name not in live and objects.is_method(type(place.live), name):
            detail = f"saved as an attribute, {live_name(place.live)} defines it as a method or property"
            children.append((name, planner.problem(here, "extra", detail)))
        else:
            children.append((name, planner.plan(node, here)))
    for name, value in live.items():
        if name not in fields:
            here = Place(f"{place.path}/{segment(name)}", value)
            if objects.is_cached(type(place.live), name):
                planner.removed(here.path)
            else:
                planner.problem(here, "missing", "the live object has it, the checkpoint has not")
    return children


def _named(node: Node) -> list[tuple[str, Node]]:
    """Return the entries of a dict of attributes."""
    return [(name, child) for name, child in entries(node) if isinstance(name, str)]


def _adapter(planner: Planner, node: Node, place: Place) -> Bind:
    name = node["name"]
    if name in values.BUILDERS:
        state = planner.plan(node["state"], place._replace(top=False))
        return Bind(lambda: values.build(name, state()))
    if name == "subclass":
        return _subclass(planner, node, place)
    if name in containers.NAMES.values():
        return _collection(planner, node, place)
    return _adapted(planner, node, place)


def _collection(planner: Planner, node: Node, place: Place) -> Bind:
    maker = containers.MAKERS.get(node["name"])
    is_kin = isinstance(place.live, dict) and (maker or is_class(node, place.live))
    if not is_kin and maker is None:
        return planner.needs_live(node, place)
    return mapping(planner, node["state"], place, maker or dict)


def _subclass(planner: Planner, node: Node, place: Place) -> Bind:
    live = place.live
    contents, attributes = _halves(node["state"], place)
    maker = containers.MAKERS.get(node["class"])
    if planner.kinds.of(live).name == "subclass" and is_class(node, live):
        inner = CONTAINERS[node_kind(contents)](planner, contents, place)
    elif maker and node_kind(contents) == "dict":
        live, place = ABSENT, place._replace(live=ABSENT)
        inner = mapping(planner, contents, place, maker)
    else:
        return planner.needs_live(node, place)
    own = {} if live is ABSENT or getattr(live, "__dict__", None) is live else objects.attributes(live)
    beside = place._replace(path=f"{place.path}/%attributes")
    children = _fields(planner, dict(_named(attributes)), own, beside)

    def fill() -> Any:
        vessel = inner()
        for name, value in bound(children):
            objects.assign(vessel, name, value)
        return vessel

    return Bind(fill)


def _halves(state: Node, place: Place) -> tuple[Node, Node]:
    items: Node = state.get("items", []) if isinstance(state, dict) else []
    if len(items) != 2 or node_kind(items[0]) not in {"dict", "list", "set", "deque"}:  # noqa: PLR2004
        raise DamageError(f"{place.path}: the manifest's node of a container is malformed: {str(state)[:80]}")
    return items[0], items[1]


def _adapted(planner: Planner, node: Node, place: Place) -> Bind:
    adapter = planner.kinds.of(place.live).adapter if place.live is not ABSENT else None
    if not isinstance(adapter, Adapter) or adapter.name != node["name"]:
        return _built(planner, node, place)
    if not planner.claim(id(place.live), place):
        return _shared(planner, place)
    difference = _difference(adapter, node, place)
    if difference:
        return planner.problem(place, "dtype", difference)
    lowered = foreign(place, "its state cannot be read", lambda: adapter.lower(place.live))
    lowered = adapter.awaiting(place.live, lowered, node["state"], planner.shape)
    state = planner.plan(node["state"], Place(place.path, lowered, fresh=True, exact=adapter.exact_keys))
    return Bind(lambda: _put(planner, adapter, state, place))


def _difference(adapter: Adapter, node: Node, place: Place) -> str:
    if adapter.same_class and not is_class(node, place.live):
        return f"saved as {saved_name(node)}, the program has {live_name(place.live)}"
    difference = foreign(place, "the manifest does not fit it", lambda: adapter.compare(place.live, node["state"]))
    return str(difference)


def _put(planner: Planner, adapter: Adapter, state: Bind, place: Place) -> Any:
    saved = state()

    def restore() -> Any:
        return foreign(place, _REFUSED, lambda: adapter.restore(place.live, saved))

    if not adapter.restored_last:
        return restore()
    planner.last.append(restore)
    return place.live


def _built(planner: Planner, node: Node, place: Place) -> Bind:
    adapter = planner.kinds.registry.named(node["name"])
    if adapter is None or not adapter.buildable:
        return planner.needs_live(node, place)
    state = planner.plan(node["state"], Place(place.path, fresh=True))
    return Bind(lambda: foreign(place, "it cannot be made", lambda: adapter.build(state())))


PLANS: dict[str, Plan] = {
    "namedtuple": _namedtuple,
    "dataclass": _dataclass,
    "object": _object,
    "adapter": _adapter,
}
