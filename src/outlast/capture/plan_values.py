"""Plans for immutable values, texts and keys, and for what is part of the program."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from outlast.capture import fixed, values
from outlast.capture.adapter import Adapter, Fixed
from outlast.capture.plan import ABSENT, Bind, Place, Plan, Planner, foreign, node_kind, saved_name
from outlast.capture.texts import Raw
from outlast.errors import DamageError, MismatchError
from outlast.format.model import Node

_KEYS = frozenset({"value", "int", "float", "complex", "path", "date", "datetime", "time", "timedelta", "bytes"})


def _value(planner: Planner, node: Node, place: Place) -> Bind:
    value = values.decode(node)
    planner.restored(place)
    return Bind(lambda: value)


def _enum(planner: Planner, node: Node, place: Place) -> Bind:
    beside = (place.live, *place.kin)
    member = values.decode_enum(node, [type(value) for value in beside if isinstance(value, Enum)])
    if member is None:
        member = _known_member(planner, node)
    if member is None:
        return planner.needs_live(node, place)
    planner.restored(place)
    return Bind(lambda: member)


def _known_member(planner: Planner, node: Node) -> Enum | None:
    cls = planner.known_class(node)
    return values.decode_enum(node, [cls] if cls else [])


def _fixed(planner: Planner, node: Node, place: Place) -> Bind:
    own = "" if place.live is ABSENT else _own_name(planner, place)
    if not own and planner.kinds.of(place.live).saved != "fixed":
        part = planner.known_part(node["name"])
        return planner.needs_live(node, place) if part is None else Bind(lambda: part)
    if own == node["name"] if own else fixed.is_named(place.live, node["name"]):
        return Bind(lambda: place.live)
    found = own or fixed.name(place.live)
    return planner.problem(place, "dtype", f"part of the program: it was {node['name']}, it is {found}")


def _own_name(planner: Planner, place: Place) -> str:
    """Return how the live value's adapter names it as a part of the program; "" if none does."""
    adapter = planner.kinds.of(place.live).adapter
    if not isinstance(adapter, Adapter):
        return ""
    lowered = foreign(place, "its state cannot be read", lambda: adapter.lower(place.live))
    return lowered.name if isinstance(lowered, Fixed) else ""


def _text(planner: Planner, node: Node, place: Place) -> Bind:
    if "leaf" not in node:
        return _value(planner, node, place)
    raw = _raw(planner, node, place)
    return Bind(raw.text if node["$"] == "str" else raw.bytes)


def _bytearray(planner: Planner, node: Node, place: Place) -> Bind:
    make: Callable[[], bytearray]
    make = _raw(planner, node, place).value if "leaf" in node else _value(planner, node, place)
    live = place.live
    if type(live) is not bytearray or place.fresh or not planner.claim(id(live), place):
        return Bind(make)

    def fill() -> bytearray:
        live[:] = make()
        return live

    return Bind(fill)


def _raw(planner: Planner, node: Node, place: Place) -> Raw:
    leaf = planner.leaf(node, place)
    raw = Raw(leaf.size_bytes)
    planner.read(leaf.path, leaf.size_bytes, raw)
    planner.restored(place)
    return raw


def key(planner: Planner, node: Node, live: Any, path: str) -> Any:
    """Return the value of the node of a dict's key or of a set's element.

    Args:
        planner: knows the adapters.
        node: the key's node; it has no leaf.
        live: the live keys, whose enum classes may be meant.
        path: the container's.

    Raises:
        MismatchError: the program does not know the key's type.
    """
    kind = node_kind(node)
    if kind == "tuple":
        return tuple(key(planner, item, live, path) for item in node["items"])
    if kind == "frozenset":
        return frozenset(key(planner, item, live, path) for item in node["items"])
    if kind == "enum":
        return _enum_key(planner, node, live, path)
    if kind == "adapter":
        return _built_key(planner, node, live, path)
    if kind not in _KEYS:
        raise DamageError(f"{path}: the manifest holds a key of the kind {kind!r}")
    return values.decode(node)


def _enum_key(planner: Planner, node: Node, live: Any, path: str) -> Any:
    member = values.decode_enum(node, {type(key) for key in _flat(live) if isinstance(key, Enum)})
    member = _known_member(planner, node) if member is None else member
    if member is None:
        raise MismatchError(
            f"{path}: a key is {saved_name(node)}.{node['name']}, and the live container has no key of that class",
            hint="register the class (outlast.register), let the container have one such key at start, or use strings",
        )
    return member


def _flat(keys: Any) -> list[Any]:
    """Return the keys, and those inside keys that are tuples or frozensets."""
    found: list[Any] = []
    for one in keys:
        found += _flat(one) if isinstance(one, (tuple, frozenset)) else [one]
    return found


def _built_key(planner: Planner, node: Node, live: Any, path: str) -> Any:
    saved = key(planner, node["state"], live, path)
    if node["name"] in values.BUILDERS:
        return values.build(node["name"], saved)
    adapter = planner.kinds.registry.named(node["name"])
    if adapter is None or not adapter.buildable:
        raise MismatchError(
            f"{path}: a key was saved as {saved_name(node)}, which this program does not know",
            hint="import the library that it comes from before restoring",
        )
    value = foreign(Place(path), "a key cannot be made", lambda: adapter.build(saved))
    if getattr(type(value), "__hash__", None) is None:
        raise DamageError(f"{path}: the manifest holds a key of a type that is none: {saved_name(node)}")
    return value


PLANS: dict[str, Plan] = {
    **dict.fromkeys(("value", "int", "float", "complex", "path"), _value),
    **dict.fromkeys(("date", "datetime", "time", "timedelta"), _value),
    **dict.fromkeys(("str", "bytes"), _text),
    "bytearray": _bytearray,
    "enum": _enum,
    "fixed": _fixed,
}
