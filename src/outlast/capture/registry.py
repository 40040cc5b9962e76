"""Which adapter takes which type: the user's own first, then those that entry points bring.

An entry point's name is the module whose import makes its adapters worth loading: a framework that the
program has not imported is not imported here either.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from outlast.capture.adapter import Adapter, GlobalRng, LeafAdapter, PlugIn
from outlast.errors import UsageError
from outlast.plugins import EntryPoint, entry_points

GROUP = "outlast.adapters"
_BUILT_IN = {  # the same as in the package's metadata, which may be missing (a source tree on the path)
    ("numpy", "outlast.capture.adapters.numpy:ADAPTERS"),
    ("torch", "outlast.capture.adapters.torch:ADAPTERS"),
    ("jax", "outlast.capture.adapters.jax:ADAPTERS"),
    ("keras", "outlast.capture.adapters.keras:ADAPTERS"),
    ("tensorflow", "outlast.capture.adapters.tensorflow:ADAPTERS"),
    ("sklearn", "outlast.capture.adapters.sklearn:ADAPTERS"),
    ("scipy", "outlast.capture.adapters.scipy:ADAPTERS"),
    ("flax", "outlast.capture.adapters.flax:ADAPTERS"),
}

T = TypeVar("T")


class _ByType(Generic[T]):
    """Values by type: exact types first, then the nearest base class."""

    def __init__(self) -> None:
        self._exact: dict[type, T] = {}
        self._bases: dict[type, T] = {}

    def add(self, value: T, *, types: Iterable[type], exact_types: Iterable[type]) -> None:
        self._bases.update(dict.fromkeys(types, value))
        self._exact.update(dict.fromkeys(exact_types, value))

    def find(self, cls: type) -> T | None:
        if cls in self._exact:
            return self._exact[cls]
        return next((self._bases[base] for base in cls.__mro__ if base in self._bases), None)


class Registry:
    """The adapters known to this process. `changes` counts additions, so that caches by type can notice."""

    def __init__(self) -> None:
        self.changes = 0
        self._users: _ByType[Adapter] = _ByType()
        self._plugged: _ByType[Adapter | LeafAdapter] = _ByType()
        self._declared: set[type] = set()
        self._by_name: dict[str, Adapter] = {}
        self._by_kind: dict[str, LeafAdapter] = {}
        self._rngs: dict[str, GlobalRng] = {}
        self._entries: list[tuple[str, str]] | None = None

    def register(self, adapter: Adapter) -> None:
        """Add an adapter of the user's; it goes before all others."""
        self.changes += 1
        self._users.add(adapter, types=adapter.types, exact_types=adapter.exact_types)
        self._by_name[adapter.name] = adapter

    def declare(self, cls: type) -> None:
        """Add a class of the user's whose objects a restore may make."""
        self._declared.add(cls)

    def declared(self) -> frozenset[type]:
        """Return the classes that were declared."""
        return frozenset(self._declared)

    def plug(self, plug_ins: Iterable[PlugIn]) -> None:
        """Add what a plug-in module offers."""
        self.changes += 1
        for plug_in in plug_ins:
            self._plug(plug_in)

    def _plug(self, plug_in: PlugIn) -> None:
        if isinstance(plug_in, GlobalRng):
            self._rngs[plug_in.name] = plug_in
            return
        self._plugged.add(plug_in, types=plug_in.types, exact_types=plug_in.exact_types)
        if isinstance(plug_in, LeafAdapter):
            self._by_kind[plug_in.kind] = plug_in
        else:
            self._by_name[plug_in.name] = plug_in

    def find(self, cls: type) -> Adapter | LeafAdapter | None:
        """Return the adapter for a type."""
        return self._users.find(cls) or self._plugged.find(cls)

    def named(self, name: str) -> Adapter | None:
        """Return the adapter that the manifest calls so."""
        return self._by_name.get(name)

    def leaf(self, kind: str) -> LeafAdapter | None:
        """Return the adapter for a kind of array node."""
        return self._by_kind.get(kind)

    def leaf_adapters(self) -> tuple[LeafAdapter, ...]:
        """Return all adapters of arrays."""
        return tuple(self._by_kind.values())

    def rngs(self) -> tuple[GlobalRng, ...]:
        """Return the global generators of the libraries that the program has imported."""
        return tuple(self._rngs.values())

    def refresh(self) -> None:
        """Load the adapters of modules that have been imported since the last call."""
        if self._entries is None:
            self._entries = _entries()
        due = [entry for entry in self._entries if entry[0] in sys.modules]
        for entry in due:
            self._entries.remove(entry)
            self.plug(_load(entry[1]))


def _entries() -> list[tuple[str, str]]:
    found = {(entry.name, entry.value) for entry in entry_points(group=GROUP)}
    return sorted(found | _BUILT_IN)


def _load(value: str) -> Iterable[PlugIn]:
    """Load an entry point of the installed packages (never a name from a checkpoint)."""
    loaded: Iterable[PlugIn] = EntryPoint("adapter", value).load()
    return loaded


class _UserAdapter(Adapter):
    """Two functions of the user's."""

    def __init__(self, cls: type, capture: Callable[[Any], Any], restore: Callable[[Any, Any], Any]) -> None:
        self.name = f"user.{cls.__qualname__}"
        self.types = (cls,)
        self._capture = capture
        self._restore = restore

    def lower(self, value: Any) -> Any:
        return self._capture(value)

    def restore(self, value: Any, saved: Any) -> Any:
        result = self._restore(value, saved)
        return value if result is None else result


REGISTRY = Registry()


def register(
    cls: type,
    *,
    capture: Callable[[Any], Any] | None = None,
    restore: Callable[[Any, Any], Any] | None = None,
    registry: Registry = REGISTRY,
) -> None:
    """Teach outlast a type of the user's.

    With the class alone: a restore may make its objects where the program has none (in a list that grew, in a place
    that was None), from their attributes, without calling `__init__`. With both functions: an adapter.

    Args:
        cls: the type; with functions, its subclasses are taken too.
        capture: object -> simpler values (dicts, lists, arrays, numbers ...).
        restore: (live object, saved values) -> None after changing the live object, or what shall replace it.
        registry: where to add it.

    Raises:
        UsageError: one function without the other.
    """
    if capture is None and restore is None:
        registry.declare(cls)
        return
    if capture is None or restore is None:
        raise UsageError(f"register({cls.__name__}): give both capture and restore, or neither")
    registry.register(_UserAdapter(cls, capture, restore))
