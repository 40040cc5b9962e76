"""The walk over the user's state: a tree of nodes, and the leaves whose bytes stand beside it. Copies nothing."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from outlast import collector
from outlast.capture import containers, fixed, objects, values
from outlast.capture.adapter import Adapter, Fixed, LeafAdapter, Refused
from outlast.capture.kinds import Kinds
from outlast.capture.outline import Watch
from outlast.capture.parts import check_part
from outlast.capture.pending import Pending
from outlast.capture.remembered import Group, group_of
from outlast.errors import CaptureError
from outlast.format.model import Node
from outlast.format.paths import segment, segments

_SHORT = 1024  # certainly no leaf
_FEWEST = 2  # arrays in a container that is worth remembering: one is asked as quickly by itself
DEEPEST = 100  # levels of JSON; the manifest's reader refuses deeper ones


class Walk:
    """One pass over a state. `pending` holds the leaves in order.

    What is met twice (a mutable container, an object, exactly the same memory) is written once; the second
    place says ``same``. The walk keeps every object alive that it took an identity from.

    Args:
        kinds: which type is captured how.
        watch: hears of all that a restore may be unable to make.
    """

    def __init__(self, kinds: Kinds, watch: Watch | None = None) -> None:
        self._watch = watch or Watch()
        self._in_place = ""  # the path of the owner whose own arrays cannot take another shape
        self.pending: list[Pending] = []
        self._kinds = kinds
        self._seen: dict[Hashable, str] = {}
        self._arrays: dict[str, int] = {}  # which object it was that stood there; the pending leaf keeps it alive
        self._open: dict[int, str] = {}
        self._alive: list[Any] = []
        self._remembered = self._watch.remembered
        self._places: set[int] = set()  # hashes of the identities of all arrays, those of groups too
        self._groups: list[tuple[Group, Sequence[Any]]] = []  # whose identities are not in _seen
        if self._remembered is not None:
            self._remembered.begin(kinds.registry.changes)

    @collector.paused()
    def tree(self, state: Mapping[str, Any]) -> dict[str, Node]:
        """Return a node for each component."""
        self._check_names(state)
        self._told("", lambda: self._watch.components(state.keys()))
        return {name: self._component(name, value) for name, value in state.items()}

    def _component(self, name: str, value: Any) -> Node:
        self._told(segment(name), lambda: self._watch.component(name, value, self._kinds.of(value)))
        return self.node(value, segment(name), 1)

    def _told(self, path: str, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Refused as verdict:
            raise _refused(path or "the state", verdict.reason, verdict.remedy) from verdict

    def _check_names(self, state: Mapping[str, Any]) -> None:
        for name in state:
            is_text = type(name) is str and name and not values.has_surrogates(name)
            if not is_text or name.startswith("$") or values.is_long(name):
                what = f"the state has a component named {str(name)[:80]!r}"
                raise CaptureError(what, hint="name components by short strings that do not begin with $")

    def node(self, value: Any, path: str, depth: int) -> Node:
        """Return the node of a value; its leaves go to `pending`."""
        kind = self._kinds.of(value)
        _check_depth(path, depth)
        try:
            return self._by_kind[kind.name](self, value, path, depth, kind.adapter)
        except Refused as verdict:
            raise _refused(path, verdict.reason, verdict.remedy) from verdict

    # values

    def _value(self, value: Any, *_: Any) -> Node:
        return values.ENCODERS[type(value)](value)

    def _enum(self, value: Any, path: str, *_: Any) -> Node:
        self._watch.member(path, type(value))
        return values.encode_enum(value)

    def _str(self, value: str, path: str, *_: Any) -> Node:
        if len(value) * 4 <= values.LONGEST_STR_BYTES:
            return values.encode_str(value)
        if values.has_surrogates(value):
            state = self._bytes_like("bytes", value.encode("utf-8", "surrogatepass"), path)
            return {"$": "adapter", "name": "str.surrogates", "class": "builtins.str", "state": state}
        data = value.encode()
        if len(data) <= values.LONGEST_STR_BYTES:
            return value
        return {"$": "str", "leaf": self._raw(path, "utf8", data)}

    def _bytes(self, value: bytes, path: str, *_: Any) -> Node:
        return self._bytes_like("bytes", value, path)

    def _bytearray(self, value: bytearray, path: str, *_: Any) -> Node:
        return self._once(value, path, lambda: self._bytes_like("bytearray", value, path))

    def _bytes_like(self, kind: str, value: bytes | bytearray, path: str) -> Node:
        if len(value) <= values.LONGEST_BYTES:
            return values.encode_bytes(kind, value)
        return {"$": kind, "leaf": self._raw(path, "bytes", value)}

    def _raw(self, path: str, dtype: str, data: bytes | bytearray) -> str:
        def copy(out: memoryview) -> None:
            out[:] = data

        self.pending.append(Pending(path, dtype, (len(data),), len(data), copy))
        return path

    # containers

    def _list(self, value: list[Any], path: str, depth: int, *_: Any) -> Node:
        return self._once(value, path, lambda: self._items(value, path, depth + 1))

    def _tuple(self, value: tuple[Any, ...], path: str, depth: int, *_: Any) -> Node:
        return {"$": "tuple", "items": self._items(value, path, depth + 2)}

    def _items(self, items: Sequence[Any], path: str, depth: int) -> Node:
        known = self._again(path, None, items, depth)
        if known is not None:
            return known
        begin = len(self.pending)
        nodes = [self.node(item, f"{path}/{index}", depth) for index, item in enumerate(items)]
        self._remember(path, None, items, nodes, begin)
        return nodes

    def _deque(self, value: Any, path: str, depth: int, *_: Any) -> Node:
        self._watch.deque(path, value.maxlen)
        return self._once(
            value,
            path,
            lambda: {"$": "deque", "items": self._items(value, path, depth + 2), "maxlen": value.maxlen},
        )

    def _dict(self, value: dict[Any, Any], path: str, depth: int, *_: Any) -> Node:
        return self._once(value, path, lambda: self._entries(value, path, depth))

    def _entries(self, value: dict[Any, Any], path: str, depth: int) -> Node:
        known = self._again(path, value.keys(), value.values(), depth + 1)
        if known is not None:
            return known
        begin = len(self.pending)
        names = [self._key(key, path, depth + 3) for key in value]
        places = [f"{path}/{name}" for name in segments(names)]
        if all(type(name) is str and not name.startswith("$") for name in names):
            nodes = {
                key: self.node(item, place, depth + 1) for (key, item), place in zip(value.items(), places, strict=True)
            }
            self._remember(path, value.keys(), value.values(), nodes, begin)
            return nodes
        if len(set(map(repr, names))) != len(names):
            raise _refused(
                path, "has keys that a file cannot tell apart (several NaNs)", "use one such key, or strings"
            )
        items = [self.node(item, place, depth + 3) for item, place in zip(value.values(), places, strict=True)]
        return {"$": "dict", "items": [[name, node] for name, node in zip(names, items, strict=True)]}

    def _set(self, value: set[Any], path: str, depth: int, *_: Any) -> Node:
        return self._once(value, path, lambda: self._elements("set", value, path, depth))

    def _frozenset(self, value: frozenset[Any], path: str, depth: int, *_: Any) -> Node:
        return self._elements("frozenset", value, path, depth)

    def _elements(self, kind: str, value: Iterable[Any], path: str, depth: int) -> Node:
        return {"$": kind, "items": [self._key(item, path, depth + 2) for item in _ordered(value)]}

    def _key(self, key: Any, path: str, depth: int) -> Node:
        """Return the node of a dict's key or a set's element: a value that needs no leaf and no live counterpart."""
        if type(key) is str and len(key) < _SHORT:
            return values.encode_str(key)
        kind = self._kinds.of(key)
        if kind.name == "tuple":
            _check_depth(path, depth)
            return {"$": "tuple", "items": [self._key(item, path, depth + 2) for item in key]}
        if kind.name == "frozenset":
            _check_depth(path, depth)
            return self._elements("frozenset", key, path, depth)
        if isinstance(kind.adapter, LeafAdapter) and kind.adapter.kind == "scalar":
            return kind.adapter.key(key)
        if kind.name == "enum":
            return self._enum(key, path)
        if kind.name not in {"value", "str", "bytes"} or _is_long(key):
            what = f"has a key or set element of the type {values.class_name(type(key))}"
            raise _refused(path, what, "use short strings, numbers, tuples of these, enums or dates")
        return self.node(key, path, depth)

    def _namedtuple(self, value: Any, path: str, depth: int, *_: Any) -> Node:
        self._watch.member(path, type(value))
        fields = dict(zip(value._fields, value, strict=True))
        return self._fields("namedtuple", value, fields, path, depth)

    def _subclass(self, value: Any, path: str, depth: int, *_: Any) -> Node:
        return self._once(value, path, lambda: self._contents(value, path, depth))

    def _contents(self, value: Any, path: str, depth: int) -> Node:
        own = {} if getattr(value, "__dict__", None) is value else objects.attributes(value)
        name = containers.NAMES.get(type(value))
        if name not in containers.MAKERS:
            self._watch.container(path, type(value))
        if name and not own:
            return self._subclassed(value, name, self._inner(value, path, depth + 1))
        contents = self._inner(value, path, depth + 3)
        attributes = self._entries(own, f"{path}/%attributes", depth + 3)
        return self._subclassed(value, "subclass", {"$": "tuple", "items": [contents, attributes]})

    def _subclassed(self, value: Any, name: str, state: Node) -> Node:
        return {"$": "adapter", "name": name, "class": values.class_name(type(value)), "state": state}

    def _inner(self, value: Any, path: str, depth: int) -> Node:
        """Return the node that a plain container of the same contents would have."""
        if isinstance(value, dict):
            return self._entries(dict(value), path, depth)
        if isinstance(value, list):
            return self._items(value, path, depth + 1)
        if isinstance(value, set):
            return self._elements("set", value, path, depth)
        return {"$": "deque", "items": self._items(value, path, depth + 2), "maxlen": value.maxlen}

    # objects

    def _dataclass(self, value: Any, path: str, depth: int, *_: Any) -> Node:
        return self._once(value, path, lambda: self._attributes(value, path, depth))

    def _attributes(self, value: Any, path: str, depth: int) -> Node:
        fields = objects.attributes(value)
        self._watch.object(path, type(value), fields)
        return self._fields("dataclass", value, fields, path, depth)

    def _fields(self, kind: str, value: Any, fields: dict[str, Any], path: str, depth: int) -> Node:
        odd = [name for name in fields if name.startswith("$") or values.has_surrogates(name)]
        if odd:
            raise Refused(f"has an attribute named {odd[0]!r}", "give it a name that does not begin with $")
        nodes = {name: self.node(item, f"{path}/{segment(name)}", depth + 2) for name, item in fields.items()}
        return {"$": kind, "class": values.class_name(type(value)), "fields": nodes}

    def _object(self, value: Any, path: str, depth: int, *_: Any) -> Node:
        return self._once(value, path, lambda: self._state(value, path, depth))

    def _state(self, value: Any, path: str, depth: int) -> Node:
        name = values.class_name(type(value))
        if not objects.has_custom_state(type(value)):
            attributes = objects.attributes(value)
            self._watch.object(path, type(value), attributes)
            state = self._entries(attributes, path, depth + 1)
        else:
            self._watch.object(path, type(value), ())
            state = self._inside(_called(value.__getstate__, "__getstate__"), path, depth + 1)
        return {"$": "object", "class": name, "state": state}

    def _adapter(self, value: Any, path: str, depth: int, adapter: Adapter) -> Node:
        return self._once(value, path, lambda: self._lowered(value, path, depth, adapter))

    def _lowered(self, value: Any, path: str, depth: int, adapter: Adapter) -> Node:
        lowered = _called(lambda: adapter.lower(value), f"the adapter {adapter.name}")
        if isinstance(lowered, Fixed):
            return self._named(path, lowered.name, value)
        outer, self._in_place = self._in_place, path if adapter.in_place else ""
        state = self._inside(lowered, path, depth + 1)
        self._in_place = outer
        _called(lambda: self._watch.adapted(path, value, adapter, state), f"the adapter {adapter.name}")
        return {"$": "adapter", "name": adapter.name, "class": values.class_name(type(value)), "state": state}

    def _inside(self, lowered: Any, path: str, depth: int) -> Node:
        """Walk a state that stands at its owner's own path: ``same`` there means the owner."""
        self._alive.append(lowered)
        node = self.node(lowered, path, depth)
        for key in [key for key in self._identities(lowered) if self._seen.get(key) == path]:
            del self._seen[key]
        return node

    def _leaf(self, value: Any, path: str, depth: int, adapter: LeafAdapter) -> Node:  # noqa: ARG002
        spec = adapter.describe(value)
        is_array = adapter.kind != "scalar"
        if is_array:
            key = adapter.identity(value) or id(value)
            first = self._found(key)
            if first is not None:
                is_view = self._arrays.get(first) != id(value)
                return self._tie(path, first) | ({"view": True} if is_view else {})
            self._seen[key] = path
            self._arrays[path] = id(value)
        copy = functools.partial(adapter.copy, value)
        address, owner = adapter.address(value), adapter.owner(value)
        far = (adapter, value) if address is None and adapter.is_far(value) else None
        within = adapter.within(value)
        self.pending.append(Pending(path, spec.dtype, spec.shape, spec.size_bytes, copy, address, owner, far, within))
        node = {"$": adapter.kind, "leaf": path, **adapter.attributes(value)}
        in_place = bool(self._in_place) and self._in_place in {path, path.rpartition("/")[0]}
        if is_array and self._watch.array(path, adapter.kind, spec, in_place=in_place):
            node["resized"] = True
        return node

    def _found(self, key: Hashable) -> str | None:
        """Return where the memory of an array was met before; note that it was met."""
        if self._remembered is not None:
            place = hash(key)
            if place in self._places:
                self._take_apart()
            self._places.add(place)
        return self._seen.get(key)

    # containers of arrays that the last walk met

    def _again(self, path: str, keys: Iterable[Any] | None, values: Iterable[Any], depth: int) -> Node | None:
        """Return the node of a container's contents if they are the arrays that the last walk found there."""
        known = self._remembered.get(path) if self._remembered is not None else None
        if known is None or depth > DEEPEST:
            return None
        listed = list(values)
        group = known.again(None if keys is None else list(keys), listed, in_place=self._in_place == path)
        if group is None or not self._places.isdisjoint(group.places):
            return None
        self._places.update(group.places)
        self._groups.append((group, listed))
        self.pending += group.leaves(listed)
        self._put(path, group)
        return group.node

    def _remember(self, path: str, keys: Iterable[Any] | None, values: Iterable[Any], node: Node, begin: int) -> None:
        """Remember what a container became, if it holds nothing but arrays of one library."""
        if self._remembered is None or len(node) < _FEWEST:
            return
        adapter = self._kinds.of(next(iter(values))).adapter
        if not isinstance(adapter, LeafAdapter) or adapter.several is None:
            return
        listed = list(values)
        if any(self._kinds.of(value).adapter is not adapter for value in {type(one): one for one in listed}.values()):
            return
        names = None if keys is None else list(keys)
        group = group_of(adapter, names, listed, node, self.pending[begin:], in_place=self._in_place == path)
        if group is not None:
            self._alive.append(listed)
            self.pending[begin:] = group.leaves(listed)
            self._put(path, group)

    def _put(self, path: str, group: Group) -> None:
        if self._remembered is not None:
            self._remembered.put(path, group)

    def _take_apart(self) -> None:
        """Note the identity of each array in the groups: one more may show the memory of one of them."""
        for group, arrays in self._groups:
            for key, path, value in zip(group.identities(), group.paths(), arrays, strict=True):
                if key not in self._seen:
                    self._seen[key] = path
                    self._arrays[path] = id(value)
        self._alive.append(self._groups)
        self._groups = []

    def _tie(self, path: str, first: str) -> dict[str, Node]:
        self._watch.tie(path, first)
        return {"$": "same", "path": first}

    def _identities(self, value: Any) -> list[Hashable]:
        adapter = self._kinds.of(value).adapter
        return [id(value), adapter.identity(value)] if isinstance(adapter, LeafAdapter) else [id(value)]

    def _once(self, value: Any, path: str, describe: Callable[[], Node]) -> Node:
        key = id(value)
        if key in self._open:
            raise _refused(
                path,
                f"refers back to {self._open[key]}, which holds it (a cycle)",
                "break the cycle, or give the class a __getstate__ that leaves the reference out",
            )
        if key in self._seen:
            return self._tie(path, self._seen[key])
        self._alive.append(value)
        self._open[key] = path
        node = describe()
        del self._open[key]
        self._seen[key] = path
        return node

    # parts of the program

    def _fixed(self, value: Any, path: str, *_: Any) -> Node:
        check_part(value, self._kinds, self._is_captured)
        return self._named(path, fixed.name(value), value if fixed.is_shared(value) else None)

    def _named(self, path: str, name: str, part: Any) -> Node:
        self._watch.fixed(path, name, part)
        return {"$": "fixed", "name": name}

    def _is_captured(self, owner: Any) -> bool:
        return id(owner) in self._open or id(owner) in self._seen

    def _refuse(self, value: Any, *_: Any) -> Node:
        what, remedy = objects.refusal(type(value)) or ("", "")
        raise Refused(f"is {what}", remedy)

    _by_kind: ClassVar[Mapping[str, Callable[..., Node]]] = {
        "value": _value,
        "enum": _enum,
        "str": _str,
        "bytes": _bytes,
        "bytearray": _bytearray,
        "list": _list,
        "tuple": _tuple,
        "dict": _dict,
        "set": _set,
        "frozenset": _frozenset,
        "deque": _deque,
        "namedtuple": _namedtuple,
        "subclass": _subclass,
        "dataclass": _dataclass,
        "object": _object,
        "adapter": _adapter,
        "leaf": _leaf,
        "fixed": _fixed,
        "function": _fixed,
        "method": _fixed,
        "partial": _fixed,
        "refused": _refuse,
    }


def _called(function: Callable[[], Any], what: str) -> Any:
    try:
        return function()
    except (Refused, CaptureError):
        raise
    except Exception as error:  # foreign code: whatever it raises, the path must be named
        raise Refused(f"cannot be captured: {what} raised {type(error).__name__}: {error}", "see there") from error


def _check_depth(path: str, depth: int) -> None:
    if depth > DEEPEST:
        raise _refused(path, f"lies deeper than {DEEPEST} levels", "flatten the state")


def _refused(path: str, reason: str, remedy: str) -> CaptureError:
    return CaptureError(f"{path} {reason}", hint=remedy)


def _is_long(key: Any) -> bool:
    if type(key) is bytes:
        return len(key) > values.LONGEST_BYTES
    return type(key) is str and len(key) * 4 > values.LONGEST_STR_BYTES


def _ordered(items: Iterable[Any]) -> list[Any]:
    """Sort where that is possible: equal sets become equal nodes."""
    listed = list(items)
    try:
        return sorted(listed)
    except TypeError:
        return sorted(listed, key=repr)
