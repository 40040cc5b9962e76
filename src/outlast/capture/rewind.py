"""Putting the state back to where it was a moment ago, from memory: what code did to it in between is undone.

Containers and objects get the very things back that they held, then arrays and all else their contents. So nothing is
judged as at a restart: whatever stood in the state can stand there again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, MutableMapping
from typing import Any

from outlast.capture import containers, objects
from outlast.capture.pool import Pool
from outlast.capture.refill import restore
from outlast.capture.snapshots import KINDS, snapshot
from outlast.format.model import Leaf

_CONTAINERS = (dict, list, set, deque)


class Rewind:
    """A copy of the state, to be put back once.

    Args:
        state: the live components.
        pool: memory for the copy. Another snapshot into it ends this one.

    Raises:
        CaptureError: the state cannot be captured.
    """

    def __init__(self, state: MutableMapping[str, Any], pool: Pool) -> None:
        self._state = state
        self._components = dict(state)
        self._held = list(_holders(self._components))
        self._taken = snapshot(state, pool)
        self._bytes = {leaf.path: leaf.data for leaf in self._taken.leaves}

    def put_back(self) -> None:
        """Give the live objects the contents that they had."""
        for name in [name for name in self._state if name not in self._components]:
            del self._state[name]
        self._state.update(self._components)
        for holder in self._held:
            holder.put_back()
        leaves = {
            leaf.path: Leaf(
                path=leaf.path,
                dtype=leaf.dtype,
                shape=leaf.shape,
                size_bytes=leaf.data.nbytes,
                extents=(),
                chunks=(),
            )
            for leaf in self._taken.leaves
        }
        restore(self._state, self._taken.tree, leaves, self)

    def read_into(self, path: str, view: memoryview) -> None:
        """Copy a leaf, as a `refill.Source` does."""
        view[:] = self._bytes[path]


class _Holder:
    """What a container or an object held."""

    __slots__ = ("_attributes", "_contents", "_value")

    def __init__(self, value: Any) -> None:
        self._value = value
        self._contents = list(value.items() if isinstance(value, dict) else value) if _is_container(value) else None
        self._attributes = {} if getattr(value, "__dict__", None) is value else objects.attributes(value)

    def inner(self) -> Iterator[Any]:
        yield from self._attributes.values()
        if self._contents is not None:
            for one in self._contents:
                yield one[1] if isinstance(self._value, dict) else one

    def put_back(self) -> None:
        if self._contents is not None:
            containers.refill(self._value, self._contents)
        for name in [name for name in getattr(self._value, "__dict__", {}) if name not in self._attributes]:
            if self._value is not vars(self._value):
                del vars(self._value)[name]
        for name, value in self._attributes.items():
            objects.assign(self._value, name, value)


def _holders(components: dict[str, Any]) -> Iterator[_Holder]:
    """Find the containers and plain objects of the state; what has ways of its own (modules ...) is not looked into."""
    KINDS.refresh()
    seen: set[int] = set()
    stack = list(components.values())
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, (tuple, frozenset)):
            stack.extend(value)
        elif _is_container(value) or KINDS.of(value).name in ("object", "dataclass"):
            holder = _Holder(value)
            yield holder
            stack.extend(holder.inner())


def _is_container(value: Any) -> bool:
    return isinstance(value, _CONTAINERS)
