"""What the program holds when a run begins: what a restart of it will hold, before anything is restored.

A save is compared with it in the walk that it takes anyway, and what a restart could not put back is refused then,
not when the job has ended. Arrays that the run itself has resized are marked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

from outlast.capture import objects, values
from outlast.capture.adapter import Adapter, LeafSpec, Refused
from outlast.capture.allowed import is_allowed
from outlast.capture.kinds import Kind, fits
from outlast.capture.remembered import Remembered
from outlast.format.model import Node

_MAKE = "make it before the run begins, at the same place"


class Watch:
    """What a walk tells. This one does not listen.

    Attributes:
        remembered: what earlier walks found that told watches of the same mind; None: this one hears of each array.
    """

    remembered: Remembered | None = None

    def components(self, names: Collection[str]) -> None:
        """All components."""

    def component(self, name: str, value: Any, kind: Kind) -> None:
        """One of them."""

    def member(self, path: str, cls: type) -> None:
        """Hear of an enum's member or a named tuple: it can be made if its class is known."""

    def object(self, path: str, cls: type, names: Collection[str]) -> None:
        """Hear of an object and its attributes: it can be made if its class is known and hides nothing."""

    def adapted(self, path: str, value: Any, adapter: Adapter, node: Node) -> None:
        """Hear of an object with an adapter, and the node of its state."""

    def container(self, path: str, cls: type) -> None:
        """Hear of a container that a restore cannot make."""

    def deque(self, path: str, maxlen: int | None) -> None:
        """Hear of a deque."""

    def fixed(self, path: str, name: str, part: Any) -> None:
        """Hear of a part of the program, and which: None if it belongs to one object."""

    def array(self, path: str, kind: str, spec: LeafSpec, *, in_place: bool) -> bool:  # noqa: ARG002
        """Hear of an array; say whether the run has resized it. `in_place`: its owner cannot take another shape."""
        return False

    def tie(self, path: str, first: str) -> None:
        """Hear that what stands at a path stood at another before."""


class _Component(NamedTuple):
    kind: Kind
    is_dict: bool


class _Owner(NamedTuple):
    """An object with an adapter: where it stood first, the keys of its state if they are exact, the state."""

    label: str
    first: str
    keys: frozenset[str] | None
    state: Node


class Outline(Watch):
    """Records a walk.

    Args:
        allow: patterns of paths that a restore lets differ.
        declared: classes that a restore may make, whatever the state holds.
    """

    def __init__(self, allow: Collection[str] = (), declared: Callable[[], Iterable[type]] = tuple) -> None:
        self.allow = tuple(allow)
        self._declared = declared
        self.size_bytes = 0
        self.classes: set[type] = set()
        self.components_began: dict[str, _Component] = {}
        self.things: dict[str, Any] = {}  # a part's name, a container's class, a deque's length, (class, attributes)
        self._named: dict[str, Any] = {}
        self.owners: dict[str, _Owner] = {}
        self.arrays: dict[str, tuple[str, LeafSpec]] = {}
        self.found = Remembered()  # by the walks that are compared with this one

    @property
    def known_classes(self) -> set[type]:
        """The classes of which a restore may make objects: those of live ones and those that were declared."""
        return {*self.classes, *self._declared()}

    def part(self, name: str) -> Any:
        """Return the part of the program that has this name; None if the state holds none, or different ones."""
        return self._named.get(name)

    def component(self, name: str, value: Any, kind: Kind) -> None:
        self.components_began[name] = _Component(kind, isinstance(value, dict))

    def member(self, path: str, cls: type) -> None:  # noqa: ARG002
        self.classes.add(cls)

    def object(self, path: str, cls: type, names: Collection[str]) -> None:
        self.classes.add(cls)
        self.things[path] = (cls, frozenset(names))

    def adapted(self, path: str, value: Any, adapter: Adapter, node: Node) -> None:
        state = None if type(adapter).compare is Adapter.compare else node
        self.owners[path] = _Owner(label(value, adapter), path, _keys(adapter, node), state)

    def container(self, path: str, cls: type) -> None:
        self.things[path] = cls

    def deque(self, path: str, maxlen: int | None) -> None:
        self.things[path] = maxlen

    def fixed(self, path: str, name: str, part: Any) -> None:
        self.things[path] = name
        is_one = part is not None and bool(self._named.setdefault(name, part) == part)
        self._named[name] = part if is_one else None

    def array(self, path: str, kind: str, spec: LeafSpec, *, in_place: bool) -> bool:  # noqa: ARG002
        self.arrays[path] = (kind, spec)
        return False

    def tie(self, path: str, first: str) -> None:
        tables: tuple[dict[str, Any], ...] = (self.things, self.owners, self.arrays)
        for table in tables:
            if first in table:
                table[path] = table[first]


class Comparison(Watch):
    """Compares a later walk with an outline. One walk. What it says of an array depends on that alone.

    Raises (in the walk, which adds the path):
        Refused: a restart could not put this back.
    """

    def __init__(self, outline: Outline) -> None:
        self.remembered = outline.found
        self._outline = outline
        self._known = outline.known_classes
        self._fixed: dict[str, tuple[str, Any]] = {}
        self._taken: dict[str, str] = {}

    def components(self, names: Collection[str]) -> None:
        gone = [name for name in self._outline.components_began if name not in names]
        for name in gone:
            what = f"lacks the component {name!r}, which it had when the run began"
            self._refuse(name, what, "leave it there, or set it to an empty value of its kind")

    def component(self, name: str, value: Any, kind: Kind) -> None:
        began = self._outline.components_began.get(name)
        if began is None:
            what = "is a component that was not there when the run began: a restart could not take it back"
            self._refuse(name, what, "put it into the dict before the run begins (None will do for plain values)")
        elif not began.kind.is_rebound and not fits(kind.saved, began.kind, is_dict=began.is_dict):
            what = f"is {values.class_name(type(value))}, it was a component of another kind when the run began"
            self._refuse(name, what, "keep it of one kind, or put it inside a dict of the state")

    def member(self, path: str, cls: type) -> None:
        if cls not in self._known:
            self._unknown(path, cls, is_makeable=True)

    def object(self, path: str, cls: type, names: Collection[str]) -> None:
        began = self._outline.things.get(path)
        is_there = isinstance(began, tuple) and began[0] is cls
        had = began[1] if isinstance(began, tuple) and is_there else frozenset()
        if not is_there and not (cls in self._known and objects.is_makeable(cls)):
            self._unknown(path, cls, is_makeable=objects.is_makeable(cls))
            return
        lost = ", ".join(sorted(name for name in had - set(names) if not objects.is_cached(cls, name)))
        if lost:
            self._refuse(path, f"lacks {lost}, which it had when the run began", "set attributes to None instead")

    def adapted(self, path: str, value: Any, adapter: Adapter, node: Node) -> None:
        began = self._outline.owners.get(path)
        if began is None or began.label != label(value, adapter):
            if not adapter.buildable:
                self._refuse(path, f"is {label(value, adapter)}, where a restart will hold none", _MAKE)
            return
        if self._taken.setdefault(began.first, path) != path and not adapter.buildable:
            what = f"stands apart from {self._taken[began.first]}, but was the same object when the run began"
            self._refuse(path, what, "begin with as many objects as there will be")
        difference = _changed_keys(began.keys, _keys(adapter, node))
        if began.state is not None:
            difference = difference or adapter.compare(value, began.state)
        if difference:
            what = f"has changed since the run began, so that a restart could not take it back: {difference}"
            self._refuse(path, what, "change it before the run begins")

    def container(self, path: str, cls: type) -> None:
        if self._outline.things.get(path) is not cls:
            self._refuse(path, f"is a {values.class_name(cls)}, where a restart will hold none", _MAKE)

    def deque(self, path: str, maxlen: int | None) -> None:
        began = self._outline.things.get(path, maxlen)
        if isinstance(began, (int, type(None))) and began != maxlen:
            self._refuse(path, f"is a deque with maxlen={maxlen}, it began with maxlen={began}", "keep one maxlen")

    def fixed(self, path: str, name: str, part: Any) -> None:
        self._fixed[path] = (name, part)
        began = self._outline.things.get(path)
        if began == name or (not isinstance(began, str) and part is not None and self._outline.part(name) == part):
            return
        was = f"it was {began} when the run began" if isinstance(began, str) else "a restart will hold none there"
        what = f"is {name}, a part of the program that no restore can bring back: {was}"
        self._refuse(path, what, "keep a string that says which one, and look it up when you use it")

    def array(self, path: str, kind: str, spec: LeafSpec, *, in_place: bool) -> bool:
        began = self._outline.arrays.get(path, (kind, spec))
        if began == (kind, spec):
            return False
        if in_place:
            old = began[1]
            what = f"is {spec.dtype}{list(spec.shape)}, it was {old.dtype}{list(old.shape)} when the run began"
            self._refuse(path, f"{what}, and its owner takes no other", "change it before the run begins")
        return True

    def tie(self, path: str, first: str) -> None:
        if first in self._fixed:
            self.fixed(path, *self._fixed[first])

    def _unknown(self, path: str, cls: type, *, is_makeable: bool) -> None:
        name = values.class_name(cls)
        what = f"is a {name}, where a restart will hold none"
        if not is_makeable:
            self._refuse(path, what, _MAKE)
        remedy = f"register the class before the run begins (outlast.register({cls.__name__})), "
        self._refuse(path, what, f"{remedy}hold one in the state from the beginning, or keep plain values instead")

    def _refuse(self, path: str, what: str, remedy: str) -> None:
        if not is_allowed(path, self._outline.allow):
            raise Refused(what, remedy)


def label(value: Any, adapter: Adapter) -> str:
    """Return how an object with an adapter is called; equal labels fit each other."""
    name = values.class_name(type(value))
    return name if adapter.same_class or adapter.name.startswith("user.") else f"an object for {adapter.name}"


def _keys(adapter: Adapter, state: Node) -> frozenset[str] | None:
    """Return the keys of a state that has to have exactly these; None for other states."""
    is_exact = adapter.exact_keys and not adapter.may_grow and isinstance(state, dict) and "$" not in state
    return frozenset(state) if is_exact else None


def _changed_keys(began: frozenset[str] | None, now: frozenset[str] | None) -> str:
    if began is None or now is None:
        return ""
    came, went = sorted(now - began), sorted(began - now)
    parts = [f"it has got {', '.join(came[:3])}" if came else "", f"it has lost {', '.join(went[:3])}" if went else ""]
    return ", ".join(part for part in parts if part)
