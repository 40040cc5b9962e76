"""Putting the state back to where it was a moment ago, from memory: what code did to it in between is undone.

Containers and objects get the very things back that they held, then arrays and all else their contents. So nothing is
judged as at a restart: whatever stood in the state can stand there again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from outlast.capture import containers, objects
from outlast.capture.pool import Pool
from outlast.capture.refill import restore
from outlast.capture.snapshots import KINDS, Snapshot, snapshot
from outlast.format.model import Leaf

_CONTAINERS = (dict, list, set, deque)


class Rewind:
    """A copy of the state, to be put back once.

    Args:
        state: the live components.
        pool: memory for the copy. Another snapshot into it ends this one.
        again: restores the state once more, from storage: for want of memory.

    Raises:
        CaptureError: the state cannot be captured.
        MemoryError: there is no memory for a copy, and nothing to read it from.
    """

    def __init__(self, state: MutableMapping[str, Any], pool: Pool, again: Callable[[], object] | None = None) -> None:
        self._state, self._again = state, again
        self._components = dict(state)
        self._held = list(_holders(self._components))
        try:
            self._taken: Snapshot | None = snapshot(state, pool)
        except MemoryError:
            if again is None:
                raise
            self._taken = None

    def put_back(self) -> None:
        """Give the live objects the contents that they had."""
        for name in [name for name in self._state if name not in self._components]:
            del self._state[name]
        self._state.update(self._components)
        for holder in self._held:
            holder.put_back()
        if self._taken is not None:
            self._fill(self._taken)
        elif self._again is not None:
            self._again()

    def _fill(self, taken: Snapshot) -> None:
        leaves = {
            leaf.path: Leaf(
                path=leaf.path,
                dtype=leaf.dtype,
                shape=leaf.shape,
                size_bytes=leaf.data.nbytes,
                extents=(),
                chunks=(),
                global_shape=leaf.global_shape,
                offset=leaf.offset,
            )
            for leaf in taken.leaves
        }
        restore(self._state, taken.tree, leaves, _Memory({leaf.path: leaf.data for leaf in taken.leaves}))


class _Memory:
    """The `refill.Source` of a snapshot."""

    def __init__(self, leaves: dict[str, memoryview]) -> None:
        self._leaves = leaves

    def read_into(self, path: str, view: memoryview) -> None:
        view[:] = self._leaves[path]


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
