"""The leaves of a snapshot that lie on devices: begun together, and complete only when the snapshot is read."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from outlast.capture.adapter import Copies, LeafAdapter
from outlast.capture.pending import Pending
from outlast.capture.pool import Pool
from outlast.format.model import LeafBytes

_far = attrgetter("far")


class Behind:
    """The copies from devices of one snapshot. Making it begins them.

    Args:
        pending: the leaves of the walk; those that lie elsewhere are passed over.
        pool: the snapshot's.
        overlaps: whether some may be copied while the program computes.

    Attributes:
        leaves: those that lie on devices. Good after `finish`, until the next snapshot.
        size_bytes: of them.

    Raises:
        OutlastError: they cannot be copied.
        MemoryError: there is no room.
    """

    def __init__(self, pending: Iterable[Pending], pool: Pool, *, overlaps: bool) -> None:
        self.leaves: tuple[LeafBytes, ...] = ()
        self._copies: list[Copies] = []
        groups: dict[LeafAdapter, list[tuple[Pending, Any]]] = {}
        for leaf in filter(_far, pending):
            adapter, value = _far(leaf)
            groups.setdefault(adapter, []).append((leaf, value))
        for adapter, group in groups.items():
            paths, values = [leaf.path for leaf, _ in group], [value for _, value in group]
            copies = adapter.start(paths, values, pool=pool, overlaps=overlaps)
            self._copies.append(copies)
            self.leaves += tuple(map(_leaf, (leaf for leaf, _ in group), copies.views))
        self.size_bytes = sum(leaf.data.nbytes for leaf in self.leaves)

    def ready(self) -> None:
        """Return when the program may go on. Raises OutlastError: a copy failed."""
        for copies in self._copies:
            copies.ready()

    def finish(self) -> None:
        """Return when all is copied. In whatever thread; before a leaf is read, and once.

        Raises:
            OutlastError: a copy failed, or the program has changed a leaf meanwhile: the snapshot is of no use.
        """
        for copies in self._copies:
            copies.finish()


def _leaf(leaf: Pending, data: memoryview) -> LeafBytes:
    return LeafBytes(path=leaf.path, dtype=leaf.dtype, shape=leaf.shape, data=data)
